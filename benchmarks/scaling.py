"""How cost grows: training speed on compiled CartPole-v1 over environments, widths and threads; and memory over 50
million steps of a whole run.

    python -m benchmarks.scaling
"""

from __future__ import annotations

import functools
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

import a2c
from a2c.commands.benchmark import Contestant
from a2c.envs import make_envs
from a2c.learner import Learner
from benchmarks.measure import RESULTS, alternate, keep

NUM_ENVS = (1, 4, 16, 64, 256, 1024, 4096)
WIDTHS = (32, 64, 128, 256, 512)
THREADS = (1, 2)
ROUNDS = 5
SECONDS = 0.3
MEMORY_STEPS = 50_000_000


def training(num_envs: int, width: int, threads: int) -> Contestant:
    config = a2c.Config(
        "CartPole-v1",
        num_envs=num_envs,
        rollout_length=8,
        hidden_sizes=(width,),
        activation="relu",
        num_threads=threads,
    )
    envs = make_envs("CartPole-v1", num_envs, vectorization="compiled")
    learner = Learner(config, envs)
    count = max(1, 100_000 // config.steps_per_update)  # some hundredths of a second, as in a run
    return Contestant(lambda: len(learner.update(count)) * config.steps_per_update, envs.close)


def speed(points: list[tuple[int, int]]) -> list[dict[str, Any]]:
    """Median rates for (environments, width), each with every number of threads."""
    results = []
    for num_envs, width in points:
        contestants = {threads: training(num_envs, width, threads) for threads in THREADS}
        named = {f"{num_envs} x 8, {width}, {t} threads": c for t, c in contestants.items()}
        rates = alternate({name: functools.partial(c.rate, SECONDS) for name, c in named.items()}, ROUNDS)
        by_threads = dict(zip(THREADS, (rate["median"] for rate in rates.values()), strict=True))
        results.append({"num_envs": num_envs, "width": width, "steps_per_second": by_threads})
    return results


def memory() -> list[dict[str, float]]:
    """Resident megabytes of this process while a whole run goes on, one row every half second."""
    page, rows, over = os.sysconf("SC_PAGE_SIZE"), [], threading.Event()

    def watch() -> None:
        start = time.perf_counter()
        while not over.wait(0.5):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            rows.append({"seconds": time.perf_counter() - start, "megabytes": pages * page / 1e6})

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            a2c.train(
                "CartPole-v1", preset="none", run_dir=folder, total_steps=MEMORY_STEPS, hidden_sizes=(256,),
                activation="relu", eval_every_steps=0, eval_episodes=1, final_eval_episodes=0,
            )  # fmt: skip
    finally:
        over.set()
        watcher.join()
    return rows


def highest(points: list[dict[str, Any]]) -> float:
    return max(max(point["steps_per_second"].values()) for point in points)


def draw(over_envs: list[dict[str, Any]], over_widths: list[dict[str, Any]], rows: list[dict[str, float]]) -> None:
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    for axes, points, x, label in (
        (left, over_envs, "num_envs", "environments (8 steps, 256 hidden units)"),
        (middle, over_widths, "width", "hidden units (64 environments, 8 steps)"),
    ):
        for threads in THREADS:
            rates = [point["steps_per_second"][threads] / 1e6 for point in points]
            axes.plot([point[x] for point in points], rates, marker="o", label=f"{threads} thread{'s'[: threads - 1]}")
        axes.set(xscale="log", xlabel=label, ylabel="million steps per second", ylim=(0, 1.1 * highest(points) / 1e6))
        axes.set_xticks([point[x] for point in points], [str(point[x]) for point in points], minor=False)
        axes.set_xticks([], minor=True)
        axes.grid(alpha=0.3)
        axes.legend()
    right.plot([row["seconds"] for row in rows], [row["megabytes"] for row in rows])
    top = 1.2 * max(row["megabytes"] for row in rows)
    right.set(xlabel=f"seconds ({MEMORY_STEPS // 10**6} million steps)", ylabel="resident MB", ylim=(0, top))
    right.grid(alpha=0.3)
    figure.savefig(RESULTS / "scaling.png", dpi=110)
    print(RESULTS / "scaling.png")


def main() -> None:
    rows = memory()
    over_envs = speed([(num_envs, 256) for num_envs in NUM_ENVS])
    over_widths = speed([(64, width) for width in WIDTHS])
    draw(over_envs, over_widths, rows)
    results = {"over_envs": over_envs, "over_widths": over_widths, "memory_steps": MEMORY_STEPS, "memory": rows}
    keep("scaling", "python -m benchmarks.scaling", results)


if __name__ == "__main__":
    main()
