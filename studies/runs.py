"""Runs of the ladder: rates are chosen on seeds of their own, then 20 seeds are measured; where results are kept."""

from __future__ import annotations

import json
import math
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import a2c
from a2c.errors import NumbersError
from a2c.run.versions import versions

RESULTS = Path(__file__).parent / "results" / "ladder"
DQN_SETTINGS = ("zoo", "defaults")
DQN_SCRIPT = Path(__file__).parent.parent / "benchmarks" / "peers" / "dqn.py"

SEEDS = range(500, 520)
RATE_SEEDS = range(400, 404)
"""On which rates were chosen: no other seed of the project's, and none of `SEEDS`."""

EVALUATIONS, EPISODES = 20, 5
"""How often a run is evaluated, evenly over its steps, and on how many greedy episodes."""

PARTS = 20
"""Of a training, of equal steps: each counts as much in the area under the curve of training episodes."""

RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
LENGTHS = (0.005, 0.01, 0.02, 0.04, 0.08)
"""Of a natural step: its KL divergence."""

COMMON: dict[str, Any] = {
    "normalize_observations": True,
    "normalize_returns": True,
    "schedule": "linear",
    "final_eval_episodes": 0,
    "num_workers": 0,
    "num_threads": 1,
    "save_every_seconds": 1e6,
}
"""Of every contestant; everything else that it does not name is the default of `a2c.Config`."""

Run = dict[str, Any]


class Task(NamedTuple):
    """What is to be learnt, in how many steps."""

    env: str
    steps: int
    solved: float
    """What three evaluations in a row have to reach."""


TASKS = {
    "CartPole-v1": Task("CartPole-v1", 100_000, 475.0),
    "Acrobot-v1": Task("Acrobot-v1", 200_000, -100.0),
    "Pendulum-v1": Task("Pendulum-v1", 200_000, -200.0),
    "CartPole-v1-50k": Task("CartPole-v1", 50_000, 475.0),
}
"""All in compiled form. 475 and -100 are Gymnasium's own thresholds; Pendulum-v1 has none. 50,000 steps are what
RL-Zoo3 gives DQN."""


class Contestant(NamedTuple):
    """Settings under a name."""

    name: str
    settings: dict[str, Any]

    @property
    def rate_name(self) -> str:
        """The setting that is chosen for it."""
        return "natural_kl" if self.settings.get("actor_step") == "natural" else "learning_rate"

    @property
    def rates(self) -> tuple[float, ...]:
        """What it is chosen from."""
        return LENGTHS if self.rate_name == "natural_kl" else RATES


# -- where results are kept: one run a line --


def finished(name: str) -> list[Run]:
    """The runs that results/ladder/<name>.json holds; none where there is no such file."""
    path = RESULTS / f"{name}.json"
    runs: list[Run] = json.loads(path.read_text())["runs"] if path.exists() else []
    return runs


def keep(name: str, run: Run) -> None:
    """Adds a run, or puts it in the place of the same one; whoever reads the file meanwhile finds it whole."""
    path = RESULTS / f"{name}.json"
    there = {(one["name"], one.get("rate", 0), one["seed"]): one for one in [*finished(name), run]}
    runs = [there[key] for key in sorted(there)]
    head = json.dumps({"command": "python -m studies.ladder --run", "versions": versions()}, indent=1)
    lines = ",\n".join("  " + json.dumps(one) for one in runs)
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_suffix(".tmp")
    written.write_text(head.removesuffix("\n}") + f',\n "runs": [\n{lines}\n ]\n}}\n')
    written.replace(path)


# -- ours --


def train(contestant: Contestant, task: Task, seed: int, rate: float, evaluations: int = EVALUATIONS) -> Run:
    """One run: its evaluations on fresh environments, and the area under the curve of its training episodes.

    Args:
        contestant: The settings.
        task: What to learn.
        seed: Of the run.
        rate: Of its steps.
        evaluations: How many; with none, the whole call is timed.
    """
    result: Run = {"name": contestant.name, "seed": seed, "rate": rate}
    settings = COMMON | contestant.settings | {contestant.rate_name: rate}
    every = task.steps // evaluations if evaluations else 0
    begin = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        try:
            run = a2c.train(
                task.env, preset="none", seed=seed, run_dir=folder, total_steps=task.steps,
                eval_every_steps=every, eval_episodes=EPISODES, **settings,
            )  # fmt: skip
        except NumbersError:  # It diverged.
            return result | {"training": None}
        rows, summary = run.metrics(), run.summary
    if summary["stopped_by"] is not None:
        raise KeyboardInterrupt
    if not evaluations:
        result["processor_seconds"] = round(time.process_time() - begin, 3)
    result["training"] = area(rows, task.steps)
    if evaluations:
        points = [(row["steps"], round(row["evaluation_return"], 2)) for row in rows if "evaluation_return" in row]
        result["steps"], result["return"] = ([point[i] for point in points] for i in range(2))
    return result


def area(rows: list[Run], steps: int) -> float | None:
    """The mean return of training episodes over a run, of which every part of steps counts as much.

    A part in which no episode ended counts as the one before it; what comes before the first end, as the first. None
    where no episode ended.
    """
    parts: list[list[float]] = [[] for _ in range(PARTS)]
    for row in rows:
        if row.get("episode_return") is not None:
            parts[min(PARTS, math.ceil(row["steps"] / steps * PARTS)) - 1].append(row["episode_return"])
    means = [float(np.mean(part)) for part in parts if part]
    if not means:
        return None
    total, last = 0.0, means[0]
    for part in parts:
        last = float(np.mean(part)) if part else last
        total += last
    return round(total / PARTS, 3)


def areas_of_rates(contestant: Contestant, name: str) -> dict[float, list[float | None]]:
    """Areas under the curve by rate, of the runs for a task that are there."""
    found: dict[float, list[float | None]] = {}
    for run in finished(f"rates-{name}"):
        if run["name"] == contestant.name:
            found.setdefault(run["rate"], []).append(run["training"])
    return found


def chosen_rate(contestant: Contestant, name: str) -> float:
    """The rate whose runs on `RATE_SEEDS` had the largest area under the curve, in the mean.

    Raises:
        LookupError: Not all of these runs are there.
    """
    found = areas_of_rates(contestant, name)
    if set(found) != set(contestant.rates) or any(len(areas) < len(RATE_SEEDS) for areas in found.values()):
        raise LookupError(f"{contestant.name} has not been tried with every rate in {name}")

    def mean(rate: float) -> float:
        areas = [area for area in found[rate] if area is not None]
        return float(np.mean(areas)) if len(areas) == len(found[rate]) else -math.inf  # Where one diverged.

    return max(found, key=mean)


# -- Stable-Baselines3's --


def train_dqn(python: str, settings: str, seed: int, steps: int) -> Run:
    """One run of DQN in a process of its own, with `benchmarks/peers/dqn.py`'s "zoo" or "defaults".

    Raises:
        RuntimeError: It failed.
    """
    command = [
        python, "-Wignore", str(DQN_SCRIPT), "--settings", settings, "--seed", str(seed), "--steps", str(steps),
        "--evaluations", str(EVALUATIONS), "--episodes", str(EPISODES),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    run: Run = json.loads(done.stdout.splitlines()[-1])
    return {"name": f"DQN, {settings}", "seed": seed, **run}
