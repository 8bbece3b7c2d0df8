"""A hook of the documentation site: sections of a translated page have the anchors of the English page, too.

A page that is not translated stands among the Chinese ones in English, and links to sections by their English headings:
`faq.md#does-a-gpu-help` leads to that section of faq.zh.md, whose own anchor is in Chinese. Both pages have the same
sections in the same order (`tests/test_translations.py`).
"""

from __future__ import annotations

import re
from typing import Any

from mkdocs.structure.pages import Page

_HEADING = re.compile(r"<h[1-6] id=\"([^\"]+)\">")

_of_english: dict[str, list[str]] = {}
"""The anchors of each English page's headings, in order; the default language is built first."""


def on_page_content(content: str, page: Page, **_: Any) -> str:
    """Remembers the anchors of English pages, and adds them to the headings of their translations."""
    name = page.file.src_uri
    own = _HEADING.findall(content)
    translated = f".{page.file.locale}.md"  # type: ignore[attr-defined]  # the plugin's for languages
    if not name.endswith(translated):
        _of_english[name] = own
        return content
    english = _of_english[name.removesuffix(translated) + ".md"]
    page.present_anchor_ids = (page.present_anchor_ids or set()) | set(english)
    left = iter(english)

    def with_both(match: re.Match[str]) -> str:
        anchor = next(left)
        return match[0] if anchor in own else f'{match[0]}<span id="{anchor}"></span>'

    return _HEADING.sub(with_both, content)
