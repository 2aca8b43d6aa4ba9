"""What the trials come to: means, spreads, and a table."""

import statistics
from collections.abc import Sequence
from typing import Any

from tf_symconv.comparison._settings import ANY, BUDGETS, GROUP, METHODS, REFERENCE, Trial

_BUDGET_TITLES = {"parameters": "equal parameters", "compute": "equal compute", REFERENCE: ""}


def summarize(records: Sequence[tuple[Trial, dict[str, float]]]) -> list[dict[str, Any]]:
    """Return one cell for all seeds of a trial: the mean accuracy, its standard deviation, and all values."""
    values: dict[tuple[str, str, str, int], list[float]] = {}
    for trial, figures in records:
        values.setdefault((trial.turns, trial.method, trial.budget, trial.size), []).append(figures["accuracy"])
    return [
        {
            **dict(zip(("turns", "method", "budget", "size"), key, strict=True)),
            "accuracy": statistics.fmean(each),
            "spread": statistics.stdev(each) if len(each) > 1 else None,
            "values": each,
        }
        for key, each in values.items()
    ]


def name_of(method: str) -> str:
    """Return the name of a method as people read it."""
    return method.replace("_", " ")


def title(turns: str, results: dict[str, Any]) -> str:
    """Tell how images are turned."""
    return {GROUP: f"turned by the elements of {results['settings']['group']}", ANY: "turned by any angle"}[turns]


def sizes(results: dict[str, Any]) -> list[int]:
    """List the numbers of training images."""
    return sorted({cell["size"] for cell in results["cells"]})


def rows(results: dict[str, Any], turns: str) -> list[tuple[str, str, int, int, list[str]]]:
    """Return the rows of a table: name, what it is matched in, weights, multiplications, accuracies in percent."""
    cells = {
        (cell["method"], cell["budget"], cell["size"]): cell for cell in results["cells"] if cell["turns"] == turns
    }
    networks = {(network["method"], network["budget"]): network for network in results["networks"]}
    found = []
    for budgets in ((REFERENCE,), *((budget,) for budget in BUDGETS)):
        for method in METHODS:
            network = networks.get((method, budgets[0]))
            if network is not None:
                texts = [_percent(cells[method, budgets[0], size]) for size in sizes(results)]
                found.append(
                    (method, _BUDGET_TITLES[budgets[0]], network["weights"], network["multiplications"], texts)
                )
    return found


def _percent(cell: dict[str, Any]) -> str:
    mean = f"{100 * cell['accuracy']:.1f}"
    return mean if cell["spread"] is None else f"{mean} ± {100 * cell['spread']:.1f}"


def markdown(results: dict[str, Any]) -> str:
    """Return the tables of a comparison in Markdown."""
    settings, data = results["settings"], results["data"]
    parts = [
        f"Test accuracy in percent, mean ± standard deviation of {settings['seeds']} "
        f"{'seed' if settings['seeds'] == 1 else 'seeds'}, by number of training images; {data['name']}, "
        f"{data['image_shape'][0]}x{data['image_shape'][1]} cells, {settings['steps']} steps of "
        f"{settings['batch_size']} images.\n"
    ]
    for turns in dict.fromkeys(cell["turns"] for cell in results["cells"]):
        head = ["network", "weights", "multiplications", *map(str, sizes(results))]
        lines = [f"Images {title(turns, results)}:", "", _line(head), _line(["---", *["---:"] * (len(head) - 1)])]
        for method, budget, weights, multiplications, texts in rows(results, turns):
            name = f"{name_of(method)}, {budget}" if budget else name_of(method)
            lines.append(_line([name, f"{weights:,}", f"{multiplications:,}", *texts]))
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
