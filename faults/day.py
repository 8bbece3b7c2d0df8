"""A day in ten minutes: a worker is killed every few seconds and the trainer every minute; the bits must not change.

python -m faults.day [--minutes 10] [--env halfcheetah] [--seed 0]

The number of steps for that time is measured first. An undisturbed run comes before the disturbed one, so all of it
takes about twice as long.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time
from typing import Any

from faults.cases import CASES, Case
from faults.compare import differences
from faults.kinds import Outcome, say, send, undisturbed, warm_up
from faults.places import Place, finished, runs_on, summary, workers
from faults.results import succeeded, write

BETWEEN_WORKERS = (2.0, 5.0)
BETWEEN_TRAINERS = 60.0

_SLOWER = 0.7
"""Share of the time that is left for training; restarting and replaying episodes take the rest."""

_MEASURED_STEPS = 100_000


def day(case: Case, minutes: float, seed: int) -> tuple[Outcome, dict[str, Any]]:
    """Returns the outcome, and facts about the run: steps and seconds."""
    steps = int(60 * minutes * _SLOWER * _steps_per_second(case, seed))
    case = case.but(
        total_steps=steps,
        save_every_seconds=0.2,
        eval_every_steps=steps // 20,
        log_every_steps=max(1000, steps // 1000),
    )
    say(f"{steps} steps")
    outcome, rng = Outcome(), random.Random(f"{seed} {case.env_id} day")
    undisturbed_place, place = Place(), Place()
    expected = undisturbed(case, seed, undisturbed_place)
    words = case.but(run_dir=str(place.runs)).words(seed)
    start = time.monotonic()
    while True:
        trainer = place.start("train", *words, "--resume")
        end = time.monotonic() + BETWEEN_TRAINERS
        while (left := end - time.monotonic()) > 0 and runs_on(trainer, min(left, rng.uniform(*BETWEEN_WORKERS))):
            outcome.during["a worker"] += send(signal.SIGKILL, workers(trainer.pid), rng) is not None
        if trainer.poll() is not None:
            break
        trainer.kill()
        trainer.wait()
        outcome.during["the trainer"] += 1
        say(f"{time.monotonic() - start:.0f} s: {dict(outcome.during)}")
    seconds = time.monotonic() - start
    outcome.faults = sum(outcome.during.values())
    run = place.run()
    if trainer.returncode or run is None or not finished(run):
        problems = [f"a2c train ended with exit code {trainer.returncode}: {place.said}"]
    else:
        problems = differences(expected.run, run)
    outcome.add(problems, place, run)
    undisturbed_place.remove()
    return outcome, {"steps": steps, "seconds": seconds, "undisturbed_seconds": expected.seconds}


def _steps_per_second(case: Case, seed: int) -> float:
    """The speed of an undisturbed run's updates, after a warm-up."""
    warm_up(case)
    place = Place()
    result = summary(undisturbed(case.but(total_steps=_MEASURED_STEPS), seed, place).run)["steps_per_second"]
    place.remove()
    return float(result)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m faults.day")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument(
        "--env", choices=[name for name, case in CASES.items() if case.has_workers], default="halfcheetah"
    )
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    outcome, facts = day(CASES[arguments.env], arguments.minutes, arguments.seed)
    command = f"python -m faults.day {' '.join(sys.argv[1:])}".strip()
    write("day", command, arguments.seed, {"day": outcome}, env_id=CASES[arguments.env].env_id, **facts)
    return 0 if succeeded({"day": outcome}) else 1


if __name__ == "__main__":
    sys.exit(main())
