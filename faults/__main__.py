"""The campaign: every kind of fault in every environment.

python -m faults [--envs NAME ...] [--kills N] [--worker-kills N] [--hangs N] [--stops N] [--seeds N] [--disk]
                 [--seed S]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial

from faults.cases import CASES, INEXACT, Case
from faults.kinds import Outcome, disk, hangs, inexact, kills, say, stops, undisturbed, warm_up, worker_kills
from faults.places import Place
from faults.results import succeeded, write
from faults.several import alone, seeds


def campaign(case: Case, arguments: argparse.Namespace) -> dict[str, Outcome]:
    """All requested faults in one environment; the outcomes by kind."""
    warm_up(case)
    place = Place()
    try:
        expected = undisturbed(case, arguments.seed, place)
        kinds: dict[str, Callable[[], Outcome]] = {}
        if arguments.kills:
            kinds["kills"] = partial(kills, case, expected, arguments.kills, arguments.seed)
        if arguments.worker_kills and case.has_workers:
            kinds["worker_kills"] = partial(worker_kills, case, expected, arguments.worker_kills, arguments.seed)
        if arguments.hangs and case.has_workers:
            kinds["hangs"] = partial(hangs, case, expected, arguments.hangs, arguments.seed)
        if arguments.stops:
            kinds["stops"] = partial(stops, case, expected, arguments.stops, arguments.seed)
        if arguments.disk:
            kinds["disk"] = partial(disk, case, arguments.seed)
        outcomes = {}
        for kind, make in kinds.items():
            say(kind)
            outcomes[kind] = make()
        if arguments.seeds and not case.has_workers:
            say("seeds")
            each = alone(case, arguments.seed)
            outcomes["seeds"] = seeds(case, each, arguments.seeds, arguments.seed)
            each.remove()
        return outcomes
    finally:
        place.remove()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m faults", description="Injects faults into training.")
    every = [*CASES, *INEXACT]
    parser.add_argument("--envs", nargs="+", choices=every, default=every)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--worker-kills", type=int, default=200)
    parser.add_argument("--hangs", type=int, default=50)
    parser.add_argument("--stops", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--disk", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    good = True
    for name in arguments.envs:
        print(name, file=sys.stderr, flush=True)
        if name in INEXACT:
            outcomes = {"inexact": inexact(INEXACT[name], 3, arguments.seed)}
        else:
            outcomes = campaign(CASES[name], arguments)
        command = f"python -m faults {' '.join(sys.argv[1:])}".strip()
        write(name, command, arguments.seed, outcomes)
        good = good and succeeded(outcomes)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
