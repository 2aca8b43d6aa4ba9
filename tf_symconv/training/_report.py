"""One HTML page that tells a run, with nothing outside it."""

import base64
import importlib.resources
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from tf_symconv.training._settings import PLAIN, ROLES, SYMMETRIC


def render(metrics: Mapping[str, Any], pictures: Mapping[str, Path]) -> str:
    """Return the page.

    Args:
        metrics: what ``metrics.json`` holds.
        pictures: PNG files by name: "curves", and "kernels_symmetric" and "kernels_plain".
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = importlib.resources.files("tf_symconv.training").joinpath("report.html.j2").read_text("utf-8")
    encoded = {name: base64.b64encode(path.read_bytes()).decode("ascii") for name, path in pictures.items()}
    return environment.from_string(template).render(
        metrics=metrics,
        comparison=comparison(metrics),
        probes=_probes_by_kind(metrics["verification"]["probes"]),
        pictures=encoded,
        symmetric=SYMMETRIC,
        plain=PLAIN,
    )


def comparison(metrics: Mapping[str, Any]) -> list[tuple[str, list[str], str]]:
    """Return the rows that put both models side by side: what, one value per model, and how they compare."""
    models = [metrics["models"][role] for role in ROLES]
    timing = [metrics["timing"]["milliseconds"][role] for role in ROLES]
    tests = metrics["data"]["sizes"]["test"]
    accuracy = [model["test"]["accuracy"] for model in models]
    errors = [round((1 - value) * tests) for value in accuracy]

    def weights(title: str, values: list[int]) -> tuple[str, list[str], str]:
        return title, [f"{value:,}" for value in values], _factor(values[1], values[0], "fewer")

    def time(title: str, kind: str) -> tuple[str, list[str], str]:
        values = [row[kind] for row in timing]
        return title, [f"{value:.2f} ms" for value in values], f"ratio {values[0] / values[1]:.2f}"

    return [
        (
            "Test accuracy",
            [f"{value:.2%}" for value in accuracy],
            _signed(100 * (accuracy[0] - accuracy[1]), "+.2f", " points"),
        ),
        ("Wrong test images", [f"{count} of {tests}" for count in errors], _signed(errors[0] - errors[1], "+d")),
        ("Test loss", [f"{model['test']['loss']:.4f}" for model in models], ""),
        weights("Free weights", [model["weights"]["free"] for model in models]),
        weights(
            "Free weights in convolutions", [sum(row["free"] for row in model["weights"]["layers"]) for model in models]
        ),
        ("Effective weights", [f"{model['weights']['effective']:,}" for model in models], ""),
        time("Time per training step", "train"),
        time("Time per prediction step", "predict"),
    ]


def _signed(difference: float, form: str, unit: str = "") -> str:
    return f"{difference:{form}}{unit}" if difference else "same"


def _factor(more: int, less: int, word: str) -> str:
    return "same" if more == less else f"{more / less:.2f} times {word}"


def _probes_by_kind(probes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Gather the malformed requests of one kind that had one outcome."""
    groups: dict[tuple[str, str, bool], dict[str, Any]] = {}
    for probe in probes:
        outcome = f"{probe['outcome']}, {probe['detail']}" if probe["detail"] else probe["outcome"]
        key = (probe["kind"], outcome, probe["ok"])
        group = groups.setdefault(key, {"kind": key[0], "outcome": outcome, "ok": probe["ok"], "sent": []})
        group["sent"].append(probe["sent"])
    return list(groups.values())
