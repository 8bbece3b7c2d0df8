"""Several seeds at the same time, killed, stopped and resumed: each must have the same bits as when trained alone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from pathlib import Path
from typing import NamedTuple

from faults.cases import Case
from faults.compare import differences
from faults.kinds import Outcome, Undisturbed, say, send, undisturbed
from faults.places import Place, finished, members, runs_on

SEEDS = 3


_KINDS = ("all", "a process", signal.SIGTERM, signal.SIGINT)
"""The faults, in turn: SIGKILL to the parent, with which all end; SIGKILL to one of its processes; a signal to it."""


class Alone(NamedTuple):
    """The runs of each seed trained alone, and their folders."""

    runs: dict[int, Undisturbed]
    places: list[Place]

    @property
    def seconds(self) -> float:
        """The longest duration of these runs."""
        return max(run.seconds for run in self.runs.values())

    def remove(self) -> None:
        """Deletes their folders."""
        for place in self.places:
            place.remove()


def alone(case: Case, seed: int) -> Alone:
    """Trains the seeds one after another, each in a separate process."""
    places = [Place() for _ in range(SEEDS)]
    runs = {number: undisturbed(case, number, place) for number, place in enumerate(places, seed)}
    return Alone(runs, places)


def seeds(case: Case, expected: Alone, count: int, seed: int) -> Outcome:
    """SIGKILL, SIGTERM and SIGINT to `a2c train --seeds`, or SIGKILL to one seed's process, and again after --resume.

    It continues until all seeds are finished. All of them together count as one run.
    """
    outcome, rng = Outcome(), random.Random(f"seeds {case.env_id} {seed}")
    while outcome.faults < count:
        place = Place()
        words = [*case.but(run_dir=str(place.runs)).words(seed), "--seeds", str(SEEDS)]
        problems: list[str] = []
        while not problems and len(found := _finished(place, expected)) < SEEDS:
            process = place.start("train", *words, "--resume")
            is_hit = outcome.faults < count and _hit(process, expected.seconds * SEEDS, rng, outcome)
            code = process.wait()
            if is_hit:
                outcome.faults += 1
            elif code:
                problems.append(f"a2c train --seeds ended with exit code {code}: {place.said}")
        for number, run in found.items():
            problems += [f"seed {number}: {text}" for text in differences(expected.runs[number].run, run)]
        outcome.add(problems, place, None)
    return outcome


def _finished(place: Place, expected: Alone) -> dict[int, Path]:
    """The finished runs, by seed."""
    found = {}
    for number in expected.runs:
        for run in place.runs.glob(f"*/*-seed{number}"):
            if finished(run):
                found[number] = run
    return found


def _hit(process: subprocess.Popen[bytes], within_seconds: float, rng: random.Random, outcome: Outcome) -> bool:
    """Injects a fault at a random moment; False if all had ended."""
    if not runs_on(process, rng.uniform(0, within_seconds)):
        return False
    kind = _KINDS[outcome.faults % len(_KINDS)]
    if kind == "a process":
        there = [pid for pid, parent in members(process.pid).items() if parent == process.pid]
        is_hit = send(signal.SIGKILL, there, rng) is not None
    else:
        os.kill(process.pid, signal.SIGKILL if kind == "all" else kind)
        is_hit = process.wait() in (-signal.SIGKILL, 128 + int(signal.SIGTERM), 128 + int(signal.SIGINT))
        is_hit = is_hit or process.returncode in (-signal.SIGTERM, -signal.SIGINT)  # Before it set its handlers.
    name = kind if isinstance(kind, str) else kind.name
    say(f"{name}: {'hit' if is_hit else 'missed'}")
    outcome.during[name] += is_hit
    return is_hit
