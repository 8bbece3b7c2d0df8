"""What a cluster costs: python -m benchmarks.cluster [--table]

Environments that sleep instead of computing, one in each actor, on a Ray that is started on this machine: how long an
update takes beside the sleeping, and what travels. With --table, the table of docs/cluster.md is written from results
that are there.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

import gymnasium
import numpy as np

import a2c
from a2c.cluster.acting import acting_on
from a2c.cluster.fleet import Fleet
from a2c.cluster.nodes import Cluster
from a2c.learner import Learner
from benchmarks.markers import filled
from benchmarks.measure import keep, kept

PAGE = Path(__file__).parent.parent / "docs" / "cluster.md"
NAME = "cluster"
CASES = [(ms, length, actors) for ms, length in ((0, 16), (1, 128), (5, 16), (20, 16)) for actors in (1, 4, 16)]
WARM, ROUNDS = 5, 30


class Sleeper(gymnasium.Env):
    """Takes its time, and no processor's."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (24,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (4,), np.float32)

    def __init__(self, seconds=0.0):
        self._seconds = seconds

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        return self._seen(), {}

    def step(self, action):
        if self._seconds:
            time.sleep(self._seconds)
        self._steps += 1
        return self._seen(), float(action[0]), False, self._steps == 1000, {}

    def _seen(self):
        return self.np_random.normal(size=24).astype(np.float32)


class Weighed(Fleet):
    """Counts what travels."""

    down = up = 0

    def begin_rollout(self, down, carry, update):
        self.down = sum(array.nbytes for array in down) + carry.nbytes
        return super().begin_rollout(down, carry, update)

    def finish_rollout(self, under_way):
        collected = super().finish_rollout(under_way)
        self.up = sum(array.nbytes for _, columns in collected.columns for array in columns)
        return collected


def measured(milliseconds, length, actors):
    """Seconds of updates, and bytes of each."""

    def make():
        return Sleeper(milliseconds / 1000)

    config = a2c.Config(
        "none", num_envs=actors, rollout_length=length, hidden_sizes=(64, 64), normalize_observations=True,
        cluster="local", num_actors=actors, num_threads=1,
    )  # fmt: skip
    fleet = Weighed(config, make)
    try:
        learner = Learner(config, fleet.envs, acting=acting_on(fleet, config))
        seconds = []
        for _ in range(WARM + ROUNDS):
            begin = time.perf_counter()
            learner.update()
            seconds.append(time.perf_counter() - begin)
        learning = learner.seconds["gradient"] / (WARM + ROUNDS)
    finally:
        fleet.close()
    return {
        "milliseconds": milliseconds, "rollout_length": length, "actors": actors, "seconds": seconds[WARM:],
        "learning_seconds": learning, "bytes_down": fleet.down, "bytes_up": fleet.up,
    }  # fmt: skip


def table():
    rows = ["| a step sleeps | rollout | actors | an update takes | it sleeps | part | down | up |", "|" + "---|" * 8]
    for row in kept(NAME)["rows"]:
        takes = statistics.median(row["seconds"])
        low, high = min(row["seconds"]), max(row["seconds"])
        ideal = row["milliseconds"] * row["rollout_length"] / 1000
        part = f"{ideal / takes:.2f}" if ideal else ""
        rows.append(
            f"| {row['milliseconds']} ms | {row['rollout_length']} steps | {row['actors']} | {1000 * takes:.1f} ms "
            f"({1000 * low:.1f} to {1000 * high:.1f}) | {1000 * ideal:.0f} ms | {part} | "
            f"{row['bytes_down'] / 1000:.0f} kB | {row['bytes_up'] / 1000:.0f} kB |"
        )
    return "\n".join(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", action="store_true")
    if not parser.parse_args().table:
        cluster = Cluster("local")
        load = os.getloadavg()[0]
        rows = []
        for case in CASES:
            rows.append(measured(*case))
            print(case, statistics.median(rows[-1]["seconds"]), flush=True)
        cluster.close()
        keep(NAME, "python -m benchmarks.cluster", {"cores": os.cpu_count(), "load_before": load, "rows": rows})
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), {"cluster": table}, PAGE), encoding="utf-8")


if __name__ == "__main__":
    main()
