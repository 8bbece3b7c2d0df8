"""`a2c plot RUN...`: draws learning curves as a picture."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray

from a2c import files
from a2c.errors import UserError
from a2c.finite import finite_or_none
from a2c.output import print_json
from a2c.report.curves import Curve, NothingToDrawError, Panel, panels
from a2c.report.folders import groups_in
from a2c.report.lines import Look, Over
from a2c.run.folder import Run

Groups = Mapping[str, Sequence[Run]]
"""Runs by the name of their group; "" is the name of the only one."""

# Okabe and Ito's colours, which colour-blind people can distinguish too, without the yellow: too pale on white.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
_STYLES = (("-", "."), ("--", "s"), (":", "^"), ("-.", "x"))
"""Line style and marker. Neighbouring curves differ even without colours, and all of the first 28 differ."""

_MOST_MARKERS = 60
_MOST_FAINT = 6
"""With more curves than this, those of training would hide the evaluations."""


@dataclasses.dataclass(frozen=True)
class Plot:
    """Draw the learning curves of one run, or of several in one picture; the seeds of one setting are one line."""

    folders: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="RUN... [-- RUN...]")]
    """Run folders, or folders of runs. With -- between groups, each group is one line."""
    to: str | None = None
    """The file to write (.png, .pdf or .svg). By default curve.png in the run's folder; of several runs, curves.png."""
    over: Over = "steps"
    """The horizontal axis: agent steps, or seconds of training without evaluations and checkpoints."""
    smooth: int = 1
    """Draw the mean of the last so many points at each point; the axis says so."""
    follow: bool = False
    """Draw again while runs train: in a window, or with --to in that file. Ends with the runs, or by Ctrl-C."""
    json: bool = False
    """Print one JSON object: the path of the picture, and its curves in numbers."""

    def run(self) -> int:
        """Returns the exit code."""
        if not 1 <= self.smooth <= 1_000_000:
            raise UserError(f"smooth is {self.smooth}; it must be from 1 (no smoothing) to 1,000,000")
        if self.follow and self.json:
            raise UserError("--follow draws again and again, but --json prints one object; choose one of them")
        groups, look = groups_in(self.folders, "plot"), Look(self.over, self.smooth)
        runs = [run for group in groups.values() for run in group]
        by_default = runs[0].path / "curve.png" if len(runs) == 1 else Path("curves.png")
        path = Path(self.to).expanduser() if self.to else by_default
        if self.follow:
            follow(lambda: groups_in(self.folders, "plot"), _shower(None if self.to is None else path, look))
            return 0
        drawn = panels(groups, look)
        draw(groups, path, look, drawn)
        if self.json:
            print_json({"picture": str(path), **look._asdict(), "panels": [_in_numbers(panel) for panel in drawn]})
        else:
            print(path)
        return 0


def _shower(path: Path | None, look: Look) -> Callable[[Groups], bool]:
    """The function that shows groups for `follow`: in a file or, without a path, in a window."""
    if path is None:
        return Window(look).show

    def show(groups: Groups) -> bool:
        print(draw(groups, path, look), flush=True)
        return True

    return show


def follow(read: Callable[[], Groups], show: Callable[[Groups], bool], wait_seconds: float = 1.0) -> None:
    """Shows groups again whenever their metrics have grown, until all of their runs have ended.

    Args:
        read: Returns the groups as they are now, since a folder may have new runs.
        show: Shows them; returns False once the window is closed.
        wait_seconds: The pause between two checks.
    """
    seen: dict[Path, int] = {}
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is the usual end.
        while True:
            groups = read()
            runs = [run for group in groups.values() for run in group]
            has_ended = all((run.path / "summary.json").exists() for run in runs)
            records = {run.path: run.path / "metrics.jsonl" for run in runs}
            sizes = {path: record.stat().st_size for path, record in records.items() if record.is_file()}
            if sizes != seen:
                seen = sizes
                try:
                    if not show(groups):
                        return
                except NothingToDrawError:
                    if has_ended:
                        raise
            if has_ended:
                return
            time.sleep(wait_seconds)


class Window:
    """A window with curves, which stays open until somebody closes it."""

    def __init__(self, look: Look) -> None:
        """Creates it without opening it: `show` does."""
        self._look = look
        self._figure: Any = None

    def show(self, groups: Groups) -> bool:
        """Draws the groups; returns whether the window is still open.

        Raises:
            UserError: There is no display.
        """
        pyplot = _matplotlib(lambda: importlib.import_module("matplotlib.pyplot"))
        if self._figure is None:
            self._figure = pyplot.figure(layout="constrained")
            if self._figure.canvas.required_interactive_framework is None:
                pyplot.close(self._figure)
                raise UserError(
                    f"there is no display to open a window on (Matplotlib draws with {pyplot.get_backend()}); use "
                    "--to FILE to draw into a file again and again"
                )
        if not pyplot.fignum_exists(self._figure.number):
            return False
        drawn = panels(groups, self._look)
        self._figure.clear()
        _figure(drawn, _caption(groups, drawn), self._look, self._figure)
        pyplot.pause(0.01)
        return True


def _matplotlib(load: Callable[[], Any]) -> Any:
    """Imports a part of Matplotlib, with `load`. It is slow, so only drawing a picture does it.

    Raises:
        UserError: It cannot be imported, for instance because MPLBACKEND names no backend.
    """
    try:
        return load()
    except (ImportError, ValueError) as error:
        raise UserError(f"Matplotlib cannot be used: {error}") from error


def draw(
    groups: Groups | Sequence[Run],
    path: Path,
    look: Look = Look(),  # noqa: B008 - immutable
    drawn: Sequence[Panel] | None = None,
) -> Path:
    """Draws returns: evaluations as lines with points, training episodes as faint lines.

    Every environment has its own axes. Runs that differ only in their seeds are one line: their interquartile mean,
    with its 95 % bootstrap interval.

    Args:
        groups: At least one run; or groups of runs by name, each of which is one line.
        path: The file; its ending chooses the format.
        look: How they are drawn.
        drawn: Their panels, if they were already made.

    Returns:
        The path.

    Raises:
        UserError: No run has anything to draw, or the picture cannot be written.
    """
    if path.is_dir():
        raise UserError(f"cannot draw to {path}: it is a folder; name a file that ends in .png, .pdf or .svg")
    if not path.suffix:
        raise UserError(f"cannot draw to {path}: its name must end in .png, .pdf or .svg")
    if drawn is None:
        drawn = panels(groups, look)
    matplotlib = _matplotlib(lambda: importlib.import_module("matplotlib"))
    picture = io.BytesIO()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # The machine's matplotlibrc may ask for LaTeX, for instance.
        # The same runs give the same file: without this, an SVG holds the time of day and random names.
        matplotlib.rcParams["svg.hashsalt"] = "a2c"
        metadata = {"Date": None} if path.suffix.lower() == ".svg" else {}
        try:
            figure = _figure(drawn, _caption(groups, drawn), look)
            figure.savefig(picture, format=path.suffix[1:].lower(), dpi=150, metadata=metadata)
        except Exception as error:
            raise UserError(f"cannot write the picture {path}: {error}") from error
    try:
        files.write_bytes(path, picture.getvalue())
    except UserError as error:
        raise UserError(f"cannot write the picture {path}: {error}") from error
    return path


def _in_numbers(panel: Panel) -> dict[str, Any]:
    """The curves of a panel in numbers, for `--json`; null is a gap."""

    def numbers(values: NDArray[np.float64]) -> list[float | None]:
        return [finite_or_none(value) for value in values.tolist()]

    return {
        "title": panel.title,
        "curves": [
            {
                "label": curve.label,
                "runs": [str(run.path) for run in curve.runs],
                **{
                    name: {
                        "x": numbers(line.x),
                        "interquartile_mean": numbers(line.middle),
                        "low": numbers(line.low),
                        "high": numbers(line.high),
                    }
                    for name, line in (("evaluation", curve.evaluation), ("training", curve.training))
                },
            }
            for curve in panel.curves
        ],
    }


def _caption(groups: Groups | Sequence[Run], drawn: Sequence[Panel]) -> str:
    """The sentence that explains lines, faint lines and bands."""
    runs = [run for group in groups.values() for run in group] if isinstance(groups, Mapping) else groups
    kinds = {"greedy " if run.config.eval_greedy else "sampled " for run in runs}
    kind = f"{kinds.pop() if len(kinds) == 1 else ''}evaluations"
    curves = [curve for panel in drawn for curve in panel.curves]
    has_bands = any(curve.num_runs > 1 for curve in curves)
    parts = []
    if any(len(line.x) for curve in curves for line in curve.evaluations):
        parts.append(f"lines: {kind}{', interquartile means of runs' if has_bands else ''}")
    if has_bands:
        parts.append("bands: their 95 % bootstrap intervals")
    if any(_shows_training(curve, panel) for panel in drawn for curve in panel.curves):
        parts.append("faint: training episodes")
    return "; ".join(parts)


def _shows_training(curve: Curve, panel: Panel) -> bool:
    return len(curve.training.x) > 0 and (len(panel.curves) <= _MOST_FAINT or not len(curve.evaluation.x))


def _figure(drawn: Sequence[Panel], caption: str, look: Look, figure: Any = None) -> Any:
    """Draws all panels in one figure: a new one, or the given empty one."""
    from matplotlib.figure import Figure

    columns = math.ceil(math.sqrt(len(drawn)))
    rows = math.ceil(len(drawn) / columns)
    longest = max(len(curve.label) for panel in drawn for curve in panel.curves)
    width = 8.0 if columns == 1 or longest > 55 else 5.5
    legends = [_legend_columns(panel, width) for panel in drawn]
    # The figure grows with the legend, so that the axes stay equally large.
    lines = max(math.ceil(len(panel.curves) / n) for panel, n in zip(drawn, legends, strict=True))
    if figure is None:
        figure = Figure(figsize=(width * columns, rows * (4.3 + 0.2 * lines) + 0.2), layout="constrained")
    places = figure.subfigures(rows, columns, squeeze=False).ravel()
    for place, panel, legend_columns in zip(places, drawn, legends, strict=False):
        axes = place.subplots()
        _draw_panel(axes, panel, look)
        axes.set_title(panel.title, fontsize="medium", parse_math=False)
        if len(panel.curves) > 1:
            legend = place.legend(loc="outside lower center", ncols=legend_columns, fontsize="small", frameon=False)
            for text in legend.get_texts():
                text.set_parse_math(False)
    figure.supxlabel(caption, fontsize="small", color="0.4")
    return figure


def _legend_columns(panel: Panel, width: float) -> int:
    longest = max(len(curve.label) for curve in panel.curves)
    return max(1, min(4, len(panel.curves), int(13 * width / (longest + 8))))


def _draw_panel(axes: Any, panel: Panel, look: Look) -> None:
    from matplotlib.ticker import EngFormatter

    for number, curve in enumerate(panel.curves):
        color = _COLORS[number % len(_COLORS)]
        style, marker = _STYLES[number % len(_STYLES)]
        if _shows_training(curve, panel):
            is_alone = not len(curve.evaluation.x)
            axes.plot(
                curve.training.x, curve.training.middle, color=color, alpha=0.8 if is_alone else 0.25, linewidth=1
            )
        line = curve.evaluation
        if curve.num_runs > 1:
            axes.fill_between(line.x, line.low, line.high, color=color, alpha=0.15, linewidth=0)
        shown = marker if len(line.x) <= _MOST_MARKERS else ""
        axes.plot(
            line.x, line.middle, color=color, linestyle=style, marker=shown, markersize=4, label=curve.label or "run"
        )
    if look.over == "steps":
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))  # 200k, 1M. Not for seconds: 0.1 would be 100m.
    axes.set_xlabel(look.x_label)
    axes.set_ylabel(look.y_label)
    axes.grid(alpha=0.3)
