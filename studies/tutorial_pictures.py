"""The pictures of docs/tutorial.md: the diagram of the loop, also in Chinese, and what the page's own blocks draw.

    python -m studies.tutorial_pictures

Every block of the page is run as it stands; a figure that it shows, or a film that it saves, becomes the picture that
stands behind it in the page.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from studies.notebook import ROOT, pieces

DOCS = ROOT / "docs"
PAGE = DOCS / "tutorial.md"
STYLE = {
    # Narrow, with large letters: on a phone a picture is 360 pixels wide.
    "figure.figsize": (5.2, 6.0),
    "font.size": 12,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "svg.hashsalt": "a2c",  # The same picture is the same file.
}


def main() -> int:
    _write(DOCS / "tutorial_loop.svg", loop())
    _write(DOCS / "tutorial_loop.zh.svg", loop(CHINESE))
    plt.rcParams.update(STYLE)
    names: dict[str, Any] = {}
    shown: list[Any] = []
    plt.show = lambda: shown.append(plt.gcf())
    with tempfile.TemporaryDirectory() as folder, inside(Path(folder)):
        for piece in pieces(PAGE.read_text(encoding="utf-8")):
            if piece.kind == "code":
                shown.clear()
                exec(compile(piece.text, str(PAGE), "exec"), names)
            elif piece.kind == "picture" and piece.text.endswith(".gif"):
                _write(DOCS / piece.text, (names["run"].path / piece.text.removeprefix("tutorial_")).read_bytes())
            elif piece.kind == "picture" and shown:
                save(shown.pop(), DOCS / piece.text)
    return 0


def save(figure: Any, path: Path) -> None:
    """A figure as SVG, on a white card, so that it can be read on a dark page, too."""
    figure.savefig(path, metadata={"Date": None}, facecolor="white")
    plt.close(figure)
    # Matplotlib leaves blanks at ends of lines.
    _write(path, "\n".join(line.rstrip() for line in path.read_text(encoding="utf-8").splitlines()) + "\n")


def _write(path: Path, content: str | bytes) -> None:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """The working directory is this folder meanwhile."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


# -- the diagram --

BLUE, GREEN, RED, GRAY = "#2563ab", "#1f7a4d", "#b0413e", "#5b6270"
"""Of boxes: white letters can be read on them, and they can be seen on a white page and on a dark one."""
LINE = "#8a8f98"


CHINESE = {
    "The loop of A2C": "A2C 的循环",
    "N environments": "N 个环境",
    "played side by side, T steps each": "同时进行，各走 T 步",
    "actor  π(a | s)": "演员  π(a | s)",
    "the boy": "男孩",
    "critic  V(s)": "评论家  V(s)",
    "the mother": "妈妈",
    "rollout, T × N steps": "采样片段，T × N 步",
    "states, actions, rewards, values, ends": "状态、动作、奖励、价值、回合结束",
    "advantage  A": "优势  A",
    "better than expected, or worse?": "比预想的好，还是差？",
    "loss  L": "损失  L",
    "− A log π  +  (G − V)²  −  H": "− A log π  +  (G − V)²  −  H",
    "states": "状态",
    "actions": "动作",
    "one step of Adam for both, then the next rollout": "两者用 Adam 各走一步，再采下一个片段",
}
"""The words of the diagram."""


def loop(words: Mapping[str, str] | None = None) -> str:
    """The loop of an update, 360 wide, in English or with these words for the English ones."""

    def said(english: str) -> str:
        return english if words is None else words[english]

    boxes = [
        box(20, 10, 320, 52, GRAY, said("N environments"), said("played side by side, T steps each")),
        box(20, 108, 150, 52, BLUE, said("actor  π(a | s)"), said("the boy")),
        box(190, 108, 150, 52, GREEN, said("critic  V(s)"), said("the mother")),
        box(20, 206, 320, 52, GRAY, said("rollout, T × N steps"), said("states, actions, rewards, values, ends")),
        box(20, 304, 320, 52, RED, said("advantage  A"), said("better than expected, or worse?")),
        box(20, 402, 320, 52, GRAY, said("loss  L"), said("− A log π  +  (G − V)²  −  H")),
    ]
    arrows = [
        arrow(80, 62, 80, 104),
        arrow(110, 108, 110, 66),
        arrow(265, 62, 265, 104),
        arrow(95, 160, 95, 202),
        arrow(265, 160, 265, 202),
        arrow(180, 258, 180, 300),
        arrow(180, 356, 180, 398),
        # One step of Adam, back up to both networks.
        f'<path d="M20 428 H8 V134 H16" fill="none" stroke="{LINE}" stroke-width="2" marker-end="url(#tip)"/>',
        f'<path d="M340 428 H352 V134 H344" fill="none" stroke="{LINE}" stroke-width="2" marker-end="url(#tip)"/>',
    ]
    labels = [
        label(58, 85, said("states")),
        label(140, 85, said("actions")),
        label(290, 85, said("states")),
        label(180, 476, said("one step of Adam for both, then the next rollout")),
    ]
    return "\n".join(
        [
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 360 492" width="360" height="492" role="img" '
            'font-family="system-ui, sans-serif" text-anchor="middle">',
            f"<title>{said('The loop of A2C')}</title>",
            f'<defs><marker id="tip" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="5" markerHeight="5" '
            f'orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="{LINE}"/></marker></defs>',
            *arrows,
            *boxes,
            *labels,
            "</svg>\n",
        ]
    )


def box(x: int, y: int, width: int, height: int, color: str, title: str, below: str) -> str:
    """A box with a title and a line below."""
    middle = x + width // 2
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="{color}"/>'
        f'<text x="{middle}" y="{y + 22}" fill="#fff" font-size="15" font-weight="600">{title}</text>'
        f'<text x="{middle}" y="{y + 41}" fill="#fff" font-size="12.5">{below}</text>'
    )


def arrow(x: int, y: int, to_x: int, to_y: int) -> str:
    """An arrow from one point to another."""
    return f'<path d="M{x} {y} L{to_x} {to_y}" fill="none" stroke="{LINE}" stroke-width="2" marker-end="url(#tip)"/>'


def label(x: int, y: int, text: str) -> str:
    """Words beside arrows, on a light pill: the page behind may be white or dark."""
    width = sum(13 if _is_wide(letter) else 7 for letter in text) + 12
    return (
        f'<rect x="{x - width / 2}" y="{y - 11}" width="{width}" height="20" rx="10" fill="#eceef1"/>'
        f'<text x="{x}" y="{y + 3.5}" fill="#2b2f36" font-size="12.5">{text}</text>'
    )


def _is_wide(letter: str) -> bool:
    return unicodedata.east_asian_width(letter) in "WF"


if __name__ == "__main__":
    raise SystemExit(main())
