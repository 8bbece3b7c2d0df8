"""How runs and policies appear in a notebook: a heading, a table, and perhaps a picture."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping


def table(title: str, rows: Mapping[str, str], picture: bytes | None = None) -> str:
    """HTML for light and dark pages, without scripts and without anything to load.

    Args:
        title: The heading.
        rows: The rows of the table. Everything is escaped: a run's folder may be a stranger's.
        picture: A PNG to show below.
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
