"""Tasks that need memory, learnt with it and without, at the same steps, on five seeds that nothing was chosen on.

python -m benchmarks.memory [TASK ...] [--jobs J]      python -m benchmarks.memory --table

Every task is a compiled environment, with fitted settings (`a2c.fitting`) except for those in `TASKS`. A run ends with
100 greedy episodes of the final policy. Runs already in the results are not made again.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np

import a2c
from a2c.envs.compiled import cartpole, pendulum
from benchmarks.markers import filled
from benchmarks.measure import Table, complete, keep, kept

RESULT, SEEDS, EPISODES = "memory", range(10, 15), 100
PAGE = Path(__file__).parents[1] / "docs" / "memory.md"


def observe_cartpole(state: Any, obs: Any) -> None:
    """Where cart and pole are, not how fast."""
    obs[0], obs[1] = state[0], state[2]


def observe_pendulum(state: Any, obs: Any) -> None:
    """Which way the pendulum points, not how fast it turns."""
    obs[0], obs[1] = math.cos(state[0]), math.sin(state[0])


CORRIDOR = 60
"""Steps from the sign to the junction of the T-maze."""

DELAY, SYMBOLS, REPEATS = 8, 4, 64
"""After how many steps a symbol must be repeated, the number of symbols, and how many are repeated in an episode."""


def reset_maze(state: Any, random: Any) -> None:
    """At the beginning of the corridor, with a sign that says which way to turn at its end."""
    state[0], state[1] = 0.0, 1.0 if random[0] < 0.5 else -1.0


def step_maze(state: Any, action: Any, random: Any) -> tuple[float, bool]:
    """0 goes on, 1 and 2 turn: into walls, before the junction."""
    if state[0] < CORRIDOR:
        if action == 0:
            state[0] += 1.0
            return 0.0, False
        return -0.1, False
    if action == 0:
        return -0.1, False
    return (4.0 if (action == 1) == (state[1] > 0) else -0.1), True


def observe_maze(state: Any, obs: Any) -> None:
    """The sign where it stands, the corridor, the junction."""
    obs[0] = state[1] if state[0] == 0 else 0.0
    obs[1] = 1.0 if state[0] == CORRIDOR else 0.0


def reset_repeat(state: Any, random: Any) -> None:
    """The first symbol; of those before there is nothing to repeat."""
    for i in range(DELAY + 1):
        state[i] = -1.0
    state[0], state[DELAY + 1] = math.floor(SYMBOLS * random[0]), 0.0


def step_repeat(state: Any, action: Any, random: Any) -> tuple[float, bool]:
    """A point for what was shown DELAY steps ago; the next symbol."""
    reward = 1.0 if state[DELAY] == action else 0.0
    for i in range(DELAY, 0, -1):
        state[i] = state[i - 1]
    state[0] = math.floor(SYMBOLS * random[0])
    state[DELAY + 1] += 1.0
    return reward, state[DELAY + 1] == REPEATS + DELAY


def observe_repeat(state: Any, obs: Any) -> None:
    """The symbol, one-hot."""
    for i in range(SYMBOLS):
        obs[i] = 1.0 if state[0] == i else 0.0


def _numbers(count: int, high: float = 10.0) -> gymnasium.spaces.Box:
    return gymnasium.spaces.Box(-high, high, (count,), np.float32)


class Task(NamedTuple):
    """What is learnt, and how."""

    env: a2c.CompiledEnv
    settings: dict[str, Any]
    best: float
    """The return of a policy that remembers all it needs, or the return that counts as solved."""


TASKS = {
    "CartPole-v1 without velocities": Task(
        a2c.CompiledEnv(
            "CartPole-v1 without velocities", cartpole.reset, cartpole.step, observe_cartpole,
            state_size=4, observation_space=_numbers(2), action_space=gymnasium.spaces.Discrete(2),
            max_episode_steps=500,
        ),
        {"total_steps": 500_000},
        475.0,
    ),
    "Pendulum-v1 without velocity": Task(
        a2c.CompiledEnv(
            "Pendulum-v1 without velocity", pendulum.reset, pendulum.step, observe_pendulum,
            state_size=2, observation_space=_numbers(2), action_space=pendulum.PENDULUM_V1.action_space,
            max_episode_steps=200,
        ),
        {"total_steps": 2_000_000, "gamma": 0.95, "initial_log_std": 0.0},
        -200.0,
    ),
    f"T-maze of {CORRIDOR} steps": Task(
        a2c.CompiledEnv(
            "T-maze", reset_maze, step_maze, observe_maze,
            state_size=2, observation_space=_numbers(2), action_space=gymnasium.spaces.Discrete(3),
            max_episode_steps=4 * CORRIDOR,
        ),
        {
            "total_steps": 5_000_000, "rollout_length": 128, "num_envs": 32, "learning_rate": 2e-3,
            "entropy_coef": 0.03,
        },
        4.0,
    ),
    f"repeat what was shown {DELAY} steps ago": Task(
        a2c.CompiledEnv(
            "Repeat", reset_repeat, step_repeat, observe_repeat,
            state_size=DELAY + 2, observation_space=_numbers(SYMBOLS), action_space=gymnasium.spaces.Discrete(SYMBOLS),
            max_episode_steps=None, step_randoms=1,
        ),
        {"total_steps": 10_000_000, "num_envs": 32, "learning_rate": 2e-3, "gamma": 0.0},
        float(REPEATS),
    ),
}  # fmt: skip

SIZES = {"with memory": 64, "without": 0}


def run(task: str, way: str, seed: int) -> dict[str, Any]:
    """One run."""
    env, settings, _ = TASKS[task]
    # With and without memory: gradient steps on rollouts of the same length.
    chosen = {"actor_step": "gradient", "rollout_length": 32, **settings}
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        summary = a2c.train(
            env, memory_size=SIZES[way], seed=seed, run_dir=folder, num_threads=1, eval_every_steps=0,
            final_eval_episodes=EPISODES, **chosen,
        ).summary  # fmt: skip
        seconds = time.perf_counter() - start
    if summary["stopped_by"] is not None:
        raise KeyboardInterrupt
    final = summary["final_evaluation"]
    return {
        "seed": seed, "steps": summary["steps"], "final": round(final["mean"], 4), "std": round(final["std"], 4),
        "seconds": round(seconds, 1),
    }  # fmt: skip


def finished() -> Table:
    """The runs that are in the results, by task and way."""
    tasks: Table = kept(RESULT).get("tasks", {})
    return tasks


def save(tasks: Table) -> None:
    """Keeps the runs."""
    keep(RESULT, "python -m benchmarks.memory", {"sizes": SIZES, "tasks": tasks})


def table() -> str:
    """Tasks, and what the final policies of all seeds got."""
    lines = [
        "| task | steps | solved | with memory | without |",
        "|---|---|---|---|---|",
    ]
    for task, ways in finished().items():
        cells = [", ".join(f"{run['final']:,.1f}" for run in ways.get(way, [])) for way in SIZES]
        steps = TASKS[task].settings["total_steps"]
        lines.append(f"| {task} | {steps:,} | {TASKS[task].best:,.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def speeds() -> str:
    """Whole runs beside PyTorch's, as `benchmarks.recurrent` measured them."""
    lines = ["| | steps per second (lowest to highest) | beside PyTorch |", "|---|---|---|"]
    result = kept("recurrent")
    for name, rates in result["steps_per_second"].items():
        times = f"{result['ratios'][name]['median']:.1f}" if name in result["ratios"] else ""
        low, high = min(rates["rounds"]), max(rates["rounds"])
        lines.append(f"| {name} | {rates['median']:,.0f} ({low:,.0f} to {high:,.0f}) | {times} |")
    return "\n".join(lines)


def with_tables(page: str) -> str:
    """A page with what is in the results."""
    return filled(page, {"memory": table, "recurrent": speeds}, PAGE)


def main() -> None:
    command_line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command_line.add_argument("tasks", nargs="*", metavar="TASK", help=", ".join(TASKS))
    command_line.add_argument("--jobs", type=int, default=2, help="runs at a time")
    command_line.add_argument("--table", action="store_true", help="write the table of docs/memory.md, train nothing")
    options = command_line.parse_args()
    if options.table:
        PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
        return
    wanted = {
        (task, way, seed): (task, way, seed) for seed in SEEDS for task in options.tasks or TASKS for way in SIZES
    }
    for (task, way, seed), result in complete(run, finished, save, wanted, options.jobs):
        print(f"{task}, {way}, seed {seed}: {result['final']:,.1f} in {result['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
