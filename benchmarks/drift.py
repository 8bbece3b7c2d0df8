"""What statistics of observations do to a policy that nobody changes: Hopper-v5, left alone in the midst of training.

python -m benchmarks.drift [--jobs J]      trains some seeds, and leaves each policy alone in both ways
python -m benchmarks.drift --table         writes what is in results/drift.json into docs/normalization.md

Up to there, networks drift with the statistics, as they did here before `a2c.kernels.rollout.renormalize` and do
elsewhere. Then the same policy goes on acting, with exploration, and learns no more: while it drifts on, and while
first layers make up for the statistics.
"""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import a2c
from a2c.learner import Learner, Update
from benchmarks.markers import filled
from benchmarks.measure import keep, kept, side_by_side
from benchmarks.tuning.studies import CAPPED
from benchmarks.tuning.switches import drifting

PAGE = Path(__file__).parent.parent / "docs" / "normalization.md"

ENV, SEEDS, STEPS = "Hopper-v5", range(3), 700_000
ROLLOUTS, PARTS = 40, 4
"""How long a policy is left alone, and in how many parts its episodes are counted."""

WAYS = {"drifting": drifting, "made up for": nullcontext}


def run(seed: int) -> dict[str, Any]:
    """One seed: mean return of the episodes that ended before, and in each part of the time after, in both ways."""
    config = a2c.Config(ENV, seed=seed, num_threads=1, **CAPPED)
    envs = a2c.make_envs(ENV, config.num_envs, seed=seed, num_workers=0)
    learner = Learner(config, envs)
    with drifting():
        before = []
        while learner.steps < STEPS:
            before.append(Update(*learner.update()[0]))
    state, updates = learner.state(), learner.updates
    result: dict[str, Any] = {"seed": seed, "before": mean_return(before[-ROLLOUTS // PARTS :])}
    for name, way in WAYS.items():
        learner.restore(state, updates)
        with way():
            rows = [Update(*learner._update(0.0), 0.0) for _ in range(ROLLOUTS)]
        size = ROLLOUTS // PARTS
        result[name] = [mean_return(rows[part * size : (part + 1) * size]) for part in range(PARTS)]
    envs.close()
    return result


def mean_return(rows: list[Update]) -> float | None:
    """Of the episodes that ended; None: none did."""
    episodes = sum(row.episodes for row in rows)
    return round(sum(row.return_sum for row in rows) / episodes, 1) if episodes else None


def table() -> str:
    """Each seed's returns, part by part."""
    size = ROLLOUTS // PARTS
    parts = " | ".join(f"rollouts {part * size + 1} to {(part + 1) * size}" for part in range(PARTS))
    lines = [f"| seed | before | left alone | {parts} |", f"|---|---|---|{'---|' * PARTS}"]
    for one in kept("drift")["runs"]:
        seed, before = one["seed"], f"{one['before']:,.0f}"
        for way in WAYS:
            cells = " | ".join("" if value is None else f"{value:,.0f}" for value in one[way])
            lines.append(f"| {seed} | {before} | {way} | {cells} |")
            seed = before = ""
    return "\n".join(lines)


def with_table(page: str) -> str:
    """The page with the table of the committed results."""
    return filled(page, {"drift": table}, PAGE)


def main() -> None:
    command_line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command_line.add_argument("--jobs", type=int, default=2, help="runs at a time")
    command_line.add_argument("--table", action="store_true", help="train nothing")
    options = command_line.parse_args()
    if not options.table:
        runs = [result for _, result in side_by_side(run, {seed: (seed,) for seed in SEEDS}, options.jobs)]
        runs.sort(key=lambda one: int(one["seed"]))
        keep("drift", "python -m benchmarks.drift", {"env_id": ENV, "settings": CAPPED, "steps": STEPS, "runs": runs})
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
