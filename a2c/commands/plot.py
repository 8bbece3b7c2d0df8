"""`a2c plot RUN...`: learning curves, as a picture."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from a2c import files
from a2c.errors import UserError
from a2c.report.curves import Curve, Panel, panels
from a2c.report.folders import runs_in
from a2c.run.folder import Run

# Okabe and Ito's colours, told apart by colour-blind people too, without the yellow, which white paper swallows.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
_STYLES = (("-", "."), ("--", "s"), (":", "^"), ("-.", "x"))
"""Line and marker, for each round of the colours."""

_MOST_MARKERS = 60
_MOST_FAINT = 6
"""With more curves than this, those of training would hide the evaluations."""


@dataclasses.dataclass(frozen=True)
class Plot:
    """Draw the learning curve of one run, or of several in one picture: seeds of one setting are one line."""

    folders: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="RUN...")]
    """The runs' folders, or folders of runs."""
    to: str | None = None
    """Where to; the ending chooses the format (png, pdf, svg). By default curve.png in the run, or curves.png here."""

    def run(self) -> int:
        """Returns the exit code."""
        if not self.folders:
            raise UserError("plot needs the folder of at least one run")
        runs = runs_in(self.folders)
        by_default = runs[0].path / "curve.png" if len(runs) == 1 else Path("curves.png")
        print(draw(runs, Path(self.to).expanduser() if self.to else by_default))
        return 0


def draw(runs: Sequence[Run], path: Path) -> Path:
    """Draws return over steps: evaluations as lines with points, episodes of training as faint lines.

    Every environment has axes of its own. Runs that differ in their seeds only are one line, their mean, in a band from
    the lowest to the highest of them.

    Args:
        runs: At least one.
        path: Where to; the ending chooses the format.

    Returns:
        The path.

    Raises:
        UserError: No run has something to draw, or the picture cannot be written.
    """
    if path.is_dir():
        raise UserError(f"cannot draw to {path}, which is a folder; name a file in it that ends in .png, .pdf or .svg")
    if not path.suffix:
        raise UserError(f"cannot tell the format of the picture {path}; it must end in .png, .pdf or .svg")
    drawn = panels(runs)
    try:
        import matplotlib  # Slow to import: only where a picture is drawn.
    except (ImportError, ValueError) as error:  # It reads MPLBACKEND, though nothing here needs a backend.
        raise UserError(f"Matplotlib cannot be used: {error}") from error
    picture = io.BytesIO()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # Whatever the machine's matplotlibrc says, LaTeX for one.
        try:
            _figure(drawn, _caption(runs, drawn)).savefig(picture, format=path.suffix[1:].lower(), dpi=150)
        except Exception as error:
            raise UserError(f"cannot write the picture {path}: {error}") from error
    try:
        files.write_bytes(path, picture.getvalue())
    except UserError as error:
        raise UserError(f"cannot write the picture {path}: {error}") from error
    return path


def _caption(runs: Sequence[Run], drawn: Sequence[Panel]) -> str:
    """What lines, faint lines and bands are."""
    kinds = {"greedy " if run.config.eval_greedy else "sampled " for run in runs}
    kind = f"{kinds.pop() if len(kinds) == 1 else ''}evaluations"
    curves = [curve for panel in drawn for curve in panel.curves]
    has_bands = any(curve.num_runs > 1 for curve in curves)
    parts = []
    if any(len(curve.evaluation.steps) for curve in curves):
        parts.append(f"lines: {kind}{', means over seeds' if has_bands else ''}")
    if has_bands:
        parts.append("bands: lowest to highest seed")
    if any(_shows_training(curve, panel) for panel in drawn for curve in panel.curves):
        parts.append("faint: training episodes")
    return "; ".join(parts)


def _shows_training(curve: Curve, panel: Panel) -> bool:
    return len(curve.training.steps) > 0 and (len(panel.curves) <= _MOST_FAINT or not len(curve.evaluation.steps))


def _figure(drawn: Sequence[Panel], caption: str) -> Any:
    from matplotlib.figure import Figure

    columns = math.ceil(math.sqrt(len(drawn)))
    rows = math.ceil(len(drawn) / columns)
    longest = max(len(curve.label) for panel in drawn for curve in panel.curves)
    width = 8.0 if columns == 1 or longest > 55 else 5.5
    legends = [_legend_columns(panel, width) for panel in drawn]
    # The axes stay as large as they are, however long a legend is.
    lines = max(math.ceil(len(panel.curves) / n) for panel, n in zip(drawn, legends, strict=True))
    figure = Figure(figsize=(width * columns, rows * (4.3 + 0.2 * lines) + 0.2), layout="constrained")
    places = figure.subfigures(rows, columns, squeeze=False).ravel()
    for place, panel, legend_columns in zip(places, drawn, legends, strict=False):
        axes = place.subplots()
        _draw_panel(axes, panel)
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


def _draw_panel(axes: Any, panel: Panel) -> None:
    from matplotlib.ticker import EngFormatter

    for number, curve in enumerate(panel.curves):
        color = _COLORS[number % len(_COLORS)]
        style, marker = _STYLES[number // len(_COLORS) % len(_STYLES)]
        if _shows_training(curve, panel):
            is_alone = not len(curve.evaluation.steps)
            axes.plot(
                curve.training.steps, curve.training.mean, color=color, alpha=0.8 if is_alone else 0.25, linewidth=1
            )
        line = curve.evaluation
        if curve.num_runs > 1:
            axes.fill_between(line.steps, line.low, line.high, color=color, alpha=0.15, linewidth=0)
        shown = marker if len(line.steps) <= _MOST_MARKERS else ""
        axes.plot(
            line.steps, line.mean, color=color, linestyle=style, marker=shown, markersize=4, label=curve.label or "run"
        )
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))  # 200k, 1M
    axes.set_xlabel("steps")
    axes.set_ylabel("return")
    axes.grid(alpha=0.3)
