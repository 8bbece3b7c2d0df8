"""Checks a page in headless Chromium: network requests, errors, overlapping text, weak contrast.

Needs `chromium` (a Debian package) and `pip install playwright`, which is in the extra `dev`.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

WIDTHS = {"desktop": 1280, "phone": 390}
SCHEMES = ("light", "dark")
LEAST_CONTRAST = 4.5
"""The least contrast of text with its background: WCAG 2.2, level AA."""

_FAULTS = """() => {
  const found = [];
  const numbers = (color) => {
    const parts = color.match(/[\\d.]+/g).map(Number);
    return parts.length < 4 ? [...parts, 1] : parts;
  };
  const over = (top, below) => top.slice(0, 3).map((one, i) => one * top[3] + below[i] * (1 - top[3])).concat(1);
  const behind = (element) => {
    const stack = [];
    for (let one = element; one; one = one.parentElement) stack.push(numbers(getComputedStyle(one).backgroundColor));
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    return stack.reverse().reduce((below, top) => over(top, below), dark ? [18, 18, 18, 1] : [255, 255, 255, 1]);
  };
  const light = (color) => {
    const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = color.map((one) => linear(one / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const texts = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || ["SCRIPT", "STYLE"].includes(element.tagName) || !element.checkVisibility()) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const boxes = [...range.getClientRects()].filter((box) => box.width > 1 && box.height > 1);
    if (!boxes.length || getComputedStyle(element).visibility === "hidden") continue;
    const back = behind(element), front = over(numbers(getComputedStyle(element).color), back);
    const [a, b] = [light(front), light(back)].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < LEAST) found.push(`contrast ${contrast.toFixed(2)}: ${node.data.trim().slice(0, 60)}`);
    const hidden = element.closest(".scroll");
    texts.push({ text: node.data.trim().slice(0, 60), boxes, element, clip: hidden && hidden.getBoundingClientRect() });
  }
  for (let i = 0; i < texts.length; i++) {
    for (let j = i + 1; j < texts.length; j++) {
      const [one, other] = [texts[i], texts[j]];
      for (const a of one.boxes) for (const b of other.boxes) {
        const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (width > 1 && height > 2.5) found.push(`overlap: "${one.text}" and "${other.text}"`);
      }
    }
    for (const box of texts[i].boxes) {
      if (!texts[i].clip && (box.left < -0.5 || box.right > innerWidth + 0.5)) found.push(`outside: ${texts[i].text}`);
    }
  }
  const wide = document.documentElement.scrollWidth;
  if (wide > innerWidth) found.push(`the page is ${wide} wide, the window ${innerWidth}`);
  return found;
}"""


class Look(NamedTuple):
    """A page, opened once."""

    page: Any
    """Playwright's page."""
    requests: list[str]
    """The addresses that it requested, except its own."""
    complaints: list[str]
    """Messages of the console, and errors of scripts."""

    def faults(self) -> list[str]:
        """Texts that overlap, leave the window or have little contrast, with folded parts closed and open."""
        script = _FAULTS.replace("LEAST", str(LEAST_CONTRAST))
        found: list[str] = self.page.evaluate(script)
        unfold = "for (const one of document.querySelectorAll('details')) one.open = OPEN"
        self.page.evaluate(unfold.replace("OPEN", "true"))
        found += self.page.evaluate(script)
        self.page.evaluate(unfold.replace("OPEN", "false"))
        return found


def chromium() -> str | None:
    """The path of Chromium; None if it is not installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextlib.contextmanager
def launched() -> Iterator[Any]:
    """Chromium without a window, as Playwright's browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def opened(browser: Any, path: Path, width: int, scheme: str, height: int = 900) -> Iterator[Look]:
    """Opens a page in a window of some width, in the light or the dark scheme; earlier ones leave nothing behind."""
    with browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, device_scale_factor=1, offline=True
    ) as context:
        page = context.new_page()
        requests: list[str] = []
        complaints: list[str] = []
        itself = path.resolve().as_uri()
        page.on("request", lambda r: requests.append(r.url) if r.url != itself and r.url[:5] != "data:" else None)
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(itself)
        yield Look(page, requests, complaints)
