"""Every notebook runs from its first cell to its last on small settings, and finds what its text says."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import tf_symconv

FOLDER = Path(__file__).parents[2] / "colab"

# What must hold in a notebook when it has run, in its own names.
CHECKS = {
    "01_quickstart": """
        assert accuracy["plain"] > 0.85 and accuracy["mirrored"] > 0.8
        assert networks["mirrored"].count_params() < 0.7 * networks["plain"].count_params()
        assert np.array_equal(kernel, kernel[::-1]) and np.array_equal(kernel, kernel[:, ::-1])
    """,
    "02_force_symmetry": """
        middle = {name: np.median(values, axis=1) for name, values in errors.items()}
        # With as few pixels, the right structure finds more than no structure.
        assert (middle["mixed"][:, :2] < 0.8 * middle["free"][:, :2]).all()
        assert middle["mixed"][-1, 0] < 0.25 and middle["mixed"][-1].max() < 0.5
        # Where there is no symmetry, more pixels do not help the wrong structure.
        assert middle["circular"][-1, 2] > 0.6 and middle["mirrored"][-1, 2] > 0.4
    """,
    "03_tiled_and_patterned": """
        rows = {(row["task"], row["layer"]): row for row in table}
        small, large, tiled = (rows["fabrics", name] for name in ("small", "large", "tiled"))
        assert tiled["weights"] == small["weights"] == large["weights"] // 25
        assert tiled["accuracy"] > small["accuracy"] + 0.2 and tiled["accuracy"] > large["accuracy"] - 0.1
        assert tiled["planned"] < tiled["dense"] / 10 and small["planned"] == small["dense"]
        assert rows["digits", "coarse"]["accuracy"] > 0.85 and rows["digits", "coarse"]["weights"] == 9 * FILTERS
    """,
    "04_twin_flips": """
        assert [round(float(maps["twins, max"][4, place])) for place in (4, 13, 22)] == [7, 7, 5]
        assert [round(float(maps["twins, sum"][4, place])) for place in (4, 13, 22)] == [10, 10, 10]
        for name in ("twins, max", "twins, sum"):
            assert np.ptp(accuracy[name]) < 0.005 and accuracy[name][0] > 0.75, name
        assert accuracy["plain"][0] > 0.85 and accuracy["plain"][1] < 0.7
        assert len({model.count_params() for model in networks.values()}) == 1
    """,
    "05_group_equivariance": """
        assert verdict.first.name == "conv3" and equivariance.lint(networks["c4"]).ok
        assert reports["c4"].ok and reports["plain"].first.name == "conv1"
        assert reports["c4, trapped"].first.name == "conv3"
        assert np.ptp(accuracy["c4"]) < 0.005 and accuracy["c4"][0] > 0.75
        assert min(accuracy["c4, trapped"]) < accuracy["c4"][0] - 0.1
        assert max(accuracy["plain"][1:]) < 0.7 < accuracy["plain"][0]
    """,
    "06_spectral": """
        cells, waves = errors.values()
        assert cells[-1, 0] < 0.8 * waves[-1, 0] and waves[-1, 1] < 0.8 * cells[-1, 1]
        assert np.allclose(cells[0], waves[0], atol=0.05)
        for size in set(WINDOWS) & set(lost["spectral"]):
            assert lost["spectral"][size] < lost["maximum of windows"][size]
    """,
    "07_tensorflow1_to_serving": """
        assert status == 0 and len(report.matched) == 19 and not report.missing
        assert sum(match.action == "state" for match in report.matched) == 13
        assert abs(restored - old).max() < 1e-4 and int(model.optimizer.iterations) > OLD_STEPS
        assert history["loss"][0] < 1.0 and verdict.ok and verified.ok
        assert abs(answers(test[0]) - trained).max() < 1e-4
        assert np.mean(trained.argmax(axis=-1) == test[1]) > 0.6
    """,
    "08_serving": """
        assert report.ok and set(report.signatures) == {"classify", "serving_default"} and len(report.probes) > 10
        # Whether and how a plain export fails is TensorFlow's affair; that it answers images of another size is not.
        assert not plain.ok and any(probe.outcome != "error" for probe in plain.probes)
        assert accuracy > 0.6
        assert np.allclose(results[-1], wanted, atol=1e-5) and len(results[-1]) == REQUESTS * CLIENTS[-1]
    """,
}
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_eight_and_each_has_its_checks():
    assert [path.stem for path in NOTEBOOKS] == sorted(CHECKS)
    assert [path.stem[:2] for path in NOTEBOOKS] == [f"{number:02}" for number in range(1, 9)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_finds_what_it_says(path, tmp_path, monkeypatch):
    for name, value in {
        "SYMCONV_SMALL": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "JUPYTER_DATA_DIR": str(tmp_path / "jupyter"),
        # Neither an installation nor a download gets anywhere.
        "PIP_NO_INDEX": "1",
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"),
        "no_proxy": "127.0.0.1,localhost",
    }.items():
        monkeypatch.setenv(name, value)
    notebook = read(path)
    last = code_cells(notebook)[-1]
    notebook.cells.append(nbformat.v4.new_code_cell("if True:" + CHECKS[path.stem], id="checks"))
    work = tmp_path / "work"
    work.mkdir()
    resources = {"metadata": {"path": str(work)}}
    NotebookClient(notebook, timeout=600, startup_timeout=180, kernel_name="python3", resources=resources).execute()

    kinds = {kind for output in last.outputs for kind in output.get("data", {})}
    assert kinds & {"image/png", "text/markdown", "text/html"}, "the last cell shows a plot or a table"
    install = next(cell for cell in notebook.cells if cell.id == "install")
    assert not install.outputs, "nothing was installed"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_stored_clean(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)  # cells have ids
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert dict(notebook.metadata.language_info) == {"name": "python"}
    for cell in notebook.cells:
        assert not cell.metadata, cell.id
        assert cell.cell_type == "markdown" or (cell.outputs == [] and cell.execution_count is None), cell.id
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids) and all(re.fullmatch("[a-z][a-z0-9-]*", each) for each in ids)
    assert path.read_text(encoding="utf-8") == nbformat.writes(notebook) + "\n"


def test_all_install_alike():
    cells = {next(cell for cell in read(path).cells if cell.id == "install").source for path in NOTEBOOKS}
    assert len(cells) == 1
    (source,) = cells
    # Whatever else a notebook does, only this line installs, where the package cannot be imported.
    assert source.index('find_spec("tf_symconv") is None') < source.index("%pip install")
    for path in NOTEBOOKS:
        assert path.read_text(encoding="utf-8").count("pip install -q") == 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_teaches(path):
    notebook = read(path)
    assert notebook.cells[0].cell_type == "markdown" and notebook.cells[0].source.startswith("# ")
    words = sum(len(cell.source.split()) for cell in notebook.cells if cell.cell_type == "markdown")
    assert words > 200
    assert notebook.cells[-1].cell_type == "markdown"  # what to take home


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_uses_public_names_only(path):
    """No private module of ours, and every notebook that it names exists."""
    for cell in code_cells(read(path)):
        source = re.sub(r"^(\s*)%.*$", r"\1pass", cell.source, flags=re.MULTILINE)
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith(tf_symconv.__name__):
                names = [*str(node.module).split("."), *(alias.name for alias in node.names)]
                assert not [name for name in names if name.startswith("_")], cell.id
    named = re.findall(r"\d\d_\w+\.ipynb", path.read_text(encoding="utf-8"))
    assert [name for name in named if not (FOLDER / name).is_file()] == []
