"""What a verification found."""

import dataclasses
from typing import Any

__all__ = ["Comparison", "ProbeResult", "Report"]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One output of one signature on the recorded examples.

    Attributes:
        signature: the signature.
        output: the output; empty when the request as a whole failed.
        max_abs_difference: largest difference from the recorded output; None where none can be told.
        allowed: the largest difference that passes.
        error: why there is no difference to tell; else empty.
    """

    signature: str
    output: str
    max_abs_difference: float | None
    allowed: float
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether the output equals the recorded one within the tolerance."""
        difference = self.max_abs_difference
        return not self.error and difference is not None and difference <= self.allowed


@dataclasses.dataclass(frozen=True)
class ProbeResult:
    """What became of one malformed request.

    Attributes:
        signature: the signature.
        input: the input that was wrong; ``"*"`` for all of them.
        kind: what was wrong: rank, shape, dtype, or an empty batch.
        sent: type and shape of what was sent.
        outcome: ``"error"``, ``"answer"``, ``"crash"`` or ``"hang"``.
        detail: status code, signal or message that came.
        ok: it was an error, or an answer to a request that the signature admits.
    """

    signature: str
    input: str
    kind: str
    sent: str
    outcome: str
    detail: str
    ok: bool


@dataclasses.dataclass(frozen=True)
class Report:
    """The result of a verification.

    Attributes:
        version_dir: the directory of the SavedModel.
        tensorflow_version: version of the C library that ran it.
        signatures: names of the signatures.
        comparisons: the recorded examples, output by output.
        probes: the malformed requests.
        foreign_ops: nodes whose op stock TensorFlow does not have, or that call back to Python.
        xla_demands: functions and ops that run only with XLA.
        faults: what else is wrong, one line each: no signatures, no recorded examples, a model that does not load.
    """

    version_dir: str
    tensorflow_version: str
    signatures: tuple[str, ...]
    comparisons: tuple[Comparison, ...] = ()
    probes: tuple[ProbeResult, ...] = ()
    foreign_ops: tuple[str, ...] = ()
    xla_demands: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether all is well."""
        return not self.problems

    @property
    def max_abs_difference(self) -> float | None:
        """Largest difference over all outputs; None when an output could not be compared, or there is none."""
        differences = [comparison.max_abs_difference for comparison in self.comparisons]
        known = [difference for difference in differences if difference is not None]
        return max(known) if known and len(known) == len(differences) else None

    @property
    def problems(self) -> tuple[str, ...]:
        """Everything that is wrong, one line each."""
        return (
            *self.faults,
            *(f"not stock TensorFlow: {what}" for what in self.foreign_ops),
            *(f"demands XLA: {what}" for what in self.xla_demands),
            *(_comparison_problem(comparison) for comparison in self.comparisons if not comparison.ok),
            *(_probe_problem(probe) for probe in self.probes if not probe.ok),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, for JSON."""
        plain = dataclasses.asdict(self)
        for row, comparison in zip(plain["comparisons"], self.comparisons, strict=True):
            row["ok"] = comparison.ok
        return {
            **plain,
            "ok": self.ok,
            "max_abs_difference": self.max_abs_difference,
            "problems": list(self.problems),
        }


def _comparison_problem(comparison: Comparison) -> str:
    place = f"signature {comparison.signature}" + (f", output {comparison.output}" if comparison.output else "")
    if comparison.error:
        return f"{place}: {comparison.error}"
    return f"{place}: off by {comparison.max_abs_difference:.3g}, allowed {comparison.allowed:.3g}"


def _probe_problem(probe: ProbeResult) -> str:
    detail = f" ({probe.detail})" if probe.detail else ""
    request = f"signature {probe.signature}, input {probe.input}: {probe.kind}, {probe.sent}"
    return f"{request}: {probe.outcome} instead of an error{detail}"
