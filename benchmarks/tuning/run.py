"""One run of a study."""

from __future__ import annotations

import statistics
import tempfile
import time
from typing import Any

import a2c
from a2c.envs.sources import compiled_form
from benchmarks.tuning.switches import switched

EPISODES = {True: 100, False: 30}
"""Greedy episodes of the final policy, where environments are compiled and where not."""


def train(env: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """One run: the greedy return of its final policy, and how training went."""
    is_compiled = compiled_form(env) is not None
    chosen = {name: value for name, value in settings.items() if name != "switch"}
    with tempfile.TemporaryDirectory() as folder, switched(settings.get("switch")):
        start = time.perf_counter()
        run = a2c.train(
            env, preset="none", seed=seed, run_dir=folder, num_workers=0, num_threads=1,
            log_every_steps=settings["total_steps"] // 50, final_eval_episodes=EPISODES[is_compiled],
            **({"eval_every_steps": 0, "eval_episodes": 1} | chosen),
        )  # fmt: skip
        if run.summary["stopped_by"] is not None:
            raise KeyboardInterrupt
        seconds = time.perf_counter() - start
        final = run.summary["final_evaluation"]
        evaluations = [row["evaluation_return"] for row in run.metrics() if "evaluation_return" in row]
        rows = [row["episode_return"] for row in run.metrics() if row.get("episode_return") is not None]
    parts = [rows[len(rows) * i // 10 : len(rows) * (i + 1) // 10] for i in range(10)]
    tenths = [round(statistics.fmean(part), 4) if part else None for part in parts]
    return {
        "settings": settings, "seed": seed, "final": round(final["mean"], 4), "std": round(final["std"], 4),
        "training": tenths, "seconds": round(seconds, 1),
        **({"evaluations": evaluations} if len(evaluations) > 1 else {}),
    }  # fmt: skip
