"""What a cluster costs: python -m benchmarks.cluster [--table]

Environments that sleep instead of computing, one in each actor, on a Ray that is started on this machine: how long an
update takes beside the sleeping, what travels, and a model of that, which is fitted to few actors and predicts many.
With --table, tables and picture of docs/cluster.md are made from results that are there.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

import gymnasium
import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import least_squares

import a2c
from a2c.cluster.acting import acting_on
from a2c.cluster.fleet import Fleet
from a2c.cluster.nodes import Cluster
from a2c.learner import Learner
from benchmarks.markers import filled
from benchmarks.measure import keep, kept

PAGE = Path(__file__).parent.parent / "docs" / "cluster.md"
NAME = "cluster"
FITTED = (1, 2, 4, 8)
PREDICTED = (16, 32, 64)
MOST = {0: 16, 1: 32}
"""Actors, by milliseconds of a step: with more, two cores cannot act as fast as environments are ready."""
SLEEPS = ((0, 16), (1, 128), (5, 16), (20, 16))
"""Milliseconds of a step, and steps of a rollout."""
AHEAD = [(ms, 16, 8) for ms in (1, 5)]
"""Sleep, steps and actors with which both modes of `collect` are compared, with larger networks and natural steps."""
LARGE = {"hidden_sizes": (256, 256), "actor_step": "natural", "critic_minibatch": 32}
WARM, ROUNDS = 5, 20


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
        self.down = len(down) + carry.nbytes
        return super().begin_rollout(down, carry, update)

    def finish_rollout(self, under_way):
        collected = super().finish_rollout(under_way)
        self.up = sum(array.nbytes for _, columns in collected.columns for array in columns)
        return collected


def measured(milliseconds, length, actors, **settings):
    """Seconds of updates, and bytes of each."""

    def make():
        return Sleeper(milliseconds / 1000)

    config = a2c.Config(
        "none", num_envs=actors, rollout_length=length, normalize_observations=True, cluster="local",
        num_actors=actors, num_threads=1, **settings,
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


def oversleeping():
    """Seconds that `time.sleep` takes beyond what it was asked for, by milliseconds."""
    late = {}
    for milliseconds in {ms for ms, _ in SLEEPS if ms}:
        begin = time.perf_counter()
        for _ in range(100):
            time.sleep(milliseconds / 1000)
        late[str(milliseconds)] = (time.perf_counter() - begin) / 100 - milliseconds / 1000
    return late


def seconds_a_byte():
    """Of an answer that an actor gives."""
    import ray  # Here it has been started.

    @ray.remote(num_cpus=0)
    class Giver:
        def give(self, count):
            return np.zeros(count, np.uint8)

    giver, took = Giver.remote(), {}
    for count in (0, 2**24):
        times = []
        for _ in range(30):
            begin = time.perf_counter()
            ray.get(giver.give.remote(count)).copy()
            times.append(time.perf_counter() - begin)
        took[count] = statistics.median(times)
    return (took[2**24] - took[0]) / 2**24


# -- the model --


def sleeping(results, row):
    """Seconds that the sleeping of a rollout takes in a process that nobody disturbs: the least that is possible."""
    milliseconds = row["milliseconds"]
    return row["rollout_length"] * (milliseconds / 1000 + results["late"].get(str(milliseconds), 0.0))


def prediction(results, row, latency, call, step, start):
    """Seconds of an update, and each constant's meaning.

    Args:
        results: What was measured beside updates: bytes and sleeping.
        row: A measured update.
        latency: Seconds of every update.
        call: Seconds of this process for each actor.
        step: Seconds of an actor for each step beside the environment's.
        start: Seconds of an actor's processor for each call.
    """
    length, actors = row["rollout_length"], row["actors"]
    travelling = results["seconds_a_byte"] * (row["bytes_up"] + actors * row["bytes_down"])
    # Actors wait for their environments, or for one of the cores that they share here.
    acting = max(start + length * step + sleeping(results, row), actors * (start + length * step) / results["cores"])
    return latency + actors * call + travelling + row["learning_seconds"] + acting


def fitted(results):
    """The model's four constants, by the rows with few actors: least squares of relative errors."""
    rows = [row for row in results["rows"] if row["actors"] in FITTED]

    def errors(constants):
        return [prediction(results, row, *constants) / statistics.median(row["seconds"]) - 1 for row in rows]

    return least_squares(errors, [1e-3, 1e-3, 2e-4, 1e-3], bounds=(0, np.inf), x_scale=1e-3).x.tolist()


# -- the page --


def table():
    """Rows by sleep, length and actors."""
    results = kept(NAME)
    constants = fitted(results)
    rows = ["| a step sleeps | rollout | actors | an update takes | it sleeps | part | the model says | down | up |"]
    rows.append("|" + "---|" * 9)
    for row in results["rows"]:
        takes = statistics.median(row["seconds"])
        low, high = min(row["seconds"]), max(row["seconds"])
        ideal = sleeping(results, row)
        part = f"{ideal / takes:.2f}" if ideal else ""
        said = prediction(results, row, *constants)
        was = "" if row["actors"] in FITTED else f", {said / takes - 1:+.0%}"
        rows.append(
            f"| {row['milliseconds']} ms | {row['rollout_length']} steps | {row['actors']} | {1000 * takes:.1f} ms "
            f"({1000 * low:.1f} to {1000 * high:.1f}) | {1000 * ideal:.0f} ms | {part} | {1000 * said:.1f} ms{was} | "
            f"{row['bytes_down'] / 1000:.0f} kB | {row['bytes_up'] / 1000:.0f} kB |"
        )
    return "\n".join(rows)


def model():
    """The constants."""
    results = kept(NAME)
    latency, call, step, start = fitted(results)
    rows = [
        ("every update", f"{1000 * latency:.2f} ms"),
        ("for each actor, of the learner's process", f"{1000 * call:.2f} ms"),
        ("for each actor, of its own process", f"{1000 * start:.2f} ms"),
        ("for each step of an actor's environment, of its process", f"{1000 * step:.3f} ms"),
        ("for each megabyte (measured apart)", f"{1e9 * results['seconds_a_byte']:.2f} ms"),
    ]
    return "\n".join(["| | takes |", "|---|---|", *(f"| {what} | {takes} |" for what, takes in rows)])


def ahead():
    """Both modes of `collect`."""
    rows = ["| a step sleeps | rollout | actors | it sleeps | learning | an update in turn | ahead |", "|" + "---|" * 7]
    results = kept(NAME)
    for in_turn, ahead in results["ahead"]:
        takes = [1000 * statistics.median(row["seconds"]) for row in (in_turn, ahead)]
        ideal = 1000 * sleeping(results, in_turn)
        rows.append(
            f"| {in_turn['milliseconds']} ms | {in_turn['rollout_length']} steps | {in_turn['actors']} | "
            f"{ideal:.0f} ms | {1000 * in_turn['learning_seconds']:.1f} ms | {takes[0]:.1f} ms | {takes[1]:.1f} ms |"
        )
    return "\n".join(rows)


def draw():
    """Parts of the ideal by actors, as measured and as the model has them."""
    results = kept(NAME)
    constants = fitted(results)
    with plt.rc_context({"font.size": 12, "axes.spines.top": False, "axes.spines.right": False}):
        figure, place = plt.subplots(figsize=(6.4, 4), layout="constrained")
        for number, (milliseconds, length) in enumerate(SLEEPS):
            rows = [
                row for row in results["rows"]
                if (row["milliseconds"], row["rollout_length"]) == (milliseconds, length) and milliseconds
            ]  # fmt: skip
            if not rows:
                continue
            ideal, actors = sleeping(results, rows[0]), [row["actors"] for row in rows]
            colour = f"C{number}"
            label = f"{milliseconds} ms, {length} steps"
            place.plot(
                actors, [ideal / statistics.median(row["seconds"]) for row in rows], "o", color=colour, label=label
            )
            place.plot(actors, [ideal / prediction(results, row, *constants) for row in rows], "-", color=colour)
        place.axhline(0.9, color="0.7", linewidth=1, zorder=0)
        place.set(xscale="log", xlabel="actors, all on two cores", ylabel="part of an update that sleeps", ylim=(0, 1))
        place.set_xticks(FITTED + PREDICTED, map(str, FITTED + PREDICTED), minor=False)
        place.xaxis.set_minor_locator(plt.NullLocator())
        place.legend(frameon=False, title="points: measured; lines: the model", loc="lower left")
        figure.savefig(PAGE.parent / "cluster_parts.png", dpi=110, metadata={"Software": None})
        plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true")
    if not parser.parse_args().table:
        cluster = Cluster("local")
        results = {"cores": os.cpu_count(), "load_before": os.getloadavg()[0], "late": oversleeping()}
        results["seconds_a_byte"] = seconds_a_byte()
        rows = []
        for milliseconds, length in SLEEPS:
            for actors in (count for count in FITTED + PREDICTED if count <= MOST.get(milliseconds, max(PREDICTED))):
                rows.append(measured(milliseconds, length, actors))
                print(milliseconds, length, actors, statistics.median(rows[-1]["seconds"]), flush=True)
        pairs = [[measured(*case, collect=mode, **LARGE) for mode in ("in_turn", "ahead")] for case in AHEAD]
        cluster.close()
        keep(NAME, "python -m benchmarks.cluster", results | {"rows": rows, "ahead": pairs})
    tables = {"cluster": table, "cluster model": model, "cluster ahead": ahead}
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), tables, PAGE), encoding="utf-8")
    draw()


if __name__ == "__main__":
    main()
