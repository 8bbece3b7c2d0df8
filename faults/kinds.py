"""The kinds of faults. Each function injects `count` faults, in as many runs as it takes, and compares each run."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from faults.cases import Case
from faults.compare import differences
from faults.envs import HANG, HANGS
from faults.places import Place, finished, runs_on, summary, wait_until, workers

AIMED = 1 / 3
"""Share of the kills that wait for a checkpoint to be written."""

AT_ONE_STEP = 2
"""The most faults in a row without progress of the run: a third worker lost at the same step ends a run."""

_SAVE_SECONDS = 0.004
_TIMEOUT = {"env_timeout_seconds": 1.0}


@dataclasses.dataclass
class Outcome:
    """The outcome of one kind of fault."""

    faults: int = 0
    runs: int = 0
    equal: int = 0
    differing: list[dict[str, object]] = dataclasses.field(default_factory=list)
    leftovers: list[str] = dataclasses.field(default_factory=list)
    events: Counter[str] = dataclasses.field(default_factory=Counter)
    """Sums over the runs' summaries."""
    during: Counter[str] = dataclasses.field(default_factory=Counter)
    """How many faults hit what, as far as that is known."""

    @property
    def is_good(self) -> bool:
        """Whether every run was equal and nothing was left behind."""
        return self.equal == self.runs and not self.differing and not self.leftovers

    def add(self, differing: list[str], place: Place, run: Path | None) -> None:
        """Counts a run that has ended; removes its folder unless something was wrong."""
        self.runs += 1
        left = place.leftovers()
        self.leftovers = list(dict.fromkeys([*self.leftovers, *left]))
        if run is not None and finished(run):
            self.events.update({name: n for name, n in summary(run).get("events", {}).items() if isinstance(n, int)})
        if differing:
            self.differing.append({"run": self.runs, "differences": differing})
        else:
            self.equal += 1
        state = f"run {self.runs}: {self.faults} faults so far, {'differs' if differing else 'equal'}"
        say("\n    ".join([state, *differing, *(f"left: {text}" for text in left)]))
        if differing or left:
            say(f"    see {place.folder}")
            place.kill()
        else:
            place.remove()


class Undisturbed(NamedTuple):
    """The run that every other one is compared with."""

    run: Path
    seconds: float
    """Duration of the whole process."""


def say(text: str) -> None:
    """Prints progress on standard error."""
    print(f"  {text}", file=sys.stderr, flush=True)


def undisturbed(case: Case, seed: int, place: Place) -> Undisturbed:
    """Trains without any fault.

    Raises:
        RuntimeError: Even this run fails, or is not exact.
    """
    start = time.perf_counter()
    process = place.start("train", *case.but(run_dir=str(place.runs)).words(seed))
    process.wait()
    seconds, run = time.perf_counter() - start, place.run()
    if process.returncode or run is None:
        raise RuntimeError(f"undisturbed training ended with exit code {process.returncode}: {place.said}")
    if summary(run).get("exact") is not True:
        raise RuntimeError(f"the undisturbed run is not exact: {summary(run).get('inexact_because')}")
    say(f"undisturbed: {seconds:.1f} s")
    return Undisturbed(run, seconds)


def warm_up(case: Case) -> None:
    """Trains for a moment, because machine code is compiled on first use, which takes longer than a run."""
    place = Place()
    place.start("train", *case.but(run_dir=str(place.runs), total_steps=case.short_steps).words(0)).wait()
    place.remove()


# -- the trainer is killed, and resumed --


def kills(case: Case, expected: Undisturbed, count: int, seed: int) -> Outcome:
    """SIGKILL to the trainer, at a random moment between its start and end, and again after each `a2c resume`."""
    outcome, rng = Outcome(), _rng(case, "kills", seed)
    named = ["--env", case.env_id] if ":" in case.env_id else []  # A run folder may not make us import a module.
    while outcome.faults < count:
        place = Place()
        problems: list[str] = []
        words = case.but(run_dir=str(place.runs)).words(seed)
        process = None
        while not problems and not _is_finished(place):
            run = place.run()
            if run is None:
                again = ["train", *words]
            elif rng.random() < 0.5:
                again = ["resume", str(run), *named]
            else:
                again = ["train", *words, "--resume"]
            left = _unfinished(place)
            process = place.start(*again)
            if outcome.faults < count and _killed(process, place, left, expected.seconds, rng, outcome):
                outcome.faults += 1
            elif process.wait():
                problems.append(f"a2c {again[0]} ended with exit code {process.returncode}: {place.said}")
            elif not _is_finished(place):
                problems.append(f"a2c {' '.join(again)} ended, but the run has not")
        if process is not None and process.returncode == -signal.SIGKILL:
            # It was killed after the run had finished: the next start cleans up what it left.
            place.start("resume", str(place.run()), "--no-pictures", *named).wait()
        if len(_begun(place)) > 1:
            problems.append(f"{len(_begun(place))} runs were begun; the first should have been resumed")
        run = place.run()
        if run is not None and finished(run):
            problems += differences(expected.run, run)
        outcome.add(problems, place, run)
    return outcome


def _killed(
    process: subprocess.Popen[bytes],
    place: Place,
    left: set[str],
    within_seconds: float,
    rng: random.Random,
    outcome: Outcome,
) -> bool:
    """Kills the trainer at a random moment, or while it writes the next checkpoint; False if it had already ended.

    Unfinished checkpoints that an earlier kill left behind (`left`) do not count.
    """
    moment, aims = rng.uniform(0, within_seconds), rng.random() < AIMED
    into_save = rng.choice([0.0, rng.uniform(0, _SAVE_SECONDS)])
    if not runs_on(process, moment):
        return False
    if aims:
        if not wait_until(lambda: _unfinished(place) - left, process, nap_seconds=0.0):
            return False
        time.sleep(into_save)
    process.kill()
    if process.wait() != -signal.SIGKILL:
        return False  # It had ended just before.
    if _unfinished(place) - left:
        outcome.during["a checkpoint"] += 1
    elif place.run() is None:
        outcome.during["the start"] += 1
    elif _is_finished(place):
        outcome.during["the end"] += 1
    return True


def _unfinished(place: Place) -> set[str]:
    """Unfinished checkpoints: being written now, or left by a writer that was killed."""
    names = []
    for folder in place.runs.glob("*/*/checkpoints"):
        with contextlib.suppress(OSError):
            names += os.listdir(folder)
    return {name for name in names if name.startswith(".unfinished-")}


def _begun(place: Place) -> set[Path]:
    return {path.parent.parent for path in place.runs.glob("*/*/checkpoints/step_*")}


def _is_finished(place: Place) -> bool:
    run = place.run()
    return run is not None and finished(run)


# -- a worker is killed or hangs, or a process is stopped for a while --


def worker_kills(case: Case, expected: Undisturbed, count: int, seed: int) -> Outcome:
    """SIGKILL to a worker, every 0.6 to 1.2 seconds."""

    def kill(trainer: subprocess.Popen[bytes], place: Place, rng: random.Random) -> bool:
        return runs_on(trainer, rng.uniform(0.6, 1.2)) and send(signal.SIGKILL, workers(trainer.pid), rng) is not None

    return _disturbed("worker_kills", kill, case, expected, count, seed)


def hangs(case: Case, expected: Undisturbed, count: int, seed: int) -> Outcome:
    """An environment hangs, with or without the interpreter's lock, until its worker is replaced after a second."""

    def hang(trainer: subprocess.Popen[bytes], place: Place, rng: random.Random) -> bool:
        token = place.folder / "hang" / rng.choice(HANGS)
        if not wait_until(lambda: workers(trainer.pid), trainer) or not runs_on(trainer, rng.uniform(0.2, 2)):
            return False
        token.touch()
        if wait_until(lambda: not token.exists(), trainer):
            return True
        token.unlink(missing_ok=True)
        return False

    return _disturbed("hangs", hang, case.hanging, expected, count, seed, apart_from={"env_id"})


def stops(case: Case, expected: Undisturbed, count: int, seed: int) -> Outcome:
    """SIGSTOP to the trainer or a worker, SIGCONT up to 3 seconds later; a worker is replaced after one or two."""

    def stop(trainer: subprocess.Popen[bytes], place: Place, rng: random.Random) -> bool:
        if not runs_on(trainer, rng.uniform(0.1, 1)):
            return False
        pid = send(signal.SIGSTOP, rng.choice([[trainer.pid], workers(trainer.pid)]), rng)
        if pid is None:
            return False
        time.sleep(rng.uniform(0.05, 3))
        with contextlib.suppress(ProcessLookupError):  # The worker was replaced meanwhile.
            os.kill(pid, signal.SIGCONT)
        return True

    settings = _TIMEOUT if case.has_workers else {}
    return _disturbed("stops", stop, case.but(**settings), expected, count, seed)


Disturb = Callable[[subprocess.Popen[bytes], Place, random.Random], bool]
"""Waits and injects one fault; returns False if it could not."""


def send(number: signal.Signals, pids: list[int], rng: random.Random) -> int | None:
    """Sends a signal to one of some processes at random; returns its number, or None if none is left."""
    with contextlib.suppress(ProcessLookupError):
        if pids:
            pid = rng.choice(pids)
            os.kill(pid, number)
            return pid
    return None


def _disturbed(
    kind: str,
    disturb: Disturb,
    case: Case,
    expected: Undisturbed,
    count: int,
    seed: int,
    apart_from: Collection[str] = (),
) -> Outcome:
    """Makes runs, each with faults until its end, until there were enough faults."""
    outcome, rng = Outcome(), _rng(case, kind, seed)
    fruitless = 0
    while outcome.faults < count:
        place = Place()
        (place.folder / "hang").mkdir()
        words = case.but(run_dir=str(place.runs)).words(seed)
        trainer, before = place.start("train", *words, **{HANG: str(place.folder / "hang")}), outcome.faults
        in_a_row = 0
        while trainer.poll() is None:
            if outcome.faults == count:
                trainer.wait()
            elif in_a_row == AT_ONE_STEP:
                # Twice, because the next checkpoint may have been taken before the last fault.
                if _has_progressed(trainer, place) and _has_progressed(trainer, place):
                    in_a_row = 0
            elif disturb(trainer, place, rng):
                outcome.faults += 1
                in_a_row += 1
            else:
                time.sleep(0.01)
        fruitless = fruitless + 1 if outcome.faults == before else 0
        if fruitless == 3:
            raise RuntimeError(
                f"three runs of {case.env_id} ended before any of the {kind}; the last one printed: {place.said}"
            )
        run = place.run()
        if trainer.returncode or run is None:
            found = [f"a2c train ended with exit code {trainer.returncode}: {place.said}"]
        else:
            found = differences(expected.run, run, apart_from)
        outcome.add(found, place, run)
    return outcome


def _has_progressed(trainer: subprocess.Popen[bytes], place: Place) -> bool:
    """Waits for the next checkpoint; False if the trainer ends first."""
    before = place.newest_checkpoint()
    return wait_until(lambda: place.newest_checkpoint() != before, trainer)


# -- the disk is full --


def disk(case: Case, seed: int) -> Outcome:
    """Every call that writes to one checkpoint fails once, as on a full disk, each in a separate run."""
    outcome, place = Outcome(), Place()
    report = place.folder / "report.json"
    process = place.start(json.dumps(dataclasses.asdict(case)), str(seed), str(report), module="faults.disk")
    process.wait()
    left = place.leftovers()
    if not report.exists():
        outcome.differing.append({"run": 1, "differences": [f"the runs did not end: {place.said}"]})
        outcome.runs += 1
    for tried in json.loads(report.read_text()) if report.exists() else []:
        outcome.faults += 1
        outcome.runs += 1
        outcome.during[tried["call"]] += 1
        outcome.equal += not tried["differences"]
        if tried["differences"]:
            outcome.differing.append({"run": outcome.runs, "differences": tried["differences"]})
    outcome.leftovers += left
    say(f"{outcome.runs} calls failed, {outcome.equal} runs equal")
    if outcome.is_good:
        place.remove()
    else:
        say(f"    see {place.folder}: {outcome.differing} {outcome.leftovers}")
    return outcome


# -- an environment that cannot be replayed --


def inexact(case: Case, count: int, seed: int) -> Outcome:
    """SIGKILL to workers whose episodes cannot be replayed: the run must continue, and its summary must say so."""
    outcome, rng = Outcome(), _rng(case, "inexact", seed)
    while outcome.faults < count:
        place = Place()
        trainer = place.start("train", *case.but(run_dir=str(place.runs)).words(seed))
        while runs_on(trainer, rng.uniform(0.7, 2)):
            # Not before the first checkpoint: without steps there is nothing to replay.
            if place.run() is not None and outcome.faults < count:
                outcome.faults += send(signal.SIGKILL, workers(trainer.pid), rng) is not None
        run = place.run()
        if trainer.returncode or run is None:
            found = [f"a2c train ended with exit code {trainer.returncode}: {place.said}"]
        else:
            says = summary(run)
            found = [] if says.get("exact") is False else [f"summary.json: exact is {says.get('exact')!r}, not False"]
            if not any(case.env_id in reason for reason in says.get("inexact_because", [])):
                found.append(f"summary.json: inexact_because is {says.get('inexact_because')!r}, without {case.env_id}")
        outcome.add(found, place, run)
    return outcome


def _rng(case: Case, kind: str, seed: int) -> random.Random:
    return random.Random(f"{seed} {case.env_id} {kind}")
