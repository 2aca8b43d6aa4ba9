"""Name-based checkpoints of the TF1 era, restored into the models of today."""

import dataclasses
import difflib
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tf_symconv.compat_v1 import _checkpoint_files, _fitting, _slots, _targets
from tf_symconv.compat_v1._merging import MergedCheckpoint

__all__ = ["CheckpointReport", "Match", "load_checkpoint"]


@dataclasses.dataclass(frozen=True)
class Match:
    """A variable of the checkpoint that goes into a variable of the target.

    Args:
        source: Name in the checkpoint.
        target: Name in the target.
        action: ``"copied"``, ``"reshaped"``, ``"reordered"``, ``"transformed"``, ``"selected"`` or ``"projected"``;
            ``"merged"`` for several variables that became one; ``"state"`` for an optimiser's.
        residual: Relative norm of what a projection loses.
    """

    source: str
    target: str
    action: str
    residual: float = 0.0


@dataclasses.dataclass(frozen=True)
class CheckpointReport:
    """What a checkpoint and a target have in common; ``str`` makes a listing of it.

    Args:
        matched: What was, or would be, restored.
        left_over: Names of the checkpoint that went nowhere.
        missing: Names of the target that the checkpoint has nothing for.
        errors: What keeps the checkpoint from being restored: conflicts of shape, unknown names.
    """

    matched: tuple[Match, ...]
    left_over: tuple[str, ...]
    missing: tuple[str, ...]
    errors: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{len(self.matched)} matched"]
        for match in self.matched:
            lost = f", relative residual {match.residual:.2g}" if match.action == "projected" else ""
            lines.append(f"  {match.source} -> {match.target} ({match.action}{lost})")
        for what in ("left_over", "missing", "errors"):
            names = getattr(self, what)
            lines += [f"{len(names)} {what.replace('_', ' ')}", *(f"  {name}" for name in names)]
        return "\n".join(lines)


def load_checkpoint(
    prefix: str | os.PathLike[str],
    target: Any,
    mapping: Mapping[str, str | None] | Callable[[str], str | None] | None = None,
    dry_run: bool = False,
    *,
    optimizer: Any = None,
) -> CheckpointReport:
    """Restore a checkpoint of ``tf.train.Saver`` by names.

    Arrays fit variables of their own shape, and of one that differs in axes of size one only. Those of layers with a
    structured kernel fit in more ways:

    - The latent takes the full kernel: its free entries if the kernel has the structure, else the nearest kernel that
      has it, and the report tells the residual.
    - Filters of ``gconv2d`` on a group go into ``GroupConv2D``, whose input channels have another order. Those on
      images and the half kernels of ``SymmetricKernels`` are copied, the small kernels that a pattern spreads reshaped.
    - A ``spectrum`` of ``fft_conv`` goes into ``SpectralConv2D``, whose latent is scaled otherwise.
    - CNN-Symmetry's ``SymmetricConv2D`` (``kernel_sym_h`` and so on) counts as one ``kernel`` and one ``bias``, for a
      flip bank, its ``GlobalConv1D`` as one ``kernel``.

    All fits are found before the first is assigned, so an error leaves the target as it was.

    The state of the optimiser is restored where it is the same: slots of Adam, Momentum (as ``SGD(momentum=...)``, at
    the learning rate that is set), RMSProp, Adagrad, Adadelta and Ftrl, for variables that are not projected, and the
    count of steps. Other state, such as ``global_step``, is left over.

    Args:
        prefix: What ``Saver.save`` returned, or a directory, of which the latest checkpoint counts.
        target: A :class:`V1Module` or ``tf.Module`` (by variable names; modules also by attribute path) or a Keras
            model (by variable paths, with or without the name of the model in front). It must have its variables.
        mapping: Names in the checkpoint to names in the target. A name that ends in ``/`` stands for a scope, and
            ``"/"`` for all names, as in ``tf.compat.v1.train.init_from_checkpoint``; None leaves a variable out. Names
            that are not in it stay. Or a function of the name that returns the new one or None.
        dry_run: Report only, errors too.
        optimizer: Optimiser to restore; by default the one a Keras model is compiled with. A Keras optimiser is built
            if need be.

    Returns:
        What matched, what was left over, and what the target misses.

    Raises:
        ValueError: If the checkpoint cannot be read, shapes conflict, the mapping has a name that is unknown (the
            message lists the nearest ones), or nothing matches. Not with ``dry_run``, unless the checkpoint cannot be
            read.
        TypeError: If the target is no model.
    """
    found = _targets.targets(target)
    checkpoint = MergedCheckpoint(
        os.fspath(prefix), {alias.rpartition("/")[2] for entry in found for alias in entry.aliases}
    )
    if _checkpoint_files.is_object_based(checkpoint):
        raise ValueError(
            "tf.train.Checkpoint wrote this checkpoint, by attributes and not by names, and restores it. "
            f"Received: prefix={str(prefix)!r}"
        )
    plan = _Plan(checkpoint, found, mapping)
    assignments = [(fit.value, entry.variable) for _, entry, fit in plan.fits]
    matched = [
        Match(
            " + ".join(checkpoint.parts.get(name, (name,))),
            entry.name,
            "merged" if name in checkpoint.parts else fit.action,
            fit.residual,
        )
        for name, entry, fit in plan.fits
    ]
    optimizer = getattr(target, "optimizer", None) if optimizer is None else optimizer
    if optimizer is not None and not plan.errors:
        _build(optimizer, target)
        # Mixed precision wraps the optimiser in one that scales the loss.
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        sources = {
            name: (entry.variable, fit.move)
            for name, entry, fit in plan.fits
            if fit.move is not None and name not in checkpoint.parts
        }
        for name, variable, value in _slots.optimizer_state(checkpoint, optimizer, sources):
            matched.append(Match(name, getattr(variable, "path", variable.name), "state"))
            assignments.append((value, variable))
    used = {name for name, _, _ in plan.fits} | {match.source for match in matched}
    report = CheckpointReport(
        matched=tuple(matched),
        left_over=tuple(
            part for name in checkpoint.shapes if name not in used for part in checkpoint.parts.get(name, (name,))
        ),
        missing=tuple(entry.name for entry in found if entry.name not in plan.filled),
        errors=tuple(plan.errors),
    )
    if dry_run:
        return report
    if report.errors:
        raise ValueError(f"{' '.join(report.errors)} Received: prefix={str(prefix)!r}")
    if not plan.fits:
        wanted = [near for entry in found[:5] if (near := nearest(entry.name, checkpoint.shapes))]
        raise ValueError(
            f"No name of the checkpoint is one of the target; mapping tells which is which. The target has "
            f"{_listing(entry.name for entry in found)}, the checkpoint {_listing(checkpoint.shapes)}"
            f"{'; nearest: ' + '; '.join(wanted) if wanted else ''}. Received: prefix={str(prefix)!r}"
        )
    for value, variable in assignments:
        variable.assign(value)
    return report


class _Plan:
    """Which array goes into which variable."""

    def __init__(
        self,
        checkpoint: _checkpoint_files.Checkpoint,
        found: list[_targets.Target],
        mapping: Mapping[str, str | None] | Callable[[str], str | None] | None,
    ):
        self.fits: list[tuple[str, _targets.Target, _fitting.Fit]] = []
        self.filled: dict[str, str] = {}
        self.errors: list[str] = []
        self._by_alias: dict[str, list[_targets.Target]] = {}
        for entry in found:
            for alias in entry.aliases:
                self._by_alias.setdefault(alias, []).append(entry)
        if isinstance(mapping, Mapping) or mapping is None:
            names = dict(mapping or {})
            rename, explicit_names = self._rename(names, checkpoint), set(names)
        else:
            rename, explicit_names = mapping, set(checkpoint.shapes)
        for name in checkpoint.shapes:
            alias, explicit = rename(name), name in explicit_names
            if alias is not None:
                self._add(checkpoint, name, alias, explicit)

    def _rename(
        self, mapping: Mapping[str, str | None], checkpoint: _checkpoint_files.Checkpoint
    ) -> Callable[[str], str | None]:
        """Return the mapping as a function; note the scopes and names that do not exist."""
        for old in mapping:
            inside = old == "/" or any(name.startswith(old) for name in checkpoint.shapes)
            if not (inside if old.endswith("/") else old in checkpoint):
                known = (
                    {f"{name.rpartition('/')[0]}/" for name in checkpoint.shapes}
                    if old.endswith("/")
                    else checkpoint.shapes
                )
                self.errors.append(f"The checkpoint has no {old!r}{_hint(old, known)}.")
        scopes = sorted((old for old in mapping if old.endswith("/")), key=len, reverse=True)

        def rename(name: str) -> str | None:
            if name in mapping:
                return mapping[name]
            for old in scopes:
                if old == "/" or name.startswith(old):
                    new = mapping[old]
                    rest = name if old == "/" else name.removeprefix(old)
                    return None if new is None else rest if new == "/" else new + rest
            return name

        return rename

    def _add(self, checkpoint: _checkpoint_files.Checkpoint, name: str, alias: str, explicit: bool) -> None:
        entries = self._by_alias.get(alias, [])
        if len(entries) > 1:
            paths = _listing(entry.name for entry in entries)
            self.errors.append(f"The name {alias!r} stands for several variables: {paths}.")
        elif not entries:
            if explicit:
                self.errors.append(f"The target has no {alias!r}{_hint(alias, self._by_alias)}.")
        elif entries[0].name in self.filled:
            self.errors.append(f"{self.filled[entries[0].name]!r} and {name!r} both go into {entries[0].name!r}.")
        else:
            entry = entries[0]
            self.filled[entry.name] = name
            fit = _fitting.fit(np.asarray(checkpoint[name]), entry, name)
            if fit is None:
                full = "" if entry.layer is None else f" (full kernel {tuple(entry.layer.kernel_shape)})"
                same = [other for other, shape in checkpoint.shapes.items() if shape == entry.shape]
                self.errors.append(
                    f"{name!r} has the shape {checkpoint.shapes[name]} and {entry.name!r} {entry.shape}{full}"
                    f"{'; of that shape the checkpoint has ' + _listing(same) if same else ''}."
                )
            else:
                self.fits.append((name, entry, fit))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the names most like ``name``, as a listing; empty if none is alike."""
    return ", ".join(map(repr, difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)))


def _hint(name: str, known: Iterable[str]) -> str:
    near = nearest(name, known)
    return f"; nearest: {near}" if near else ""


def _listing(names: Iterable[str], most: int = 8) -> str:
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more


def _build(optimizer: Any, target: Any) -> None:
    if hasattr(optimizer, "build") and not getattr(optimizer, "built", True):
        optimizer.build(list(target.trainable_variables))
