"""`a2c tune` in ten minutes: killed in the middle, continued by two processes, compared on seeds never tuned on.

python -m benchmarks.tuned [ENV ...]      writes results/tuned-ENV.json and .png; docs/tune.md has the table
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from a2c.report.comparison import percent
from benchmarks.markers import filled
from benchmarks.measure import RESULTS, keep, kept

PAGE = Path(__file__).parent.parent / "docs" / "tune.md"
AGAIN = "-again"
"""Ends the name of a second study of the same, which two processes search otherwise."""
MINUTES = 10.0
KILLED_AFTER = 120.0
"""Seconds."""
LEAVE = 0.5
"""Minutes for whatever the processes are late by."""


class Case(NamedTuple):
    """What is tuned."""

    words: str
    """Of the command line, after the environment."""
    had: str
    """What the settings are that are to be improved on."""


CASES = {
    "Acrobot-v1": Case("--preset none --total-steps 50000", "Config's defaults, 50,000 steps"),
    "CartPole-v1": Case("--total-steps 5000", "its preset, with a twentieth of its steps"),
}


def tuned(env: str, folder: Path, again: str = "") -> dict[str, Any]:
    """A study: one process, killed in the middle of a trial; then two at once."""
    begun = time.monotonic()
    study = folder / "study"
    words = ["tune", env, *CASES[env].words.split(), "--study", str(study)]
    first = _started(words, MINUTES, folder / "first.txt")
    time.sleep(KILLED_AFTER)
    first.send_signal(signal.SIGKILL)
    first.wait()
    before = len(_by_process(study))
    left = MINUTES - (time.monotonic() - begun) / 60 - LEAVE
    both = [_started(words, left, folder / f"{name}.txt") for name in ("second", "third")]
    codes = [process.wait() for process in both]
    if codes != [0, 0]:
        raise RuntimeError("\n".join(path.read_text() for path in folder.glob("*.txt")))
    result: dict[str, Any] = json.loads((study / "result.json").read_text())
    shutil.copy(study / "importance.png", RESULTS / f"tuned-{env}{again}.png")
    return {
        "minutes": (time.monotonic() - begun) / 60,
        "words": " ".join(["a2c", *words[:-2]]),
        "trials_before_the_kill": before,
        "trials_by_process": sorted(_by_process(study).values()),
        "preset": (study / "preset.toml").read_text(),
        **{name: result[name] for name in ("seeds", "total_steps", "best", "default", "importances", "verdict")},
        "trials": [
            {name: trial[name] for name in ("state", "settings", "value", "looks", "seconds")}
            for trial in result["trials"]
        ],
        "states": [trial["state"] for trial in result["trials"]],
        "unseen": result["unseen"] and {name: value for name, value in result["unseen"].items() if name != "folders"},
    }


def _started(words: list[str], minutes: float, said: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "a2c", *words, "--minutes", f"{minutes:.2f}"]
    with said.open("wb") as file:
        return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)


def _by_process(study: Path) -> dict[str, int]:
    """Trials that came to an end, by the process that made them."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    known = optuna.load_study(study_name="study", storage=f"sqlite:///{study / 'study.db'}")
    made: dict[str, int] = {}
    for trial in known.get_trials(deepcopy=False):
        if trial.state.name in ("COMPLETE", "PRUNED"):
            process = trial.user_attrs["process"]
            made[process] = made.get(process, 0) + 1
    return made


def table() -> str:
    """Every case that there is a result of."""
    lines = [
        "| environment | as it was | trials (given up) | tuned, IQM (95 %) | as it was, IQM (95 %) "
        "| difference (95 %) | chance |",
        "|---|---|---|---|---|---|---|",
    ]
    for env, case in [(name, one) for name, one in CASES.items() for _ in ("", AGAIN)]:
        again = any(line.startswith(f"| {env} |") for line in lines)
        result = kept(f"tuned-{env}{AGAIN if again else ''}")
        if not result:
            continue
        unseen, states = result["unseen"], result["states"]
        ended = sum(state in ("complete", "pruned") for state in states)
        cells = [f"{env}, again" if again else env, case.had, f"{ended} ({states.count('pruned')})"]
        if unseen is None:
            cells += ["none was better on the seeds tuned on", "", "", ""]
        else:
            sides = [_shown(unseen[side]["interquartile_mean"]) for side in ("tuned", "default")]
            cells += [f"**{sides[0]}**", sides[1], _shown(unseen["difference"])]
            cells.append(percent(unseen["chance_of_as_much"]))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _shown(estimate: dict[str, float]) -> str:
    return f"{estimate['point']:,.1f} ({estimate['low']:,.1f} to {estimate['high']:,.1f})"


def with_table(page: str) -> str:
    """docs/tune.md with the table of the committed results."""
    return filled(page, {"tuned": table}, PAGE)


def main() -> None:
    command_line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command_line.add_argument("envs", nargs="*", metavar="ENV", help="all, unless named")
    command_line.add_argument("--again", action="store_true", help="a second study beside the first one's results")
    options = command_line.parse_args()
    again = AGAIN if options.again else ""
    for env in options.envs or CASES:
        with tempfile.TemporaryDirectory() as folder:
            keep(f"tuned-{env}{again}", f"python -m benchmarks.tuned {env}", tuned(env, Path(folder), again))
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
