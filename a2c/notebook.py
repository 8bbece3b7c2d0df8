"""How things show themselves in a notebook: a heading, a table of words, perhaps a picture."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping


def table(title: str, rows: Mapping[str, str], picture: bytes | None = None) -> str:
    """A piece of HTML that stands on a light page and on a dark one, without a script and without anything to load.

    Args:
        title: Of the whole.
        rows: What there is to say, by what it is about. Everything is escaped: a run's folder may be a stranger's.
        picture: A PNG to stand below.
    """
    lines = "".join(
        f'<tr><th style="text-align:left">{html.escape(name)}</th>'
        f'<td style="text-align:left">{html.escape(value)}</td></tr>'
        for name, value in rows.items()
    )
    drawn = ""
    if picture is not None:
        data = base64.b64encode(picture).decode()
        drawn = f'<img alt="learning curve" style="max-width:100%" src="data:image/png;base64,{data}">'
    return f"<div><strong>{html.escape(title)}</strong><table>{lines}</table>{drawn}</div>"
