"""Tables of a page, between their markers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path


def filled(text: str, tables: Mapping[str, Callable[[], str]], page: Path) -> str:
    """The text of a page with every table as the results have it.

    Raises:
        SystemExit: The page has not exactly one place for each.
    """
    for name, table in tables.items():
        pattern = rf"(<!-- table: {name} -->\n).*?(<!-- end -->)"
        text, count = re.subn(
            pattern, lambda match, table=table: f"{match[1]}{table()}\n{match[2]}", text, flags=re.DOTALL
        )
        if count != 1:
            raise SystemExit(f"{page} has {count} places for the table {name}; it must have one")
    return text
