"""An ordinary Keras model made symmetric: its convolutions become structured layers, its weights are projected."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, final

import keras
import numpy as np
import tensorflow as tf

from tf_symconv import kernels, layers
from tf_symconv.models._penalty import SymmetryPenalty
from tf_symconv.models._rebuild import Replacement, is_graph, live_activation, rebuild
from tf_symconv.models._summary import symmetry_label

_TWINS: dict[type, Any] = {
    getattr(keras.layers, name): getattr(layers, f"Symmetric{name}")
    for name in (
        *("Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"),
        *("DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"),
    )
}

Selector = str | type | Callable[[Any], bool]


@final
@dataclasses.dataclass(frozen=True)
class SymmetrizedLayer:
    """What :func:`symmetrize` did to one convolution.

    Attributes:
        name: The path of the layer in the model.
        structure: The symmetry that it has now; empty if it was left as it is.
        before: The number of its weights, bias included, in the model as it was.
        after: The same in the new model.
        residual: The norm of what the projection took from its kernel, relative to the norm of the kernel: from 0 (it
            had the symmetry) to 1 (nothing is left). None if it was left as it is.
        note: Why it was left as it is; empty otherwise.
    """

    name: str
    structure: str
    before: int
    after: int
    residual: float | None
    note: str = ""


@final
@dataclasses.dataclass(frozen=True)
class Symmetrization:
    """The report of :func:`symmetrize`; its text is a table.

    Attributes:
        layers: One entry for each convolution that was asked for, in the order in which the model holds them.
        before: The number of weights of the whole model as it was.
        after: The same of the new model.
    """

    layers: tuple[SymmetrizedLayer, ...]
    before: int
    after: int

    def to_dict(self) -> dict[str, Any]:
        """Return the report as numbers, strings, lists and dicts, ready for JSON."""
        own = {"before": self.before, "after": self.after}
        return {"layers": [dataclasses.asdict(layer) for layer in self.layers], **own}

    def __str__(self) -> str:
        name = max([len("whole model"), *(len(layer.name) for layer in self.layers)])
        kind = max([len("symmetry"), *(len(layer.structure) for layer in self.layers)])
        rows = [f"{'layer':<{name}}  {'symmetry':<{kind}}  {'before':>10}  {'after':>10}  {'residual':>9}"]
        for each in self.layers:
            residual = "-" if each.residual is None else f"{each.residual:.4f}"
            numbers = f"{each.before:10d}  {each.after:10d}  {residual:>9}"
            rows.append(f"{each.name:<{name}}  {each.structure or '-':<{kind}}  {numbers}  {each.note}")
        rows.append(f"{'whole model':<{name}}  {'':<{kind}}  {self.before:10d}  {self.after:10d}")
        return "\n".join(row.rstrip() for row in rows)


def symmetrize(
    model: keras.Model,
    symmetry: kernels.Symmetry | Mapping[str, kernels.Symmetry],
    layers: Selector | Iterable[Selector] | None = None,
    *,
    parity: str | Sequence[str] = "even",
) -> tuple[keras.Model, Symmetrization]:
    """Return a model whose convolutions are symmetric, with the weights of ``model`` projected onto the symmetry.

    The convolutions of Keras (plain, transposed, depthwise, separable; 1-D to 3-D) become the Symmetric layers of the
    same name, and all other layers are copied with their weights; ``model`` is left as it is. The new kernels are the
    symmetric ones that are nearest to the old (least squares): a model that is symmetric already computes what it did,
    any other wants some training after this. The new model is not compiled.

    Regularisers and constraints of a kernel act on its free weights from then on; a
    :class:`~tf_symconv.models.SymmetryPenalty` has done its work and is dropped.

    Args:
        model: A built functional or Sequential model; models in it are made symmetric alike, and so is what
            ``TimeDistributed`` wraps. Layers that are shared stay shared.
        symmetry: What :func:`tf_symconv.kernels.get` takes: a name such as ``"hv"``, a kernel map, or a mix
            ``{symmetry: count}``; or ``{layer name: symmetry}``, which selects the layers as well; the first name that
            fits a layer counts. A dict whose values are counts (integers or percentages) is a mix.
        layers: Which convolutions: a name (``"conv"``, or its path ``"block/conv"``, or ``"block"`` for all of a nested
            model), a class, a predicate of the layer, or several of these. None takes every convolution that can have
            the symmetry and whose weights it ties; the report says why others (such as 1x1 kernels) were left.
        parity: The parity of mirror symmetries.

    Returns:
        The new model, and the report.

    Raises:
        TypeError: If ``model`` is no Keras model, or an argument is of a type that is not known.
        ValueError: If ``model`` is subclassed or not built; if there is no such symmetry; if a selector finds no
            convolution; if a layer that was selected cannot have the symmetry (the error names it), has LoRA weights or
            is quantised; or if no layer can have it.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((12, 12, 1)), keras.layers.Conv2D(8, 3), keras.layers.Conv2D(8, 1)])
        >>> symmetric, report = symmetrize(model, "hv")
        >>> [(layer.before, layer.after, layer.note) for layer in report.layers]
        [(80, 40, ''), (72, 72, 'the symmetry ties no weights of a 1x1 kernel')]
    """
    chosen = _by_layer(symmetry)
    if chosen is not None and layers is not None:
        raise ValueError(f"A symmetry for each layer selects the layers; give no others. Received: layers={layers!r}")
    wanted = list(chosen) if chosen is not None else _selectors(layers)
    for one in [symmetry] if chosen is None else chosen.values():
        kernels.get(one, parity)  # pyright: ignore
    found: dict[int, tuple[str, Any, SymmetrizedLayer]] = {}
    hits: set[int] = set()

    def replace(path: str, layer: Any) -> Replacement | None:
        index = _match(wanted, path, layer)
        hits.update(index)
        if type(layer) not in _TWINS:
            if index:
                raise ValueError(
                    f"A layer must be a convolution of Keras to be made symmetric. Received: {path!r}, which is "
                    f"{type(layer).__name__}"
                )
            return None
        if wanted is not None and not index:
            return None
        own: Any = symmetry if chosen is None else chosen[list(chosen)[index[0]]]
        try:
            replacement, done = _symmetric(path, layer, own, parity, must=wanted is not None)
        except (ValueError, TypeError) as error:
            if wanted is not None:
                raise ValueError(f"The layer {path!r} cannot have the symmetry {own!r}: {error}") from error
            replacement, done = None, _left(path, layer, str(error).split(" Received:")[0])
        found[id(layer)] = (path, layer, done)
        return replacement

    new = rebuild(model, replace)
    missed = [one for i, one in enumerate(wanted or ()) if i not in hits]
    if missed or not any(done.structure for _, _, done in found.values()):
        raise ValueError(
            "There must be a convolution of Keras for every selector, and at least one that can have the symmetry. "
            f"Received: symmetry={symmetry!r}, layers={missed or layers!r} for the model {model.name!r} with the "
            f"convolutions {[path for path, layer in _layers(model) if type(layer) in _TWINS]}"
            + "".join(f"; {path!r}: {done.note}" for path, _, done in found.values())
        )
    done = tuple(each for _, _, each in found.values())
    return new, Symmetrization(done, model.count_params(), new.count_params())


def _by_layer(symmetry: Any) -> dict[str, Any] | None:
    """Return ``{layer name: symmetry}`` if it is that, and no mix or description of a kernel map."""
    if not isinstance(symmetry, Mapping) or set(symmetry) == {"class_name", "config"}:
        return None
    if not symmetry:
        raise ValueError(f"symmetry must name at least one layer, or one part of a mix. Received: symmetry={symmetry}")
    counts = [isinstance(n, int) or (isinstance(n, str) and n.strip().endswith("%")) for n in symmetry.values()]
    if all(counts):
        return None
    if any(counts) or not all(isinstance(name, str) for name in symmetry):
        raise ValueError(
            "A dict is either {symmetry: count} or {layer name: symmetry}, throughout. "
            f"Received: symmetry={dict(symmetry)!r}"
        )
    return dict(symmetry)


def _selectors(layers: Any) -> list[Any] | None:
    if layers is None:
        return None
    wanted = [layers] if isinstance(layers, str | type) or callable(layers) else layers
    wanted = list(wanted) if isinstance(wanted, Iterable) else [wanted]
    strange = [one for one in wanted if not isinstance(one, str | type) and not callable(one)]
    if strange or not wanted:
        raise TypeError(f"layers must be names, classes or predicates, at least one. Received: layers={layers!r}")
    return wanted


def _names(name: str, path: str, layer: Any, whole: bool = False) -> bool:
    """Whether a name is that of a layer, or (unless ``whole``) of a model that it is in."""
    return name in (path, layer.name) or (not whole and f"/{name}/" in f"/{path}/")


def _match(wanted: list[Any] | None, path: str, layer: Any) -> list[int]:
    """Return the places of the selectors that select a layer."""
    found = []
    for index, one in enumerate(wanted or ()):
        if isinstance(one, str):
            hit = _names(one, path, layer, whole=type(layer) not in _TWINS)
        elif type(layer) not in _TWINS:
            hit = False
        else:
            hit = isinstance(layer, one) if isinstance(one, type) else bool(one(layer))
        found += [index] if hit else []
    return found


def _layers(model: Any, prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for layer in model.layers:
        found += _layers(layer, f"{prefix}{layer.name}/") if is_graph(layer) else [(prefix + layer.name, layer)]
    return found


def _left(path: str, layer: Any, note: str) -> SymmetrizedLayer:
    return SymmetrizedLayer(path, "", layer.count_params(), layer.count_params(), None, note)


def _symmetric(
    path: str, layer: Any, symmetry: Any, parity: Any, must: bool
) -> tuple[Replacement | None, SymmetrizedLayer]:
    """Return the symmetric layer with projected weights, and what it lost; None unless the symmetry ties weights."""
    if getattr(layer, "lora_enabled", False) or getattr(layer, "quantization_mode", None):
        raise ValueError("Its kernel is not stored in full: it has LoRA weights or is quantised.")
    new = _twin(layer, symmetry, parity)
    # Every convolution of Keras, and so ours, has first the kernel that moves over space.
    first, *rest = layer.get_weights()
    kernel = first.astype(np.float64)
    latent = new.kernel_map.project(tf.constant(kernel))
    if not must and np.size(latent) == np.size(kernel):
        size = "x".join(map(str, layer.kernel_size))
        return None, _left(path, layer, f"the symmetry ties no weights of a {size} kernel")
    lost = float(np.linalg.norm(kernel - np.asarray(new.kernel_map.expand(latent, kernel.shape))))
    norm = float(np.linalg.norm(kernel))
    after = layer.count_params() - kernel.size + int(np.size(latent))
    done = SymmetrizedLayer(path, symmetry_label(symmetry), layer.count_params(), after, lost / norm if norm else 0.0)
    return Replacement(new, (np.asarray(latent).astype(first.dtype), *rest)), done


def _twin(layer: Any, symmetry: Any, parity: Any) -> Any:
    """Return the unbuilt symmetric layer with the arguments of a convolution of Keras."""
    config = layer.get_config()
    # As they are, not as the configuration describes them: functions and classes need not be registered.
    kinds = ("_initializer", "_regularizer", "_constraint")
    objects = {name: getattr(layer, name) for name in config if name.endswith(kinds) and hasattr(layer, name)}
    objects = {name: None if isinstance(each, SymmetryPenalty) else each for name, each in objects.items()}
    objects.update(live_activation(layer, config))
    arguments = {"symmetry": symmetry, "parity": parity, "dtype": layer.dtype_policy}
    return _TWINS[type(layer)](**{**config, **objects, **arguments})
