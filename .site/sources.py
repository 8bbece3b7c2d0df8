"""A hook of the documentation site: a link out of docs/ leads to a page that shows that file, or lists that folder.

`[returns.py](../a2c/returns.py)` is right on GitHub as it stands. On the site it leads to source/a2c/returns.py.html,
which has an anchor for every line and every name: `../a2c/returns.py#L20`, `../a2c/config.py#Config.gamma`. The build
fails if one of these does not exist.
"""

from __future__ import annotations

import ast
import functools
import html
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound

ROOT = Path(__file__).parent.parent
FOLDER = "source"
AS_THEY_ARE = {".gif", ".jpg", ".json", ".png", ".svg"}
"""Files that are copied; all others have a page."""

_LINK = re.compile(r"(?P<before>\]\(|(?:src|href)=\")(?P<target>\.\./[^)\s\"#]*)(?P<anchor>#[^)\s\"]*)?")


@event_priority(-200)  # After the plugin for languages, which would take the files for some of docs/.
def on_files(files: Files, config: Any) -> Files:
    """Adds what pages link to outside docs/: in each language all of it, as its pages lead to those in the others."""
    language = config.plugins["i18n"].current_language
    prefix = "" if language == config.plugins["i18n"].default_language else f"{language}/"
    docs = Path(config.docs_dir)
    # Of the pages of all languages: what one of them links to has a page in each, and each leads to the other.
    wanted = {
        target
        for path in docs.rglob("*.md")
        for match in _LINK.finditer(path.read_text(encoding="utf-8"))
        if (target := _outside(path.relative_to(docs).as_posix(), match["target"])) is not None
    }
    # What a folder's page lists has a page, too.
    wanted |= {f"{target}/{name}" for target in wanted if (ROOT / target).is_dir() for name in _listed(ROOT / target)}
    for target in sorted(wanted):
        file = _file(target, prefix, config)
        file.locale, file.locale_alternate_of = language, language  # type: ignore[attr-defined]  # the plugin's
        file.alternates = {  # type: ignore[attr-defined]
            other.locale: _file(target, "" if other.default else f"{other.locale}/", config)
            for other in config.plugins["i18n"].config.languages
        }
        files.append(file)
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Links out of docs/ lead to the pages that show what they mean."""

    def inside(match: re.Match[str]) -> str:
        target = _outside(page.file.src_uri, match["target"])
        if target is None:
            return match[0]
        here = posixpath.relpath(_uri(target), posixpath.dirname(page.file.src_uri))
        return f"{match['before']}{here}{match['anchor'] or ''}"

    if page.file.src_uri.startswith(f"{FOLDER}/"):
        page.meta["search"] = {"exclude": True}
        page.meta["title"] = _target(page)
        page.meta["hide"] = ["toc"]
        return f"# {_target(page)}\n"
    return _LINK.sub(inside, markdown)


def on_page_content(content: str, page: Page, files: Files, **_: Any) -> str:
    """The page of a file or folder."""
    if not page.file.src_uri.startswith(f"{FOLDER}/"):
        return content
    path = ROOT / _target(page)
    if path.is_dir():
        items = []
        for name in _listed(path):
            file = files.get_file_from_path(_uri(f"{_target(page)}/{name}"))
            if file is not None:
                items.append(f'<li><a href="{file.url_relative_to(page.file)}">{name}</a></li>')
        return content + f"<ul>{''.join(items)}</ul>"
    shown, anchors = _shown(path)
    page.present_anchor_ids = (page.present_anchor_ids or set()) | anchors
    return content + shown


def _outside(page_uri: str, target: str) -> str | None:
    """What a link of a page means, from the project's root; None: something inside docs/.

    Raises:
        FileNotFoundError: It means nothing.
    """
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page_uri), target))
    if path.startswith("docs/"):
        return None
    if not (ROOT / path).exists():
        raise FileNotFoundError(f"docs/{page_uri} links to {target}, which does not exist")
    return path


def _uri(target: str) -> str:
    """Where the site has it, before pages become HTML."""
    return f"{FOLDER}/{target}" if Path(target).suffix in AS_THEY_ARE else f"{FOLDER}/{target}.md"


def _target(page: Page) -> str:
    return page.file.src_uri.removeprefix(f"{FOLDER}/").removesuffix(".md")


def _file(target: str, prefix: str, config: Any) -> File:
    if Path(target).suffix in AS_THEY_ARE:
        return File.generated(config, _uri(target), abs_src_path=str(ROOT / target))
    file = File.generated(config, _uri(target), content="", inclusion=InclusionLevel.NOT_IN_NAV)
    file.dest_uri = prefix + file.dest_uri
    return file


def _listed(folder: Path) -> list[str]:
    """The files of a folder that are shown."""
    return sorted(path.name for path in folder.iterdir() if path.is_file() and path.suffix in (".json", ".py"))


@functools.cache  # Every language has the same.
def _shown(path: Path) -> tuple[str, set[str]]:
    """A file as HTML, and its anchors: L1, L2 ... for lines, and the names of what stands in them."""
    text = path.read_text(encoding="utf-8")
    try:
        lexer = get_lexer_for_filename(path.name, stripnl=False)
    except ClassNotFound:
        lexer = TextLexer(stripnl=False)
    lines = highlight(text, lexer, HtmlFormatter(nowrap=True)).splitlines()
    names = _names(text) if path.suffix == ".py" else {}
    anchors, rows = set(), []
    for number, line in enumerate(lines, 1):
        here = [f"L{number}", *(name for name, at in names.items() if at == number)]
        anchors.update(here)
        marks = "".join(f'<span id="{html.escape(name)}"></span>' for name in here[1:])
        link = f'<a id="L{number}" class="number" href="#L{number}" data-line="{number}"></a>'
        rows.append(f'<span class="row">{marks}{link}{line}\n</span>')
    return f'<div class="highlight source"><pre><code>{"".join(rows)}</code></pre></div>', anchors


def _names(text: str) -> dict[str, int]:
    """Lines of what a module defines: functions, classes, their methods and fields, constants."""
    found: dict[str, int] = {}

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for one in body:
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.setdefault(prefix + one.name, one.lineno)
                if isinstance(one, ast.ClassDef):
                    visit(one.body, f"{one.name}.")
            elif isinstance(one, ast.Assign | ast.AnnAssign):
                for target in one.targets if isinstance(one, ast.Assign) else [one.target]:
                    if isinstance(target, ast.Name):
                        found.setdefault(prefix + target.id, one.lineno)

    visit(ast.parse(text).body, "")
    return found
