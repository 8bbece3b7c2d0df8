"""Frames of the live views, as rich draws them: of one run, or with a row per seed. Pure functions of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from rich import box
from rich.panel import Panel
from rich.text import Text

from a2c.evaluation import shown_returns
from a2c.run.standing import CURVE_POINTS, Clock, Standing

COLUMNS = 80
"""The largest width of a frame; on a narrower terminal it is narrower."""


class Look(NamedTuple):
    """The limits of a terminal."""

    width: int
    """Columns of a frame, `COLUMNS` at most."""
    is_ascii: bool
    """Whether it shows only ASCII."""

    @classmethod
    def of(cls, width: int, is_ascii: bool) -> Look:
        """The look of a terminal with `width` columns."""
        return cls(max(20, min(width, COLUMNS)), is_ascii)


_PARTS = {
    "environments": "environments",
    "acting": "acting",
    "environments_and_acting": "envs and acting",
    "gradient": "gradient",
    "evaluation": "evaluation",
    "saving": "saving",
}
_METRICS = {
    "policy_loss": "policy loss",
    "value_loss": "value loss",
    "entropy": "entropy",
    "grad_norm": "gradient norm",
    "explained_variance": "explained variance",
}
_BLOCKS, _ASCII_BLOCKS = "▁▂▃▄▅▆▇█", "_.-~=+*#"


class Cell(NamedTuple):
    """A text in a column of a line."""

    text: str
    width: int
    style: str = ""
    is_right: bool = False
    """Whether it is aligned to the right."""


def line(cells: Sequence[Cell], width: int) -> Text:
    """Cells side by side, each cut or padded to its width, and the line to `width`."""
    text = Text(end="", no_wrap=True, overflow="crop")
    for cell in cells:
        content = Text(cell.text, cell.style)
        content.truncate(cell.width)
        spaces = " " * (cell.width - content.cell_len)
        text.append(spaces if cell.is_right else "").append_text(content).append("" if cell.is_right else spaces)
    text.truncate(width, pad=True)
    return text


def bar(done: float, width: int, is_ascii: bool, is_over: bool = False) -> list[Cell]:
    """A progress bar, filled to the share `done` from 0 to 1, in another colour if all is over."""
    full, half, empty = ("#", "#", ".") if is_ascii else ("━", "╸", "─")
    halves = round(min(1.0, max(0.0, done)) * width * 2)
    done_part = full * (halves // 2) + half * (halves % 2)
    left = width - len(done_part)
    return [Cell(done_part, width - left, "green" if is_over else "cyan"), Cell(empty * left, left, "bright_black")]


def spark(curve: Sequence[float | None], blocks: str = _BLOCKS) -> str:
    """A curve as one line of blocks, from the lowest point to the highest; a gap is a space.

    Example:
        >>> spark([0.0, 1.0, None, 7.0])
        '▁▂ █'
    """
    there = [value for value in curve if value is not None and math.isfinite(value)]
    low, high = min(there, default=0.0), max(there, default=0.0)
    # Halved first, because high - low may overflow.
    span = (high / 2 - low / 2) or 1.0
    return "".join(
        " " if value is None or not math.isfinite(value)
        else blocks[round((value / 2 - low / 2) / span * (len(blocks) - 1))]
        for value in curve
    )  # fmt: skip


def short(number: float) -> str:
    """A count in at most five characters.

    Example:
        >>> [short(number) for number in (0, 950, 20_480, 1_003_520, 99_960, 5e9)]
        ['0', '950', '20.5k', '1.00M', '100k', '5.00G']
    """
    if number < 1000:
        return f"{number:.0f}"
    for unit in "kMGT":
        number /= 1000
        for digits, most in ((2, 9.995), (1, 99.95), (0, 999.5)):
            if number < most:
                return f"{number:.{digits}f}{unit}"
    return f"{number:.0e}"


def duration(seconds: float | None) -> str:
    """A time in at most six characters.

    Example:
        >>> [duration(seconds) for seconds in (7.9, 75, 3 * 3600 + 59 * 60, 200_000, 1e6, None)]
        ['0:07', '1:15', '3 h 59', '55 h', '11 d', '-:--']
    """
    if seconds is None or not math.isfinite(seconds):
        return "-:--"
    whole = int(seconds)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02}"
    if whole < 10 * 3600:
        return f"{whole // 3600} h {whole // 60 % 60:02}"
    return f"{whole // 3600} h" if whole < 100 * 3600 else f"{whole // 86400} d"


def _number(value: float | None) -> str:
    """A loss in at most nine characters."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e3 or value == 0 else f"{value:.2e}"


def _seconds(seconds: float) -> str:
    """A time in at most seven characters, with tenths of a second below a minute."""
    return f"{seconds:.1f} s" if seconds < 60 else duration(seconds)


def framed(lines: Sequence[Text], title: str, subtitle: str, look: Look) -> Panel:
    """Lines in a box, with a title above and a note below."""
    heading, note = Text(title, "bold"), Text(subtitle, "bright_black")
    for text in (heading, note):  # Otherwise the box would grow with them.
        text.truncate(look.width - 6, overflow="crop" if look.is_ascii else "ellipsis")
    return Panel(
        Text("\n", no_wrap=True, overflow="crop").join(lines), title=heading, title_align="left", subtitle=note,
        subtitle_align="right", width=look.width, box=box.ASCII if look.is_ascii else box.ROUNDED,
        border_style="bright_black",
    )  # fmt: skip


def frame_of_run(standing: Standing, clock: Clock, title: str, subtitle: str, look: Look) -> Panel:
    """The frame of one run: steps and time, returns, where the time goes, losses, events. Its height is constant.

    Args:
        standing: The run's progress.
        clock: Its times.
        title: Environment and seed.
        subtitle: Engine and placement.
        look: The terminal's limits.
    """
    inner = look.width - 4
    rows = [*_progress(standing, clock, inner, look), *_returned(standing, look), *_lower(standing)]
    return framed([line(cells, inner) for cells in rows], title, subtitle, look)


def _progress(standing: Standing, clock: Clock, width: int, look: Look) -> list[list[Cell]]:
    share = standing.steps / standing.total_steps
    pace = "-" if clock.steps_per_second is None else short(clock.steps_per_second)
    return [
        [_label("steps", 12), *bar(share, max(0, width - 18), look.is_ascii), _right(f"{100 * share:3.0f} %", 6)],
        [
            _label("", 12),
            _right(short(standing.steps), 5), Cell(f" of {short(standing.total_steps)}", 12),
            _right(duration(clock.elapsed_seconds), 6), Cell(" so far", 10),
            _right(duration(clock.left_seconds), 6), Cell(" left", 8),
            _right(pace, width - 67), Cell(" steps/s", 8),
        ],
    ]  # fmt: skip


def _returned(standing: Standing, look: Look) -> list[list[Cell]]:
    mean, std, steps = standing.evaluation or (None, None, 0)
    now, best, mean_text, std_text = shown_returns([standing.episode_return, standing.best_return, mean, std])
    evaluated = "" if mean is None else f"{'+-' if look.is_ascii else '±'} {std_text} at {short(steps)}"
    best_text = ""
    if standing.best_steps is not None and standing.best_return is not None:
        best_text = f"best {best} at {short(standing.best_steps)}"
    curve = spark(standing.curve, _ASCII_BLOCKS if look.is_ascii else _BLOCKS)
    return [
        [
            _label("return", 12), Cell("-" if standing.episode_return is None else now, 11, "bold"),
            Cell(curve, CURVE_POINTS + 1, "cyan"), _right(best_text, 20),
        ],
        [
            _label("evaluation", 12), Cell("-" if mean is None else mean_text, 11, "bold"),
            Cell(evaluated, CURVE_POINTS - 9), _right(standing.doing, 30, "yellow"),
        ],
    ]  # fmt: skip


def _lower(standing: Standing) -> list[list[Cell]]:
    """Where the time goes, beside the losses; below them, the events."""
    whole = sum(standing.seconds.values())
    parts = list(standing.seconds.items())
    rows = []
    for row, (metric, label) in enumerate(_METRICS.items()):
        name, seconds = parts[row] if row < len(parts) else ("", 0.0)
        share = f"{100 * seconds / whole if whole else 0:.0f} %"
        time = [_right(_seconds(seconds), 8), _right(share, 7)] if name else [Cell("", 15)]
        rows.append(
            [
                _label(_PARTS.get(name, name), 16), *time, Cell("", 8),
                _label(label, 22), _right(_number(standing.metrics.get(metric)), 11),
            ]
        )  # fmt: skip
    happened = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in standing.events.items())
    rows.append([_label("events", 12), Cell(happened or "none", 64, "yellow" if happened else "bright_black")])
    return rows


def _label(text: str, width: int) -> Cell:
    return Cell(text, width, "bright_black")


def _right(text: str, width: int, style: str = "") -> Cell:
    return Cell(text, max(0, width), style, is_right=True)
