"""Writes results of the campaign."""

from __future__ import annotations

import json
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from a2c.run.versions import versions
from faults.kinds import Outcome

RESULTS = Path(__file__).parent / "results"


def write(name: str, command: str, seed: int, outcomes: dict[str, Outcome], **facts: Any) -> None:
    """Writes outcomes to results/<name>.json, with their command; other kinds of faults in the file stay."""
    known = versions()
    for package in ("box2d", "mujoco"):
        try:
            known[package] = version(package)
        except PackageNotFoundError:
            known[package] = None
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    kinds = json.loads(path.read_text())["kinds"] if path.exists() else {}
    for kind, outcome in outcomes.items():
        kinds[kind] = {"command": command, "seed": seed, "versions": known, **vars(outcome)}
    path.write_text(json.dumps({**facts, "kinds": kinds}, indent=2) + "\n")
    print(path, file=sys.stderr)


def succeeded(outcomes: dict[str, Outcome]) -> bool:
    """Whether every run was equal and nothing was left behind."""
    return all(outcome.is_good for outcome in outcomes.values())
