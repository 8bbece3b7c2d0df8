"""The runs of studies that are kept: results/tuning/ENV.jsonl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.measure import RESULTS
from benchmarks.tuning.studies import Trial

FOLDER = RESULTS / "tuning"


def path_of(env: str) -> Path:
    return FOLDER / f"{env}.jsonl"


def finished(env: str) -> list[dict[str, Any]]:
    """The lines of an environment's results."""
    path = path_of(env)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def of_trial(runs: list[dict[str, Any]], trial: Trial) -> list[dict[str, Any]]:
    """The runs of a trial, whichever study asked for them."""
    return [run for run in runs if run["settings"] == trial.settings]


def while_drifting(runs: list[dict[str, Any]], trial: Trial) -> list[dict[str, Any]]:
    """The runs of a trial from before `a2c.kernels.rollout.renormalize`; of one that has a switch itself, none."""
    if "switch" in trial.settings:
        return []
    return of_trial(runs, trial._replace(settings=trial.settings | {"switch": ["drifting"]}))
