"""What the structure of a model saves: a table of its layers."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any, final

import keras

from tf_symconv import groups, kernels, layers
from tf_symconv.models._equivariance_walk import check_model, walk
from tf_symconv.models._rebuild import is_graph

_K = keras.layers
_TRANSPOSED = (_K.Conv1DTranspose, _K.Conv2DTranspose, _K.Conv3DTranspose)
_CONVOLUTIONS = (
    *(_K.Conv1D, _K.Conv2D, _K.Conv3D, _K.DepthwiseConv1D, _K.DepthwiseConv2D),
    *(_K.SeparableConv1D, _K.SeparableConv2D),
)
_TWINS = (layers.TwinFlipConv1D, layers.TwinFlipConv2D, layers.TwinFlipConv3D)
_GROUP_POINTWISE = (layers.GroupBatchNormalization, layers.GroupLayerNormalization)
_HEADERS = ("layer", "type", "structure", "output shape", "free", "effective", "multiplications", "as planned")


@final
@dataclasses.dataclass(frozen=True)
class SummaryRow:
    """One layer of a model.

    Attributes:
        name: The path of the layer in the model.
        type: Its class.
        structure: The structure of its kernel; empty for stock layers.
        output_shape: With None for sizes that are not known; of several outputs the first.
        free: The number of its weights, those that are not trained included.
        effective: How many the plain layer would have that computes the same: the full kernel, one bias for each
            channel.
        multiplications: How many its convolution or matrix product takes for one example with the full kernel, summed
            over the calls of the layer; 0 for other layers, None where a size is not known.
        planned: The same as the layer's plan has it, where convolutions fold; see ``layer.plan``.
        calls: How often the model calls it.
    """

    name: str
    type: str
    structure: str
    output_shape: tuple[int | None, ...]
    free: int
    effective: int
    multiplications: int | None
    planned: int | None
    calls: int = 1


@final
@dataclasses.dataclass(frozen=True)
class ModelSummary:
    """The summary of a model; its text is a table, and ``rich.print`` shows it as one.

    Attributes:
        name: The name of the model.
        rows: One for each layer, in the order in which the model calls them.
    """

    name: str
    rows: tuple[SummaryRow, ...]

    @property
    def free(self) -> int:
        """The number of weights of the model."""
        return sum(row.free for row in self.rows)

    @property
    def effective(self) -> int:
        """How many weights the plain model has that computes the same."""
        return sum(row.effective for row in self.rows)

    @property
    def multiplications(self) -> int | None:
        """The multiplications of all convolutions and Dense layers for one example; None if one is not known."""
        return _total([row.multiplications for row in self.rows])

    @property
    def planned(self) -> int | None:
        """The same as the layers' plans have it."""
        return _total([row.planned for row in self.rows])

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as numbers, strings, lists and dicts, ready for JSON."""
        rows = [{**dataclasses.asdict(row), "output_shape": list(row.output_shape)} for row in self.rows]
        totals = {name: getattr(self, name) for name in ("free", "effective", "multiplications", "planned")}
        return {"name": self.name, "rows": rows, **totals}

    def _cells(self) -> list[tuple[str, ...]]:
        cells = [
            (
                *(row.name, row.type, row.structure, _shape(row.output_shape)),
                *map(_number, (row.free, row.effective, row.multiplications, row.planned)),
            )
            for row in self.rows
        ]
        totals = map(_number, (self.free, self.effective, self.multiplications, self.planned))
        return [*cells, ("total", "", "", "", *totals)]

    def __str__(self) -> str:
        cells = [_HEADERS, *self._cells()]
        widths = [max(len(row[column]) for row in cells) for column in range(len(_HEADERS))]
        lines = [
            "  ".join(
                text.rjust(width) if column > 3 else text.ljust(width)
                for column, (text, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in cells
        ]
        rule = "-" * max(map(len, lines))
        share = (
            f"{self.free / self.effective:.1%} of the effective weights are free" if self.effective else "no weights"
        )
        return "\n".join([f"Model {self.name!r}", lines[0], rule, *lines[1:-1], rule, lines[-1], share])

    def __rich__(self) -> Any:
        """Return a ``rich`` table."""
        from rich.table import Table

        table = Table(title=f"Model {self.name!r}")
        for column, header in enumerate(_HEADERS):
            table.add_column(header, justify="right" if column > 3 else "left")
        *rows, total = self._cells()
        for row in rows:
            table.add_row(*row)
        table.add_section()
        table.add_row(*total)
        return table


def summary(model: keras.Model) -> ModelSummary:
    """Return what each layer of a model weighs, free and effective, and how many multiplications it takes.

    Args:
        model: A built functional or Sequential model; models in it, and what ``TimeDistributed`` wraps, are shown layer
            by layer.

    Returns:
        The rows and their totals; ``str`` of it is a table.

    Raises:
        TypeError: If ``model`` is no Keras model.
        ValueError: If ``model`` is subclassed or not built.

    Example:
        >>> import keras
        >>> from tf_symconv.layers import SymmetricConv2D
        >>> table = summary(keras.Sequential([keras.Input((8, 8, 1)), SymmetricConv2D(4, 3, symmetry="d4")]))
        >>> table.free, table.effective, table.multiplications
        (16, 40, 1296)
        >>> table.rows[0].structure, table.rows[0].output_shape
        ('symmetry=d4', (None, 6, 6, 4))
    """
    check_model(model)
    if not model.built:
        raise ValueError(
            "model must be built, so that it has weights and shapes: call it, or give it an Input. "
            f"Received: the unbuilt model {model.name!r}"
        )
    rows: dict[int, SummaryRow] = {}

    def visit(name: str, layer: Any, *args: Any, steps: int | None = 1, **kwargs: Any) -> Any:
        spec = layer.compute_output_spec(*args, **kwargs)
        if type(layer) is keras.layers.TimeDistributed:
            batch, length, *rest = args[0].shape
            step = keras.KerasTensor((batch, *rest), args[0].dtype)
            each = functools.partial(visit, steps=_times(length, steps))
            if is_graph(layer.layer):
                walk(layer.layer, [step], each, f"{name}/{layer.layer.name}/")
            else:
                each(f"{name}/{layer.layer.name}", layer.layer, step)
        elif isinstance(layer, keras.layers.Layer) and not isinstance(layer, keras.layers.InputLayer):
            shapes = [tuple(tensor.shape) for tensor in keras.tree.flatten((args, spec)) if hasattr(tensor, "shape")]
            outputs = tuple(keras.tree.flatten(spec)[0].shape)
            full = _multiplications(layer, shapes[0], outputs)
            products, planned = _times(steps, full), _times(steps, _planned(layer, shapes[0], full))
            if id(layer) in rows:
                known = rows[id(layer)]
                rows[id(layer)] = dataclasses.replace(
                    known,
                    multiplications=_total([known.multiplications, products]),
                    planned=_total([known.planned, planned]),
                    calls=known.calls + 1,
                )
            else:
                weights = (layer.count_params(), _effective(layer))
                described = (name, type(layer).__name__, _structure(layer), outputs)
                rows[id(layer)] = SummaryRow(*described, *weights, products, planned)
        return spec

    walk(model, [keras.KerasTensor(tensor.shape, tensor.dtype) for tensor in model.inputs], visit)
    return ModelSummary(model.name, tuple(rows.values()))


def symmetry_label(symmetry: Any) -> str:
    """Return a symmetry as a user names it: ``"hv"``; ``"hv: 50%, c4: 2"`` for a mix."""
    kernel_map = kernels.get(symmetry)
    if isinstance(kernel_map, kernels.Mix):
        return ", ".join(f"{symmetry_label(part)}: {count}" for part, count in kernel_map.parts)
    names = [*groups.names(3), "circular", "free"]
    return next((name for name in names if kernels.get(name) == kernel_map), repr(kernel_map))


def _structure(layer: Any) -> str:
    if not type(layer).__module__.startswith("tf_symconv."):
        return ""
    names = ("symmetry", "group", "input_group", "multiples", "axes", "reduction", "k")
    found = {name: getattr(layer, name) for name in names if getattr(layer, name, None) is not None}
    if isinstance(found.get("symmetry"), kernels.KernelMap):
        found["symmetry"] = symmetry_label(found["symmetry"])
    if hasattr(layer, "pattern"):
        found["pattern"] = "/".join("".join(map(str, row)) for row in layer.pattern)
    if found.get("symmetry") is not None and getattr(layer, "parity", "even") != "even":
        found["parity"] = layer.parity
    return ", ".join(f"{name}={value}" for name, value in found.items())


def _effective(layer: Any) -> int:
    """Return the number of weights of the plain layer that computes the same."""
    free = layer.count_params()
    if isinstance(layer, _GROUP_POINTWISE):
        return free * groups.get(layer.group, 2).order
    if not hasattr(layer, "kernel_map"):
        return free
    effective = free - math.prod(layer.latent.shape) + _kernel_size(layer)
    shared = layer.shared_bias
    return effective if shared is None or layer.bias is None else effective - max(shared) - 1 + len(shared)


def _kernel_size(layer: Any) -> int:
    """Return the number of cells of the kernel of a convolution, the flips of twins included."""
    kernel = layer.depthwise_kernel if hasattr(layer, "pointwise_kernel") else layer.kernel
    return math.prod(kernel.shape) * (2 if isinstance(layer, _TWINS) else 1)


def _multiplications(layer: Any, inputs: Sequence[int | None], outputs: Sequence[int | None]) -> int | None:
    """Return the multiplications for one example with the full kernel."""
    if isinstance(layer, _TRANSPOSED):
        return _times(_positions(layer, inputs), _kernel_size(layer))
    if isinstance(layer, _CONVOLUTIONS):
        pointwise = math.prod(layer.pointwise_kernel.shape) if hasattr(layer, "pointwise_kernel") else 0
        return _times(_positions(layer, outputs), _kernel_size(layer) + pointwise)
    if isinstance(layer, layers.GlobalConv1D):
        length = _positions(layer, outputs)
        return None if length is None else (length + 1) * math.prod(layer.kernel.shape[1:])
    if isinstance(layer, _K.Dense):
        kernel: Any = layer.kernel
        return _times(_product(inputs[1:-1]), math.prod(kernel.shape))
    return 0


def _planned(layer: Any, inputs: Sequence[int | None], full: int | None) -> int | None:
    """Return the multiplications for one example as the layer plans them."""
    if full is None or not hasattr(layer, "plan"):
        return full
    plan = layer.plan(tuple(inputs))
    if plan.multiplications is None or plan.dense_multiplications is None:
        return full
    return full - plan.dense_multiplications + plan.multiplications


def _positions(layer: Any, shape: Sequence[int | None]) -> int | None:
    return _product(shape[1:-1] if layer.data_format == "channels_last" else shape[2:])


def _total(numbers: Sequence[int | None]) -> int | None:
    """Return the sum of numbers, None if one is not known."""
    return None if None in numbers else sum(number or 0 for number in numbers)


def _product(sizes: Sequence[int | None]) -> int | None:
    return None if None in sizes else math.prod(size or 0 for size in sizes)


def _times(count: int | None, each: int | None) -> int | None:
    return 0 if each == 0 else None if count is None or each is None else count * each


def _number(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _shape(shape: Sequence[int | None]) -> str:
    return "(" + ", ".join("?" if size is None else str(size) for size in shape[1:]) + ")"
