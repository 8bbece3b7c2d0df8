"""Makes the pictures of docs/report.md: trains runs, and takes screenshots of their reports in Chromium.

    python -m benchmarks.report_page

It needs `chromium` (apt-get install chromium). The runs are small: about a minute on two cores.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image

from a2c.cli import main as a2c
from benchmarks.browser import chromium, launched, opened

DOCS = Path(__file__).parent.parent / "docs"
_SHARED = ["--preset", "none", "--seeds", "5", "--total-steps", "50000", "--no-pictures"]
SLOW = ["train", "CartPole-v1", *_SHARED]
FAST = ["train", "CartPole-v1", *_SHARED, "--learning-rate", "2e-3"]
"""Those of docs/compare.md."""
ONE = ["train", "Pendulum-v1", "--total-steps", "300000", "--eval-every-steps", "10000"]


def main() -> int:
    if chromium() is None:
        print("Chromium is not installed; apt-get install chromium", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name, words in (("slow", SLOW), ("fast", FAST), ("one", ONE)):
            assert a2c([*words, "--run-dir", str(folder / name)]) == 0
        one, several = folder / "one.html", folder / "several.html"
        assert a2c(["report", str(folder / "one"), "--no-video", "--to", str(one)]) == 0
        assert a2c(["report", str(folder / "slow"), "--", str(folder / "fast"), "--to", str(several)]) == 0
        for page in (one, several):
            print(f"{page.name} has {page.stat().st_size:,} bytes")
        _shoot(one, "report_one", "light", 1280, 1900)
        _shoot(several, "report_several", "dark", 1280, 1500)
        halves = [_shoot(page, f"half{i}", scheme, 390, 1500) for i, (page, scheme) in enumerate(
            ((one, "dark"), (one, "light"), (several, "light")))]  # fmt: skip
        _beside(halves, DOCS / "report_phone.png")
        words = ["plot", str(folder / "slow"), "--", str(folder / "fast"), "--to", str(DOCS / "plot.png")]
        assert a2c(words) == 0
    return 0


def _shoot(page: Path, name: str, scheme: str, width: int, height: int) -> Path:
    """The top of a page as a picture."""
    path = DOCS / f"{name}.png"
    with launched() as browser, opened(browser, page, width, scheme, height) as look:
        for fault in (*look.complaints, *look.requests, *look.faults()):
            raise AssertionError(f"{page.name}, {width} wide, {scheme}: {fault}")
        look.page.screenshot(path=path, clip={"x": 0, "y": 0, "width": width, "height": height})
    _smaller(path)
    return path


def _smaller(path: Path) -> None:
    """Few colours are enough for text and lines."""
    with Image.open(path) as picture:
        smaller = picture.convert("RGB").quantize(128, dither=Image.Dither.NONE)
    smaller.save(path, optimize=True)


def _beside(paths: list[Path], to: Path) -> None:
    """Pictures side by side, and no longer by themselves."""
    pictures = [Image.open(path).convert("RGB") for path in paths]
    gap = 24
    whole = Image.new(
        "RGB", (sum(one.width for one in pictures) + gap * (len(pictures) - 1), pictures[0].height), (128, 128, 128)
    )
    at = 0
    for one, path in zip(pictures, paths, strict=True):
        whole.paste(one, (at, 0))
        at += one.width + gap
        path.unlink()
    whole.save(to)
    _smaller(to)


if __name__ == "__main__":
    sys.exit(main())
