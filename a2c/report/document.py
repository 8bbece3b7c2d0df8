"""A report as data, and as one HTML file that loads nothing from outside."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, NamedTuple

from a2c.report.charts import Chart
from a2c.version import __version__


class Tile(NamedTuple):
    """A large figure at the top of the page."""

    name: str
    value: str
    note: str = ""


class Share(NamedTuple):
    """A part of a whole."""

    name: str
    value: str
    note: str
    percent: float


class Table(NamedTuple):
    """A head and rows."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[int] = ()
    """Columns that hold numbers."""
    summary: str = ""
    """If given, the table is folded behind this text."""


class Section(NamedTuple):
    """A part of the page; its fields stand on the page in this order."""

    title: str
    text: Sequence[str] = ()
    tables: Sequence[Table] = ()
    charts: Sequence[Chart] = ()
    is_dense: bool = False
    """Whether charts are drawn small, several in a line."""
    shares: Sequence[Share] = ()
    video: str = ""
    """A data URL."""
    commands: Sequence[str] = ()
    notes: Sequence[str] = ()


class Page(NamedTuple):
    """The whole report."""

    title: str
    headline: str
    lead: Sequence[str]
    tiles: Sequence[Tile]
    sections: Sequence[Section]


def to_html(page: Page) -> str:
    """The page as one HTML file. All texts are escaped, since names and settings may come from strangers."""
    from jinja2 import DictLoader, Environment, StrictUndefined  # Imported here: only `a2c report` needs it.

    folder = files("a2c.report") / "page"
    sources = {name: (folder / name).read_text("utf-8") for name in ("page.html", "parts.html")}
    style, script = ((folder / name).read_text("utf-8") for name in ("style.css", "hover.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(
        loader=DictLoader(sources),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        keep_trailing_newline=True,
    )
    return environment.get_template("page.html").render(
        page=page, style=style, script=script, script_hash=f"sha256-{digest}", version=__version__
    )


def _visible(value: Any) -> Any:
    """Text on one line, without invisible characters and without those that reverse the text after them."""
    if type(value) is not str or value.isprintable():  # A subclass of str is our own markup.
        return value
    return "".join(one if one.isprintable() else " " if one.isspace() else "\N{REPLACEMENT CHARACTER}" for one in value)


def shortened(text: str, longest: int = 300) -> str:
    """A stranger's text, cut to a length that fits a page."""
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
