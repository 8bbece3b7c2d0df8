"""`a2c plot RUN...`: the learning curve, as a picture."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from a2c import files
from a2c.errors import UserError
from a2c.run import Run


@dataclasses.dataclass(frozen=True)
class Plot:
    """Draw the learning curve of one run, or of several in one picture."""

    folders: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="RUN...")]
    """The runs' folders."""
    to: str | None = None
    """Where to; the ending chooses the format (png, pdf, svg). By default curve.png in the run, or curves.png here."""

    def run(self) -> int:
        """Returns the exit code."""
        if not self.folders:
            raise UserError("plot needs the folder of at least one run")
        runs = [Run(folder) for folder in self.folders]
        by_default = runs[0].path / "curve.png" if len(runs) == 1 else Path("curves.png")
        print(draw(runs, Path(self.to) if self.to else by_default))
        return 0


def draw(runs: Sequence[Run], path: Path) -> Path:
    """Draws return over steps: evaluations as lines with points, episodes of training as faint lines.

    Args:
        runs: At least one.
        path: Where to; the ending chooses the format.

    Returns:
        The path.

    Raises:
        UserError: A run has no metrics, or the picture cannot be written.
    """
    from matplotlib.figure import Figure  # Slow to import: only where a picture is drawn.

    if not path.suffix:
        raise UserError(f"cannot tell the format of the picture {path}; it must end in .png, .pdf or .svg")
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for number, run in enumerate(runs):
        rows = run.metrics()
        color = f"C{number}"
        training = _points(rows, "episode_return")
        evaluation = _points(rows, "evaluation_return")
        label = f"{_printable(run.config.env_id)}, seed {run.config.seed}"
        axes.plot(*training, color=color, alpha=0.3, linewidth=1, label=f"{label}: episodes of training")
        how = "greedy" if run.config.eval_greedy else "sampled"
        markers = "." if len(evaluation[0]) <= 100 else ""
        axes.plot(*evaluation, color=color, marker=markers, label=f"{label}: evaluation ({how})")
    axes.set_xlabel("steps")
    axes.set_ylabel("return")
    axes.grid(alpha=0.3)
    for text in axes.legend(loc="best", fontsize="small").get_texts():
        text.set_parse_math(False)
    picture = io.BytesIO()
    try:
        figure.savefig(picture, format=path.suffix[1:], dpi=150)
        files.write_bytes(path, picture.getvalue())
    except (UserError, ValueError) as error:
        raise UserError(f"cannot write the picture {path}: {error}") from error
    return path


def _printable(name: str) -> str:
    """A name from a stranger's folder, as a legend can show it."""
    text = "".join(character if character.isascii() and character.isprintable() else "?" for character in name)
    return text[:60].lstrip("_")


def _points(rows: Sequence[dict[str, Any]], name: str) -> tuple[list[int], list[float]]:
    # A row may hold null, and in a damaged file anything.
    points = [(row["steps"], row[name]) for row in rows if isinstance(row.get(name), float)]
    return [steps for steps, _ in points], [value for _, value in points]
