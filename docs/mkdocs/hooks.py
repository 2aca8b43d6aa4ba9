"""What mkdocs does besides its plugins: formulas become MathML, help is asked for, packages lie where they install."""

import configparser
import contextlib
import html
import io
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
_HELP = "<!-- symconv --help -->"
_INCLUDE = re.compile(r"<!-- include: (\S+) -->")
_links: tempfile.TemporaryDirectory | None = None


@event_priority(100)  # before mkdocstrings reads it
def on_config(config: Any) -> Any:
    """Show mkdocstrings a tree in which ``serving`` and the like lie inside ``tf_symconv``, as they install."""
    global _links
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    _links = tempfile.TemporaryDirectory(prefix="tf_symconv-docs-")
    package = Path(_links.name) / "tf_symconv"
    package.mkdir()
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    places = dict(line.split(" = ") for line in setup["options"]["package_dir"].strip().splitlines())
    for path in (ROOT / places.pop("tf_symconv")).iterdir():
        (package / path.name).symlink_to(path)
    for name, place in places.items():
        (package / name.removeprefix("tf_symconv.")).symlink_to(ROOT / place)
    config.plugins["mkdocstrings"].config.handlers.setdefault("python", {})["paths"] = [_links.name]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pictures that lie beside the page of the benchmarks."""
    folder = ROOT / "benchmarks"
    for path in sorted([*folder.rglob("*.png"), *folder.rglob("*.svg")]):
        files.append(File.generated(config, path.relative_to(folder).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put other pages of the repository, and what ``symconv --help`` says, in their places."""
    markdown = _INCLUDE.sub(lambda match: (ROOT / match[1]).read_text().replace("](../docs/", "]("), markdown)
    if _HELP not in markdown:
        return markdown
    overview = _help()
    names = re.findall(r"^  ([\w-]+)  ", overview, re.MULTILINE)
    parts = [f"```text\n{overview}```"]
    parts += [f"## `symconv {name}` {{#symconv-{name}}}\n\n```text\n{_help(name)}```" for name in names]
    return markdown.replace(_HELP, "\n\n".join(parts))


def _help(*command: str) -> str:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from tf_symconv import cli

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        cli.main(["symconv", *command, "--help"])
    return said.getvalue()


def on_page_content(content: str, **_: Any) -> str:
    r"""Replace what arithmatex marked as TeX by MathML, which browsers show without scripts or fonts of ours."""

    def formula(match: re.Match[str]) -> str:
        display = "block" if match[2] == "[" else "inline"
        return convert(html.unescape(match[3]).strip(), display=display)

    return _FORMULA.sub(formula, content)


def on_post_build(**_: Any) -> None:
    """Take the tree away."""
    if _links is not None:
        _links.cleanup()
