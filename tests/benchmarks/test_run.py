"""What is measured, kept, resumed, and shown."""

import json
import sys

import pytest

from tf_symconv.benchmarks import Case, Options, Patience, PeerError, Store, Work, execute, folds, missed, sheets, stale
from tf_symconv.benchmarks import _run as module
from tf_symconv.benchmarks._memory import peak_memory
from tf_symconv.benchmarks._peers import Peer
from tf_symconv.benchmarks._plots import draw

HASTY = Patience(seconds=0.0, least=3, most=3, sample=0.0)
CASES = [Case("tile-rows", kernel, 4, 4, 8, 1, "inference") for kernel in (3, 5, 7)]
BAR = Case("group-d4-lift", 3, 64, 64, 32, 16, "training")
# A peer that answers as peers_e2cnn.py does.
STAND_IN = """#!{python}
import json, sys
print(json.dumps({{"versions": {{"e2cnn": "0", "torch": "1"}}}}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    if request["case"]["kernel"] == 7:
        sys.exit("seven is too many")
    medians = {{"e2cnn": 2.0, "torch": 1.0 * request["case"]["batch"]}}
    ratio = {{"median": 2.0, "quartiles": [1.9, 2.1], "interval": None, "rounds": 3}}
    print(json.dumps({{"medians": medians, "ratio": ratio, "construction": 0.5, "seconds": {{}}}}), flush=True)
"""


@pytest.fixture
def peer(tmp_path):
    script = tmp_path / "python-with-e2cnn"
    script.write_text(STAND_IN.format(python=sys.executable))
    script.chmod(0o755)
    return str(script)


@pytest.fixture
def count(monkeypatch):
    """Which cases are measured."""
    seen = []
    measure = module._Measurements.cases

    def counted(self, case):
        seen.append(case)
        return measure(self, case)

    monkeypatch.setattr(module._Measurements, "cases", counted)
    return seen


def test_what_is_known_is_not_measured_again(tmp_path, count):
    told = []
    with Store(tmp_path, {}) as store:
        assert execute(Work(CASES[:1]), store, Options(), HASTY) == 0
    with Store(tmp_path, {}) as store:
        first = json.dumps(store.results["cases"][CASES[0].key])
        assert execute(Work(CASES), store, Options(), HASTY, on_progress=lambda *args: told.append(args)) == 0
        assert json.dumps(store.results["cases"][CASES[0].key]) == first
        assert execute(Work(CASES), store, Options(), HASTY) == 0
    assert count == CASES
    assert told == [("cases", CASES[1], 1, 3), ("cases", CASES[2], 2, 3)]


def test_a_budget_ends_between_cases_and_an_interrupt_loses_one_case(tmp_path, count, monkeypatch):
    with Store(tmp_path, {}) as store:
        assert execute(Work(CASES), store, Options(), HASTY, budget=0.0) == 3
        assert count == []

        def stop(section, case, done, total):
            if done == 1:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            execute(Work(CASES), store, Options(), HASTY, on_progress=stop)
    with Store(tmp_path, {}) as store:
        assert list(store.results["cases"]) == [CASES[0].key]
        clock = iter([0.0, 1.0, 9.0, 9.0])
        monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
        assert execute(Work(CASES), store, Options(), HASTY, budget=5.0) == 1


def test_tables_and_pictures_show_the_figures(tmp_path):
    with Store(tmp_path / "results", {}) as store:
        execute(Work(CASES), store, Options(), HASTY)
        names = draw(store, CASES, False)
        shown = {sheet.title: sheet for sheet in sheets(store.results, CASES)}
        entry = store.results["cases"][CASES[0].key]
        assert stale(store.results, CASES, entry["code"]) == 0 and stale(store.results, CASES, "other") == 3
    times = shown["Times"]
    row = dict(zip(times.heads, times.rows[0], strict=True))
    low, high = entry["ratios"]["auto/dense"]["quartiles"]
    assert row["auto/dense"] == f"{entry['ratios']['auto/dense']['median']:.2f} ({low:.2f}-{high:.2f})"
    assert row["plain / dense / auto ms"].startswith(f"{1e3 * entry['medians']['plain']:.3g} / ")
    assert row["aim"] == "0.33" and "GPU" not in row
    growth = dict(zip(shown["Growth with the kernel"].heads, shown["Growth with the kernel"].rows[0], strict=True))
    assert growth["k"] == "3/5/7" and growth["multiplications"] == "1.00"
    assert "| layer | shape | k |" in times.markdown()
    assert names == ["ratios.png", "growth.png"]
    assert all((tmp_path / "results" / name).read_bytes().startswith(b"\x89PNG") for name in names)


def figures(ratio, interval=None):
    return {"median": ratio, "quartiles": [ratio, ratio], "interval": interval, "rounds": 9}


def results(**sections):
    return {"settings": {}, "cases": {}, "memory": {}, "construction": {}, "peers": {}, **sections}


def entry(case, ratio, **more):
    ratios = {"auto/plain": figures(ratio), "auto/dense": figures(ratio, [ratio - 0.01, ratio + 0.01])}
    return {
        "case": vars(case),
        "medians": {"plain": 1, "auto": ratio},
        "ratios": ratios,
        "aim": 0.5,
        "plan": None,
        **more,
    }


def test_bars_of_time_construction_and_memory_are_judged(tmp_path):
    slow = Case("mirror-v", 3, 64, 64, 32, 16, "training")
    found = results(
        cases={BAR.key: entry(BAR, 1.01), slow.key: entry(slow, 1.05)},
        construction={BAR.key: {"case": vars(BAR), "plain": 0.01, "ours": 0.051}},
        memory={
            slow.key: {
                "case": vars(slow),
                "dense": {"step": 2**20, "whole": 2**22, "source": "allocator"},
                "auto": {"step": 2**22, "whole": 9 * 2**20, "source": "allocator"},
            }
        },
    )
    gpu = {"cases": {slow.key: {"ratio": figures(0.5)}}}
    shown = {sheet.title: sheet for sheet in sheets(found, [BAR, slow], show_bars=True, memory_cases=[slow], gpu=gpu)}
    bars = {row[0] + row[2] + row[3]: row for row in shown["Bars"].rows}
    assert bars["group-d4-lift3training"][-2] == "passed" and bars["mirror-v3training"][-2] == "missed"
    assert bars["mirror-v3training"][-1] == "0.50 (0.50-0.50)" and bars["mirror-v5training"][-2] == "not measured"
    assert shown["Construction"].rows[0][-1] == "missed"
    assert shown["Peak memory"].rows[0][-2:] == ("2.25 (4.00)", "missed")
    above = next(sheet for title, sheet in shown.items() if title.startswith("No layer above"))
    assert [row[0] for row in above.rows] == ["mirror-v"] and "1 of 2 cases above 1.03" in above.note
    assert missed(found, [BAR, slow], [slow]) == 3
    assert missed(found, [BAR]) == 1  # of construction
    store = Store(tmp_path / "new", {})
    store.results = found
    store.begin()
    assert draw(store, [BAR, slow], True) == ["bars.png", "ratios.png"]
    store.close()


def test_peak_memory_of_a_step_holds_at_least_what_it_returns():
    case = Case("mirror-v", 3, 4, 8, 64, 4, "training")
    found = peak_memory(case, Options(implementations=("dense",)))["dense"]
    cells = 4 * 64 * 64
    assert found["step"] >= 4 * cells * (8 + 4)  # outputs, and the gradient with respect to the inputs
    assert found["whole"] == found["step"] + 4 * (cells * (4 + 8) + 2 * 3 * 4 * 8)


@pytest.mark.parametrize("layer", ["mirror-v", "mirror-hv", "bank-hv"])
def test_xla_keeps_to_the_order_of_lots(layer):
    """It heeds data alone: with control dependencies these steps need 2.6 to 5.1 times the memory of dense ones."""
    case, options = Case(layer, 7, 64, 64, 32, 16, "training"), Options(jit_compile=True)
    assert folds(case, options)
    found = peak_memory(case, options)
    dense, auto = found["dense"], found["auto"]
    assert dense["source"] == auto["source"] == "xla"
    assert dense["whole"] >= 4 * 4 * 16 * 32 * 32 * 64  # inputs and outputs, and the gradients with respect to both
    assert dense["whole"] < auto["whole"] < 2 * dense["whole"]


def test_a_process_that_fails_is_told(tmp_path, monkeypatch):
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho much >&2\necho out of memory >&2\nexit 3\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    with pytest.raises(ArithmeticError, match="the process that measures memory ended with 3: out of memory"):
        peak_memory(CASES[0], Options())


def test_peers_answer_case_by_case(tmp_path, peer):
    cases = [Case("group-c4-lift", kernel, 4, 4, 8, 3, "inference") for kernel in (3, 5)]
    with Store(tmp_path / "new", {}) as store:
        execute(Work(cases, peers=cases, interpreter=peer), store, Options(), HASTY)
        entry = store.results["peers"][cases[1].key]
        assert entry["medians"] == {"e2cnn": 2.0, "torch": 3.0} and entry["versions"]["torch"] == "1"
        table = next(sheet for sheet in sheets(store.results, cases) if sheet.title == "Peers")
        row = dict(zip(table.heads, table.rows[0], strict=True))
        ours = store.results["cases"][cases[0].key]["medians"]["auto"]
        assert row["torch / e2cnn ms"] == "3000 / 2000" and row["ours/e2cnn"] == f"{ours / 2:.2f}"


def test_a_peer_that_ends_or_lacks_its_library_is_told_in_a_line(peer):
    worker = Peer(peer)
    try:
        with pytest.raises(PeerError, match="ended with 1: seven is too many"):
            worker.measure(Case("group-c4-lift", 7, 4, 4, 8, 3, "inference"), HASTY, Options())
    finally:
        worker.close()
    with pytest.raises(PeerError, match="lacks a library"):
        Peer(sys.executable)
    with pytest.raises(PeerError, match="does not start"):
        Peer("/nowhere/python")


def test_choices_of_auto_that_cost_time_are_listed():
    cases = [Case("mirror-v", kernel, 64, 64, 32, 16, "training") for kernel in (3, 5, 7)]
    entries = {}
    for case, auto in zip(cases, (1.0, 1.3, 2.0), strict=True):
        plan = {"forward_cost": 0.25, "training_cost": 0.75}
        entries[case.key] = entry(case, auto, plan=plan)
        entries[case.key]["medians"] = {"plain": 1, "dense": 1.0, "folded": 1.2, "auto": auto}
    shown = {sheet.title: sheet for sheet in sheets(results(cases=entries), cases)}
    choices = shown["Choices of auto"]
    assert [row[2] for row in choices.rows] == ["7", "5"] and [row[-1] for row in choices.rows] == ["2.00", "1.30"]
    assert "in 2 of 3 cases" in choices.note
    assert shown["Times"].rows[0][shown["Times"].heads.index("plan")] == "0.75"
