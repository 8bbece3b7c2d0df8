"""Kills actors of a run on a cluster, and the run itself, and compares the bits with those of one process.

python -m faults.cluster [--actors 50] [--trainers 10] [--seed 0]

The cluster is a Ray that `--cluster local` starts on this machine. An actor is killed once a checkpoint was written
since the one before; so is the trainer, after a random time.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
import time
from pathlib import Path

from faults.cases import COMMON, Case
from faults.compare import differences
from faults.kinds import Outcome, say, undisturbed
from faults.places import Place, finished, members, runs_on
from faults.results import succeeded, write

CASE = Case(
    "CartPole-v1",
    {**COMMON, "num_envs": 6, "rollout_length": 16, "total_steps": 200_000, "eval_every_steps": 50_000,
     "log_every_steps": 4_000, "vectorization": "local"},
    800,
)  # fmt: skip
ACTORS = 3


def actors_of(trainer: int) -> list[int]:
    """Processes of Ray actors in the session that a trainer leads."""
    found = []
    for pid in members(trainer):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::Group"):
                found.append(pid)
    return found


def disturbed(place: Place, seed: int, kills: dict[str, int], rng: random.Random) -> tuple[Outcome, str]:
    """Trains, with so many kills of each kind while it lasts; the kills, and why it did not come to its end."""
    outcome = Outcome()
    words = CASE.but(run_dir=str(place.runs), cluster="local", num_actors=ACTORS).words(seed)
    while True:
        trainer, seen = place.start("train", *words, "--resume"), place.newest_checkpoint()
        ends_at = time.monotonic() + rng.uniform(20, 40)
        while runs_on(trainer, rng.uniform(0.2, 1.0)):
            newest = place.newest_checkpoint()
            if newest == seen:
                continue
            if outcome.during["the trainer"] < kills["trainers"] and time.monotonic() > ends_at:
                trainer.kill()
                trainer.wait()
                outcome.during["the trainer"] += 1
                break
            living = actors_of(trainer.pid)
            if living and outcome.during["an actor"] < kills["actors"]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(rng.choice(living), signal.SIGKILL)
                    outcome.during["an actor"] += 1
                seen = newest
                say(f"{dict(outcome.during)}")
        else:
            outcome.faults = sum(outcome.during.values())
            return outcome, "" if trainer.returncode == 0 else f"exit code {trainer.returncode}: {place.said}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m faults.cluster")
    parser.add_argument("--actors", type=int, default=50)
    parser.add_argument("--trainers", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    seed, place, there = arguments.seed, Place(), Place()
    expected = undisturbed(CASE, seed, there)
    kills = {"actors": arguments.actors, "trainers": arguments.trainers}
    outcome, problem = disturbed(place, seed, kills, random.Random(seed))
    run = place.run()
    whole = not problem and run is not None and finished(run)
    outcome.add(differences(expected.run, run) if whole and run else [problem or "it did not finish"], place, run)
    there.remove()
    # Ray leaves its logs in a folder for temporary files; two of its processes end some time after a killed driver.
    outcome.leftovers = [left for left in outcome.leftovers if left != "temporary ray" and "ray::" not in left]
    command = f"python -m faults.cluster {' '.join(sys.argv[1:])}".strip()
    write("cluster", command, seed, {"cluster": outcome}, env_id=CASE.env_id, actors=ACTORS)
    return 0 if succeeded({"cluster": outcome}) else 1


if __name__ == "__main__":
    sys.exit(main())
