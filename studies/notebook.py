"""The tutorial as a notebook: built from the page, so that there is one text.

    python -m studies.notebook        examples/tutorial.ipynb from docs/tutorial.md, and so in every language there is

A block of Python becomes a cell of code, all else cells of text. What the page shows of a block's outcome, printed text
or a picture right behind it, is left out: in the notebook the block shows it itself. A comment `<!-- notebook ... -->`
is a cell of code that only the notebook has. Outputs are not committed: they hold times, folders and pictures that
differ from machine to machine, and a test runs the notebook from top to bottom anyway.
"""

from __future__ import annotations

import json
import os.path
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

ROOT = Path(__file__).parent.parent
_PIECES = re.compile(
    r"^```python\n(?P<code>.*?)^```$"
    r"|^```text\n(?P<printed>.*?)^```$"
    r"|^<!-- notebook\n(?P<extra>.*?)^-->$"
    r"|^!\[[^\]]*\]\((?P<picture>[^)]+)\)$",
    re.DOTALL | re.MULTILINE,
)
_LINK = re.compile(r"(\]\()(?!https?://|#|mailto:)([^)#]+)")

Kind = Literal["text", "code", "printed", "extra", "picture"]


class Piece(NamedTuple):
    """A piece of a page, in order."""

    kind: Kind
    text: str
    """Of a picture: where it is, as seen from the page."""
    source: str
    """As it stands in the page."""


def pieces(page: str) -> Iterator[Piece]:
    """Blocks of Python, what they print, pictures on a line of their own, and the text between them."""
    end = 0
    for match in _PIECES.finditer(page):
        if between := page[end : match.start()].strip("\n"):
            yield Piece("text", between, between)
        kind: Any = match.lastgroup
        yield Piece(kind, match[kind], match[0])
        end = match.end()
    if rest := page[end:].strip("\n"):
        yield Piece("text", rest, rest)


def code_of(page: Path) -> list[str]:
    """The blocks of Python of a page."""
    return [piece.text for piece in pieces(page.read_text(encoding="utf-8")) if piece.kind == "code"]


def notebook(page: Path, target: Path) -> str:
    """A notebook of a page, which is going to lie at `target`, as JSON."""
    cells: list[dict[str, Any]] = []
    shows_itself = False
    whole_page = page.read_text(encoding="utf-8")
    headings = {_slug(heading): heading.replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", whole_page, re.M)}
    for kind, text, source in pieces(whole_page):
        if kind in ("code", "extra"):
            cells.append(_cell(len(cells), "code", text))
            shows_itself = True
        elif kind == "text" or not shows_itself:
            cells.append(_cell(len(cells), "markdown", _linked_from(target, page, source, headings)))
            shows_itself = False
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    whole = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _cell(number: int, kind: Literal["code", "markdown"], text: str) -> dict[str, Any]:
    own: dict[str, Any] = {"execution_count": None, "outputs": []} if kind == "code" else {}
    lines = text.strip("\n").splitlines(keepends=True)
    return {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, **own, "source": lines}


def _linked_from(target: Path, page: Path, text: str, headings: dict[str, str]) -> str:
    """Text with its links as they are from where the notebook lies, and those to headings as Jupyter names these."""

    def moved(match: re.Match[str]) -> str:
        return match[1] + Path(os.path.relpath(page.parent / match[2], target.parent)).as_posix()

    text = _LINK.sub(moved, text)
    return re.sub(r"\]\(#([^)]+)\)", lambda match: f"](#{headings[match[1]]})", text)


def _slug(heading: str) -> str:
    """What a heading is called in links of a page."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def notebooks() -> dict[Path, Path]:
    """Every page of the tutorial, with its notebook: docs/tutorial.zh.md is examples/tutorial.zh.ipynb."""
    pages = sorted((ROOT / "docs").glob("tutorial*.md"))
    return {page: ROOT / "examples" / f"{page.stem}.ipynb" for page in pages}


def main() -> int:
    for page, target in notebooks().items():
        target.write_text(notebook(page, target), encoding="utf-8")
        print(target.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
