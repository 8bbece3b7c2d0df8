"""The results of several seeds of the same settings: of each, and over all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from a2c.evaluation import shown_returns
from a2c.report.statistics import Estimate, estimate_of_iqm
from a2c.run.folder import Run
from a2c.seeds.rows import Row

EVALUATIONS = {"final_evaluation": "final", "evaluation": "best"}
"""Names in summary.json -> which policy was evaluated."""


class Aggregate(NamedTuple):
    """Mean returns of some runs, one number each."""

    runs: int
    interquartile_mean: Estimate
    lowest: float
    highest: float

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {**self._asdict(), "interquartile_mean": self.interquartile_mean._asdict()}


def aggregates(summaries: Sequence[Mapping[str, Any]]) -> dict[str, Aggregate]:
    """Aggregates of the evaluations at the end of runs, by their name in summary.json.

    Runs do not count if a signal stopped them, they were not evaluated, or their return is not finite. The bootstrap
    has a fixed seed, so the same runs give the same numbers.
    """
    found = {}
    finished = [summary for summary in summaries if summary["stopped_by"] is None]
    for name in EVALUATIONS:
        means = [_mean(summary, name) for summary in finished]
        scores = np.array([mean for mean in means if mean is not None and math.isfinite(mean)], np.float64)
        if len(scores):
            estimate = estimate_of_iqm(scores, np.random.default_rng(0))
            found[name] = Aggregate(len(scores), estimate, float(scores.min()), float(scores.max()))
    return found


def seeds_as_json(rows: Sequence[Row], runs: Sequence[Run]) -> dict[str, Any]:
    """For `--json`: every summary, the aggregates, and the seeds that failed."""
    summaries = [run.summary for run in runs]
    return {
        "runs": [{"run": str(run.path), **summary} for run, summary in zip(runs, summaries, strict=True)],
        "aggregate": {name: one.to_json() for name, one in aggregates(summaries).items()},
        "failures": [
            {"seed": row.seed, "run": None if row.path is None else str(row.path), "why": row.why}
            for row in rows
            if row.state == "failed"
        ],
    }


def seeds_in_words(rows: Sequence[Row], runs: Sequence[Run]) -> str:
    """A line for every seed, then the aggregates."""
    lines = [f"runs in {runs[0].path.parent}"] if runs else []
    lines.append(f"{'seed':>6}{'final':>12}{'best':>12}   run")
    by_seed = {run.config.seed: run for run in runs}
    summaries = {seed: run.summary for seed, run in by_seed.items()}
    for row in rows:
        if row.seed not in by_seed:
            lines.append(f"{row.seed:>6}   {row.why if row.state == 'failed' else 'not begun'}")
            continue
        summary = summaries[row.seed]
        texts = _shown([_mean(summary, name) for name in EVALUATIONS])
        stopped = f", stopped after {summary['steps']:,} steps" if summary["stopped_by"] else ""
        lines.append(f"{row.seed:>6}{texts[0]:>12}{texts[1]:>12}   {by_seed[row.seed].path.name}{stopped}")
    for seed, summary in summaries.items():
        if not summary["exact"]:
            lines.append(f"seed {seed} is not exact: {'; '.join(summary['inexact_because'])}")
    found = aggregates(list(summaries.values()))
    return "\n".join([*lines, *(_table(found) if found else [])])


def _mean(summary: Mapping[str, Any], name: str) -> float | None:
    mean: float | None = summary.get(name, {}).get("mean")
    return mean


def _shown(values: Sequence[float | None]) -> list[str]:
    texts = shown_returns(values)
    return ["-" if value is None else text for value, text in zip(values, texts, strict=True)]


def _table(found: Mapping[str, Aggregate]) -> list[str]:
    """A table with a line for the final policies of all seeds and one for the best."""
    table = [("", "seeds", "IQM", "95 %", "lowest", "highest")]
    for name, one in found.items():
        point, low, high, lowest, highest = shown_returns([*one.interquartile_mean, one.lowest, one.highest])
        table.append((EVALUATIONS[name], str(one.runs), point, f"{low} to {high}", lowest, highest))
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return ["", *(f"  {row[0]:<6}{'  '.join(map(str.rjust, row[1:], widths[1:]))}" for row in table)]
