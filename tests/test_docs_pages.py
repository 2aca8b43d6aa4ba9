"""The pages of the documentation say what is so: their code runs, and prints what its comments say."""

import importlib.util
import re
from pathlib import Path

import pytest

import tf_symconv

DOCS = Path(__file__).parents[1] / "docs"
#: The migration guide has a test of its own.
PAGES = sorted(
    page.relative_to(DOCS).as_posix()
    for page in DOCS.rglob("*.md")
    if "```python\n" in page.read_text() and page.name != "migration.md"
)
BLOCK = re.compile(r"(?:<!-- needs: (.*?) -->\n)?```python\n(.*?)```", re.DOTALL)
PROMISE = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)


def missing(modules):
    return [name for name in modules.split() if importlib.util.find_spec(name) is None]


@pytest.mark.parametrize("page", PAGES)
def test_its_code_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "page"}
    for number, (needs, block) in enumerate(BLOCK.findall((DOCS / page).read_text())):
        if missing(needs):
            continue
        capsys.readouterr()
        exec(compile(block, f"docs/{page}, block {number}", "exec"), namespace)
        promised = PROMISE.findall(block)
        if promised:
            said = [line for line in capsys.readouterr().out.splitlines() if line]
            assert [line for line in said if line in promised] == promised, said


def test_there_are_pages_with_code():
    assert {"concepts.md", "spectral.md", "how-to/swap.md"} <= set(PAGES)


@pytest.mark.parametrize("page", sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")))
def test_its_links_and_pictures_exist(page):
    text = re.sub(r"```.*?```", "", (DOCS / page).read_text(), flags=re.DOTALL)
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    own = [target for target in targets if target and not target.startswith(("http://", "https://"))]
    assert [target for target in own if not ((DOCS / page).parent / target).exists()] == []


def test_every_public_package_has_a_page_of_the_api():
    names = set(tf_symconv.__all__) - {"__version__"}
    pages = {
        name
        for page in (DOCS / "api").glob("*.md")
        for name in re.findall(r"^::: tf_symconv\.(\S+)", page.read_text(), re.M)
    }
    assert names - pages == set()


def test_the_front_page_and_the_readme_show_the_same_example():
    readme = (DOCS.parent / "README.md").read_text()
    example = BLOCK.findall((DOCS / "index.md").read_text())[0][1]
    assert f"```python\n{example}```" in readme


def test_every_notebook_is_listed():
    page = (DOCS / "how-to/notebooks.md").read_text()
    assert re.findall(r"^\| `(.*?\.ipynb)`", page, re.M) == sorted(
        path.name for path in (DOCS.parent / "colab").glob("*.ipynb")
    )


@pytest.mark.parametrize("name", ["words", "structures", "flip_bank", "group_lift", "group", "equivariance"])
def test_the_pictures_can_be_drawn(name):
    pytest.importorskip("matplotlib", reason="the extra 'plot' is not installed")
    from docs import draw_concepts

    assert set(draw_concepts.PICTURES) <= {path.stem for path in (DOCS / "images").glob("*.png")}
    figure = draw_concepts.PICTURES[name]()
    assert sum(len(part.axes) for part in [figure, *figure.subfigs]) >= 1
