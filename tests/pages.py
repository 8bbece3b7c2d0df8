"""The pages of the project and what stands in them: code blocks, code in lines, links, headings; and running a page.

What is to be done with a block is said in a comment before it, which no reader sees:

    <!-- check: compiles, because it needs a GPU -->    Python is compiled, and the names of a2c in it are looked up
    <!-- check: file tank.py -->                        it is saved under that name, for what follows on the page
    <!-- check: output -->                              it is what a command prints
    <!-- check: commands only -->                       on a page that is run: it is not

and `<!-- check: run this page -->` anywhere on a page: its commands are run one after another, in an empty folder, as
in a shell. Otherwise Python is run, and commands are read by the parsers that would take them (tests/test_docs.py).

A translation whose blocks differ from those of the English page in nothing that a computer reads does the same when it
is run: it is not (`SAME_TO_RUN`). One with Chinese in what it prints, say, is.
"""

import ast
import os
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from markdown_it import MarkdownIt

ROOT = Path(__file__).parent.parent
CHINESE = {
    ROOT / "README.md": ROOT / "README.zh-CN.md",
    **{page.with_name(page.name.replace(".zh.md", ".md")): page for page in sorted((ROOT / "docs").glob("*.zh.md"))},
}
"""Pages that are translated, and their translations."""
PAGES = [ROOT / "README.md", ROOT / "README.zh-CN.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
_CHECK = re.compile(r"<!-- check: (.*?) -->")
_RUN = "run this page"
_MARKDOWN = MarkdownIt("commonmark").enable("table")


class Block(NamedTuple):
    """A block of code."""

    line: int
    language: str
    """As the page names it; sh where it names none, as on the site."""
    text: str
    check: str
    """What the comment before it says, or nothing."""


class Text(NamedTuple):
    """Something within a line."""

    line: int
    text: str


def source(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def is_run(page: Path) -> bool:
    """Whether the page's commands are run one after another."""
    return _RUN in _CHECK.findall(source(page))


def blocks(page: Path) -> list[Block]:
    found, check = [], ""
    for token in _MARKDOWN.parse(source(page)):
        if token.type == "html_block":
            check = next((one for one in _CHECK.findall(token.content) if one != _RUN), "")
        elif token.type in ("fence", "code_block"):
            assert token.map is not None
            found.append(Block(token.map[0] + 1, token.info.strip() or "sh", token.content, check))
            check = ""
        elif token.type.endswith("_open"):
            check = ""
    return found


def _as_run(block: Block) -> tuple[str, str, object]:
    """Language, check and code of a block, without what only people read: comments and docstrings."""
    code: object = block.text
    if block.language == "python":
        tree = ast.parse(block.text)
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
                node.body[:1] = [ast.Pass()]
        code = ast.dump(tree)
    elif block.language == "sh":
        lines = block.text.replace("\\\n", " ").splitlines()
        code = [shlex.split(line, comments=True, posix=False) for line in lines]  # Words with their quotation marks.
    return block.language, block.check, code


def runs_like(page: Path, other: Path) -> bool:
    """Whether running one page does what running the other does."""
    return [_as_run(block) for block in blocks(page)] == [_as_run(block) for block in blocks(other)]


SAME_TO_RUN = {chinese for english, chinese in CHINESE.items() if runs_like(english, chinese)}
"""Translations that do what the English page does, block by block."""


def codes(page: Path) -> list[Text]:
    """What stands between backticks, in lines."""
    return [Text(line, child.content) for line, child in _inline(page) if child.type == "code_inline"]


def links(page: Path) -> list[Text]:
    """Where links and pictures lead, as the page's author writes it: anchors in Chinese are not encoded."""
    return [
        Text(line, unquote(child.attrs["href" if child.type == "link_open" else "src"]))
        for line, child in _inline(page)
        if child.type in ("link_open", "image")
    ]


def headings(page: Path) -> list[str]:
    tokens = _MARKDOWN.parse(source(page))
    return [after.content for token, after in pairwise(tokens) if token.type == "heading_open"]


def pictures(page: Path) -> list[str]:
    return [child.attrs["src"] for _, child in _inline(page) if child.type == "image"]


def levels(page: Path) -> list[str]:
    """The levels of its headings: h1, h2 ..."""
    return [token.tag for token in _MARKDOWN.parse(source(page)) if token.type == "heading_open"]


def tables(page: Path) -> list[list[list[str]]]:
    """Its tables: rows of cells, heads included."""
    found: list[list[list[str]]] = []
    tokens = _MARKDOWN.parse(source(page))
    for token, after in pairwise(tokens):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type in ("th_open", "td_open"):
            found[-1][-1].append(after.content)
    return found


def paragraphs(page: Path) -> list[Text]:
    """What is written in paragraphs, headings, items and cells, with its marks: everything but blocks of code."""
    return [
        Text(token.map[0] + 1 if token.map else 0, token.content)
        for token in _MARKDOWN.parse(source(page))
        if token.type == "inline"
    ]


def _inline(page: Path):
    line = 1
    for token in _MARKDOWN.parse(source(page)):
        line = token.map[0] + 1 if token.map else line
        for child in token.children or []:
            yield line, child


def run(page: Path, folder: Path) -> list[str]:
    """Runs a page's commands and programs one after another in an empty folder; returns what each block printed."""
    programs = folder / "bin"
    programs.mkdir()
    (programs / "a2c").write_text(f'#!/bin/sh\nexec {sys.executable} -m a2c "$@"\n')
    (programs / "a2c").chmod(0o755)
    place = folder / "place"
    place.mkdir()
    environment = os.environ | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "MPLBACKEND": "agg",
    }
    said = []
    for block in blocks(page):
        if block.check.startswith("file "):
            (place / block.check.removeprefix("file ")).write_text(block.text)
        elif block.language in ("python", "sh") and not block.check and "pip install" not in block.text:
            line = ["bash", "-e", "-c", block.text] if block.language == "sh" else [sys.executable, "-c", block.text]
            done = subprocess.run(line, cwd=place, env=environment, capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, f"{page.name}:{block.line}\n{block.text}\n{done.stdout}\n{done.stderr}"
            said.append(done.stdout)
    return said
