"""The documentation site, as it is built: links, search, and pages in headless Chromium in both languages.

Nothing may be asked for outside its folder, and nothing may stick out of a phone's screen.
"""

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from benchmarks.browser import SCHEMES, WIDTHS, opened

ROOT = Path(__file__).parent.parent
SHOWN = ["index", "tutorial", "first_run", "walk", "faq", "curves"]
STICKING_OUT = """() => {
  const clipped = (one) => {
    for (let up = one.parentElement; up && up !== document.body; up = up.parentElement)
      if (["auto", "scroll", "hidden"].includes(getComputedStyle(up).overflowX)) return true;
    return false;
  };
  return [...document.querySelectorAll(".md-content *")]
    .filter((one) => one.checkVisibility() && one.getBoundingClientRect().right > innerWidth + 0.5 && !clipped(one))
    .map((one) => one.outerHTML.slice(0, 80));
}"""
"""Elements of a page's text that reach beyond the window, and cannot be scrolled by themselves."""

CUT_FLAGS = """() => {
  const found = [], walker = document.createTreeWalker(document.querySelector(".md-content"), NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode())
    for (const { index } of node.data.matchAll(/--\\w/g)) {
      const range = document.createRange();
      range.setStart(node, index);
      range.setEnd(node, index + 2);
      if (new Set([...range.getClientRects()].map((box) => box.top)).size > 1) found.push(node.data);
    }
  return found;
}"""
"""Flags whose two dashes stand on two lines."""

FETCHING = {"link": "href", "script": "src", "img": "src", "source": "src", "iframe": "src"}


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The built site: as `make docs` builds it, a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


class Page(HTMLParser):
    """What a page links to, fetches, and can be linked to."""

    def __init__(self, path):
        super().__init__()
        self.links, self.fetched, self.anchors = [], [], {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        elif given.get(FETCHING.get(tag, "")) and given.get("rel") != "canonical":
            self.fetched.append(given[FETCHING[tag]])


def test_every_link_of_every_built_page_leads_somewhere(site):
    pages = {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    assert len(pages) > 2 * len(SHOWN)
    wrong = []
    for path, page in pages.items():
        for target in page.links + page.fetched:
            there = urlsplit(target)
            if there.scheme or target.startswith("data:"):
                continue
            file = (path.parent / unquote(there.path)).resolve() if there.path else path
            if not file.is_file():
                wrong.append(f"{path.relative_to(site)}: {target}")
            elif file in pages and unquote(there.fragment) not in pages[file].anchors | {"__skip"}:
                wrong.append(f"{path.relative_to(site)}: {target}, no such anchor")
    assert wrong == []


def test_no_page_fetches_anything_from_elsewhere(site):
    for path in site.rglob("*.html"):
        assert [target for target in Page(path).fetched if urlsplit(target).scheme or target.startswith("//")] == []
    for path in [*site.rglob("*.css"), *(site / "assets").glob("*.js")]:
        assert not re.search(r"url\(\s*[\"']?(?:https?:)?//|@import", path.read_text(encoding="utf-8")), path


def test_a_page_is_there_in_both_languages_and_each_leads_to_the_other(site):
    for path in site.glob("*.html"):
        if path.name != "404.html":
            assert f"zh/{path.name}" in Page(path).links, path.name
            assert f"../{path.name}" in Page(site / "zh" / path.name).links, path.name


def test_what_is_indexed_is_cut_into_words_and_source_files_are_left_out(site):
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))["docs"]
    assert any("\u200b环境\u200b" in one["text"] for one in index)  # jieba
    assert not any(one["location"].startswith(("source/", "zh/source/")) for one in index)
    assert sum(one["location"] == "zh/results.html" for one in index) == 0  # It is the English page again.


def test_formulas_are_mathml(site):
    page = (site / "natural_step.html").read_text(encoding="utf-8") + (site / "design.html").read_text(encoding="utf-8")
    assert page.count("<math") > 3
    assert "arithmatex" not in page
    assert not re.search(r"</math></span>[.,;:，。；：]", page)  # A line could begin with it.


class TestInChromium:
    @pytest.mark.parametrize("language", ["", "zh/"], ids=["en", "zh"])
    @pytest.mark.parametrize("name", SHOWN)
    def test_a_page_is_whole_on_a_desktop_and_a_phone_in_light_and_in_darkness(self, browser, site, name, language):
        with opened(browser, site / f"{language}{name}.html", 1280, "light") as look:
            for width in WIDTHS.values():
                look.page.set_viewport_size({"width": width, "height": 900})
                for scheme in SCHEMES:
                    look.page.emulate_media(color_scheme=scheme)
                    look.page.reload()
                    assert look.page.evaluate("document.documentElement.scrollWidth") <= width
                    assert look.page.evaluate(STICKING_OUT) == []
                    assert look.page.evaluate(CUT_FLAGS) == []
                    shade = look.page.evaluate("getComputedStyle(document.body).backgroundColor")
                    assert (shade == "rgb(255, 255, 255)") == (scheme == "light")
            assert look.complaints == []
            assert [url for url in look.requests if not url.startswith(site.as_uri())] == []

    @pytest.mark.parametrize(
        ("word", "page"), [("bootstrap", "compare.html"), ("环境", "zh/index.html"), ("智能体", "zh/index.html")]
    )
    def test_a_word_is_found(self, browser, site, word, page):
        with opened(browser, site / "index.html", 1280, "light") as look:
            field = look.page.locator("input.md-search__input")
            field.click()
            look.page.keyboard.insert_text(word)
            look.page.keyboard.press("End")  # The theme looks at keys, as those of an input method.
            look.page.wait_for_selector(".md-search-result__item a", timeout=20_000)
            found = look.page.locator(".md-search-result__item a").evaluate_all("all => all.map(one => one.pathname)")
            assert any(path.endswith(f"{site.name}/{page}") for path in found)
            assert look.complaints == []
