"""The ladder: from REINFORCE to A2C and beyond, each rung a claim that is measured.

python -m studies.ladder                                   figures and docs/ladder.md's tables, from the results
python -m studies.ladder --run [RUNG ...] [--peers PYTHON] [--jobs J]      measures what is not in the results

PYTHON is one that has benchmarks/peers/requirements.txt installed, for DQN; without it DQN is left out. A run that is
in the results is not made again, and each is written as it comes: interrupt at will.
"""

from __future__ import annotations

import argparse
from typing import Any

from benchmarks.measure import side_by_side
from studies import gradients
from studies.ladder_page import draw
from studies.rungs import A2C, RUNGS, contestants
from studies.runs import (
    DQN_SETTINGS,
    RATE_SEEDS,
    SEEDS,
    TASKS,
    Run,
    chosen_rate,
    finished,
    keep,
    train,
    train_dqn,
)

Job = tuple[str, str, float | None, int]
"""File, name, rate and seed of a run."""


def missing(wanted: dict[Job, tuple[Any, ...]]) -> dict[Job, tuple[Any, ...]]:
    """Those that are not in the results."""
    files = {file for file, *_ in wanted}
    there = {(file, run["name"], run.get("rate"), run["seed"]) for file in files for run in finished(file)}
    return {job: arguments for job, arguments in wanted.items() if job not in there}


def rates(names: list[str]) -> dict[Job, tuple[Any, ...]]:
    """Every rate of every contestant, on the seeds for that."""
    return {
        (f"rates-{task}", one.name, rate, seed): ("train", one, TASKS[task], seed, rate, 0)
        for task, those in contestants(names).items()
        for one in those
        for rate in one.rates
        for seed in RATE_SEEDS
    }


def runs(names: list[str], peers: str | None) -> dict[Job, tuple[Any, ...]]:
    """What is compared, at the rates that were chosen."""
    wanted: dict[Job, tuple[Any, ...]] = {}
    timed: dict[Job, tuple[Any, ...]] = {}  # Last, when processes have loaded all machine code.
    for task, those in contestants(names).items():
        for one in those:
            rate = chosen_rate(one, task)
            for seed in SEEDS:
                wanted[task, one.name, rate, seed] = ("train", one, TASKS[task], seed, rate)
                if task == "CartPole-v1-50k":
                    timed[f"seconds-{task}", one.name, rate, seed] = ("train", one, TASKS[task], seed, rate, 0)
    if {"estimators", "environments"} & set(names):
        for task in ("CartPole-v1", "Acrobot-v1"):
            rate = chosen_rate(A2C, task)
            for seed in SEEDS:
                wanted[f"gradients-{task}", "gradients", rate, seed] = ("gradients", A2C, TASKS[task], seed, rate)
    if "replay" in names and peers is not None:
        for settings in DQN_SETTINGS:
            for seed in SEEDS:
                job = ("DQN", f"DQN, {settings}", None, seed)
                wanted[job] = ("dqn", peers, settings, seed, TASKS["CartPole-v1-50k"].steps)
    return wanted | timed


def work(kind: str, *arguments: Any) -> Run:
    """Does one job, in a process of its own."""
    return {"train": train, "gradients": gradients.measure, "dqn": train_dqn}[kind](*arguments)


def measure(wanted: dict[Job, tuple[Any, ...]], jobs: int) -> None:
    """Makes the runs that are missing, and writes each as it comes."""
    todo = missing(wanted)
    for number, ((file, name, rate, seed), run) in enumerate(side_by_side(work, todo, jobs), 1):
        keep(file, run)
        print(f"{number} of {len(todo)}: {file}, {name}, {rate}, seed {seed}", flush=True)


def main() -> None:
    command_line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command_line.add_argument("--run", nargs="*", metavar="RUNG", choices=list(RUNGS), help=", ".join(RUNGS))
    command_line.add_argument("--peers", metavar="PYTHON", help="one that has Stable-Baselines3")
    command_line.add_argument("--jobs", type=int, default=2, help="runs at a time")
    options = command_line.parse_args()
    if options.run is not None:
        names = options.run or list(RUNGS)
        measure(rates(names), options.jobs)
        measure(runs(names, options.peers), options.jobs)
    draw()


if __name__ == "__main__":
    main()
