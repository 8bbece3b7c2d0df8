"""`a2c compare A... -- B...`: says which of two groups of runs is better, and how sure that is."""

from __future__ import annotations

import dataclasses
import textwrap
from typing import Annotated

import tyro

from a2c.errors import UserError
from a2c.evaluation import shown_returns
from a2c.output import print_json
from a2c.report.comparison import NAMES, Comparison, Environment, compared
from a2c.report.curves import printable
from a2c.report.folders import AGAINST, runs_in
from a2c.run.policies import BestOrFinal


@dataclasses.dataclass(frozen=True)
class Compare:
    """Compare two groups of runs, such as the seeds of two settings: A... -- B..."""

    folders: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="A... -- B...")]
    """Run folders, or folders of runs, of both groups, with -- between them."""
    which: BestOrFinal = "final"
    """Which policies' scores to compare: the final ones, or the best by evaluation during training."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> int:
        """Returns the exit code."""
        if self.folders.count(AGAINST) != 1:
            raise UserError(
                f"compare got {self.folders.count(AGAINST) + 1} group{'s' if AGAINST in self.folders else ''} of runs; "
                "it must be two, with -- between them: a2c compare A... -- B..."
            )
        middle = self.folders.index(AGAINST)
        names = self.folders[:middle], self.folders[middle + 1 :]
        for name, group in zip(NAMES, names, strict=True):
            if not group:
                raise UserError(f"compare got no run for {name}; it takes A... -- B...")
        found = compared((runs_in(names[0]), runs_in(names[1])), self.which)
        if self.json:
            print_json(found.to_json())
        else:
            print(in_words(found))
        return 0


def in_words(comparison: Comparison) -> str:
    """A table for each environment, the settings that differ, and the verdict, in lines of at most 80 columns."""
    lines = []
    for env_id, environment in comparison.environments.items():
        lines += [f"{printable(env_id, 40)}, {comparison.which} policies", *table(environment), ""]
    if comparison.settings:
        lines.append("They differ in")
        for name, (ours, theirs) in comparison.settings.items():
            text = f"{printable(name)}: {printable(ours, 200)} (A), {printable(theirs, 200)} (B)"
            lines += textwrap.wrap(text, 78, initial_indent="  ", subsequent_indent="    ")
    else:
        lines.append("All settings that affect results are the same.")
    return "\n".join([*lines, "", *textwrap.wrap(comparison.verdict(), 80)])


def table(environment: Environment, names: tuple[str, str] = NAMES) -> list[str]:
    """The lines of a table: runs, interquartile mean with its interval, lowest and highest run of each group."""
    rows = [("", "runs", "IQM", "95 %", "lowest", "highest")]
    for name, side in zip(names, environment.sides, strict=True):
        numbers = [side.iqm.point, side.iqm.low, side.iqm.high, side.scores.min(), side.scores.max()]
        point, low, high, worst, best = shown_returns([float(number) for number in numbers])
        rows.append((name, str(len(side.scores)), point, f"{low} to {high}", worst, best))
    point, low, high = shown_returns(environment.difference)
    rows.append((" - ".join(names), "", point, f"{low} to {high}", "", ""))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  " + "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
