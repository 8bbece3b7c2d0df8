"""Returns on MiniGrid with no setting chosen, on five seeds that nothing was chosen on.

    python -m benchmarks.minigrid [TASK ...] [--jobs J]
    python -m benchmarks.minigrid --table
    python -m benchmarks.minigrid --picture         docs/minigrid.png: where an episode of each begins

Runs already in the results are not made again. A run's result is the mean return of 100 episodes of the final policy,
once with sampled actions, as RL-Zoo3 evaluates on MiniGrid, and once with greedy ones.
"""

from __future__ import annotations

import argparse
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any, NamedTuple

import a2c
from a2c.envs.make import make_env
from benchmarks.markers import filled
from benchmarks.measure import Table, complete, keep, kept

SEEDS = range(10, 15)
PAGE = Path(__file__).parents[1] / "docs" / "minigrid.md"


class Task(NamedTuple):
    """What is to be learnt, with which settings beside those that fit, and what others reach."""

    env: str
    settings: dict[str, Any]
    published: str


TASKS = {
    "Empty-8x8": Task("MiniGrid-Empty-8x8-v0", {"total_steps": 100_000}, ""),
    "DoorKey-5x5": Task("MiniGrid-DoorKey-5x5-v0", {"total_steps": 200_000}, ".964 (PPO, 100 k)"),
    "DoorKey-8x8": Task("MiniGrid-DoorKey-8x8-v0", {"total_steps": 1_000_000}, ""),
    "KeyCorridorS3R1": Task("MiniGrid-KeyCorridorS3R1-v0", {"total_steps": 500_000}, ".949 (PPO, 500 k)"),
}


def run(task: str, seed: int) -> dict[str, Any]:
    """One run and what its final policy reaches."""
    env, settings, _ = TASKS[task]
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        made = a2c.train(
            env, seed=seed, run_dir=folder, num_workers=0, num_threads=1, eval_every_steps=0, final_eval_episodes=0,
            **settings,
        )  # fmt: skip
        seconds = time.perf_counter() - start
        reached = {how: made.evaluate(100, which="final", greedy=how == "greedy").mean for how in ("sampled", "greedy")}
    return {"seed": seed, "seconds": seconds, "settings": settings, **reached}


def finished() -> Table:
    """The runs that are kept, by task."""
    table: Table = kept("minigrid").get("tasks", {})
    return table


def save(table: Table) -> None:
    """Keeps them, in the order of the tasks."""
    ordered = {task: table[task] for task in TASKS if task in table}
    keep("minigrid", "python -m benchmarks.minigrid", {"tasks": ordered})


def table() -> str:
    """What was reached."""
    lines = ["| environment | steps | sampled | greedy | seconds | published |", "|---|---|---|---|---|---|"]
    for task, ways in finished().items():
        runs, (_, settings, published) = ways["a2c"], TASKS[task]
        sampled, greedy = (", ".join(f"{one[how]:.3f}".lstrip("0") for one in runs) for how in ("sampled", "greedy"))
        seconds = sorted(one["seconds"] for one in runs)[len(runs) // 2]
        lines.append(f"| {task} | {settings['total_steps']:,} | {sampled} | {greedy} | {seconds:.0f} | {published} |")
    return "\n".join(lines)


def with_tables(page: str) -> str:
    """A page with what is in the results."""
    return filled(page, {"minigrid": table}, PAGE)


def picture() -> None:
    """Where an episode of each begins, with its mission; bright is what the agent sees."""
    import matplotlib.pyplot as plt  # Here: only this needs it.

    _, axes = plt.subplots(1, len(TASKS), figsize=(10, 3.4))
    for axis, (name, task) in zip(axes, TASKS.items(), strict=True):
        env = make_env(task.env, render_mode="rgb_array")
        obs, _ = env.reset(seed=0)
        axis.imshow(env.render())
        axis.set_title(f"{name}\n{textwrap.fill(obs['mission'], 32)}", fontsize=8)
        axis.axis("off")
        env.close()
    plt.tight_layout()
    plt.savefig(PAGE.with_suffix(".png"), dpi=110)


def main() -> None:
    command_line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command_line.add_argument("tasks", nargs="*", metavar="TASK", help=", ".join(TASKS))
    command_line.add_argument("--jobs", type=int, default=2, help="runs at a time")
    command_line.add_argument("--table", action="store_true", help="write the table of docs/minigrid.md, train nothing")
    command_line.add_argument("--picture", action="store_true", help="only draw docs/minigrid.png")
    options = command_line.parse_args()
    if options.picture:
        picture()
        return
    if not options.table:
        wanted = {(task, "a2c", seed): (task, seed) for seed in SEEDS for task in options.tasks or TASKS}
        for (task, _, seed), result in complete(run, finished, save, wanted, options.jobs):
            print(f"{task}, seed {seed}: {result['sampled']:.3f} in {result['seconds']:.0f} s", flush=True)
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
