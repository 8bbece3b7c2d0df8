"""Trains what the studies ask for and is not in their results yet, several runs at a time.

python -m benchmarks.tuning [ENV ...] [--trials REGEX] [--jobs J] [--table]

Every run has one thread and no workers; layouts never change results. A finished run is a line in
results/tuning/ENV.jsonl, with its settings, so that a study which is stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
from collections.abc import Iterator

from benchmarks.measure import side_by_side
from benchmarks.tuning.kept import FOLDER, finished, of_trial, path_of
from benchmarks.tuning.run import train
from benchmarks.tuning.studies import STUDIES, Trial


def missing(env: str, text: str = "") -> Iterator[tuple[str, Trial, int]]:
    """What has to be trained: environment, trial, seed. The first seeds of all trials come first.

    Args:
        env: Whose study.
        text: A regular expression that is in the names of the trials.
    """
    runs = finished(env)
    asked = set()
    trials = [trial for trial in STUDIES[env] if re.search(text, trial.name)]
    for turn in range(max((len(trial.seeds) for trial in trials), default=0)):
        for trial in trials:
            if turn < len(trial.seeds):
                seed = trial.seeds[turn]
                key = json.dumps([trial.settings, seed], sort_keys=True)
                if key not in asked and all(run["seed"] != seed for run in of_trial(runs, trial)):
                    asked.add(key)
                    yield env, trial, seed


def table(env: str) -> str:
    """Each trial's seeds, best mean first."""
    runs = finished(env)
    lines = []
    for trial in STUDIES[env]:
        finals = [run["final"] for run in of_trial(runs, trial)]
        if finals:
            seeds = ", ".join(f"{value:,.1f}" for value in finals)
            lines.append((statistics.fmean(finals), f"| {trial.name} | {statistics.fmean(finals):,.1f} | {seeds} |"))
    return "\n".join(line for _, line in sorted(lines, reverse=True))


def main() -> None:
    command_line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command_line.add_argument("envs", nargs="*", metavar="ENV", help="all that have a study, unless named")
    command_line.add_argument("--trials", default="", metavar="REGEX", help="only those whose name has it")
    command_line.add_argument("--jobs", type=int, default=2, help="runs at a time")
    command_line.add_argument("--table", action="store_true", help="print what there is, train nothing")
    options = command_line.parse_args()
    envs = options.envs or list(STUDIES)
    if options.table:
        for env in envs:
            print(f"{env}\n{table(env)}\n")
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    calls = {
        (env, trial.name, seed): (env, trial.settings, seed)
        for each in envs
        for env, trial, seed in missing(each, options.trials)
    }
    for (env, name, seed), result in side_by_side(train, calls, options.jobs):
        with path_of(env).open("a") as file:
            file.write(json.dumps(result) + "\n")
        print(f"{env}, {name}, seed {seed}: {result['final']:,.1f} in {result['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
