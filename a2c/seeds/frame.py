"""The live view of several seeds, as pure functions from numbers to what rich draws."""

from __future__ import annotations

from collections.abc import Sequence

from rich.panel import Panel

from a2c.evaluation import shown_returns
from a2c.frames import Cell, Look, bar, duration, framed, line
from a2c.seeds.rows import Row

_AROUND = 4
"""Lines of the frame without a seed: two edges, the heads of the columns, and the terminal's last line."""

_COLORS = {"training": "", "done": "green", "failed": "red", "stopped": "yellow"}


def frame_of_seeds(
    rows: Sequence[Row], now: float, elapsed_seconds: float, title: str, height: int, look: Look
) -> Panel:
    """A frame of constant height with a row per seed; if not all fit on the terminal, those being trained.

    Args:
        rows: In order of seeds.
        now: The present time by `time.monotonic`, as in rows.
        elapsed_seconds: Since the first of them began.
        title: What is trained.
        height: Lines of the terminal.
        look: Width and character set of the terminal.
    """
    inner = look.width - 4
    heads = [("seed", 6), ("", 2), ("steps", inner - 53), ("", 6)]
    heads += [("return", 11), ("evaluation", 11), ("best", 9), ("time", 8)]
    heading = [Cell(text, width, "bright_black", is_right=text != "steps") for text, width in heads]
    lines = [line(heading, inner)]
    lines += [line(_cells(row, now, inner, look), inner) for row in visible(rows, max(1, height - _AROUND))]
    over = sum(row.seconds is not None for row in rows)
    left = "" if over == len(rows) else f", {duration(_left(rows, elapsed_seconds))} left"
    return framed(lines, title, f"{over} of {len(rows)} seeds over; {duration(elapsed_seconds)} so far{left}", look)


def visible(rows: Sequence[Row], most: int) -> Sequence[Row]:
    """The rows to show if at most so many fit: one before the first that is not over, and those that follow."""
    first = next((n for n, row in enumerate(rows) if row.seconds is None), len(rows))
    start = max(0, min(first - 1, len(rows) - most))
    return rows[start : start + most]


def _cells(row: Row, now: float, width: int, look: Look) -> list[Cell]:
    standing, bar_width = row.standing, max(0, width - 53)
    style = _COLORS.get(row.state, "bright_black")
    share = _share(row)
    evaluation = None if standing is None or standing.evaluation is None else standing.evaluation.mean
    returns = (None, evaluation, None) if standing is None else (
        standing.episode_return, evaluation, standing.best_return
    )  # fmt: skip
    texts = ["-" if value is None else shown_returns([value])[0] for value in returns]
    seconds = row.seconds if row.seconds is not None else now - row.begun if row.begun else None
    if row.state in ("failed", "stopped", "waiting", "starting"):
        what = [Cell(row.why or row.state, bar_width, style)]
    else:
        what = bar(share, bar_width, look.is_ascii, row.state == "done")
    return [
        Cell(str(row.seed), 6, is_right=True), Cell("", 2), *what,
        Cell(f"{100 * share:3.0f} %" if standing else "", 6, is_right=True),
        *(Cell(text, w, is_right=True) for text, w in zip(texts, (11, 11, 9), strict=True)),
        Cell("" if seconds is None else duration(seconds), 8, is_right=True),
    ]  # fmt: skip


def _left(rows: Sequence[Row], elapsed_seconds: float) -> float | None:
    """Estimate of the seconds until the last seed is over; None: unknown yet."""
    shares = [_share(row) if row.seconds is None else 1.0 for row in rows]
    done = sum(shares)
    return elapsed_seconds * (len(rows) - done) / done if done else None


def _share(row: Row) -> float:
    """How much of a seed's training is done, from 0 to 1."""
    return 0.0 if row.standing is None else row.standing.steps / row.standing.total_steps
