"""Makes the pictures of docs/export.md: screenshots, in Chromium, of pages to which policies were exported.

python -m benchmarks.exports_page
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

import a2c
from a2c.commands.export import export

_DOCS = Path(__file__).parent.parent / "docs"
_MARGIN = 24


class _Shots:
    """Takes pictures of pages."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self._browser, self._folder = browser, folder

    def __call__(self, page: Path, width: int, scheme: str, script: str) -> Image.Image:
        """A page of this width, once the script has run in it."""
        context = self._browser.new_context(
            viewport={"width": width, "height": 600}, color_scheme=scheme, device_scale_factor=2
        )
        opened = context.new_page()
        opened.goto(page.as_uri())
        opened.evaluate(script)
        opened.wait_for_timeout(300)
        target = self._folder / "shot.png"
        opened.screenshot(path=target, full_page=True)
        context.close()
        with Image.open(target) as image:
            return image.convert("RGB")


def beside(images: list[Image.Image], target: Path) -> None:
    """Pictures side by side, in a file."""
    width = sum(image.width for image in images) + _MARGIN * (len(images) - 1)
    whole = Image.new("RGB", (width, max(image.height for image in images)), "white")
    left = 0
    for image in images:
        whole.paste(image, (left, 0))
        left += image.width + _MARGIN
    whole = whole.resize((whole.width // 2, whole.height // 2), Image.Resampling.LANCZOS)
    whole.save(target, optimize=True)
    print(target)


def main() -> None:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    steps = {"CartPole-v1": 20_000, "MountainCar-v0": 200_000, "Blackjack-v1": 50_000}
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder, pages = Path(name), {}
        for env_id, total_steps in steps.items():
            run = a2c.train(env_id, total_steps=total_steps, final_eval_episodes=0, run_dir=name)
            pages[env_id] = folder / f"{env_id}.html"
            export(run.policy(), "html", pages[env_id], masks=False)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        shot = _Shots(browser, folder)
        played = "a2c.view.play(false); a2c.view.begin({}); for (let i = 0; i < {}; i++) a2c.view.advance();"
        beside(
            [
                shot(pages["CartPole-v1"], 760, "light", played.replace("{}", "[0.3, 0.2, 0.04, -0.2]", 1).format(9)),
                shot(pages["MountainCar-v0"], 390, "dark", played.replace("{}", "[-0.5, 0]", 1).format(58)),
            ],
            _DOCS / "export.png",
        )
        seen = (
            "document.querySelectorAll('select').forEach((one, i) => { one.value = [15, 10, 0][i]; }); a2c.view.show();"
        )
        beside([shot(pages["Blackjack-v1"], 760, "light", seen)], _DOCS / "export_form.png")
        browser.close()


if __name__ == "__main__":
    main()
