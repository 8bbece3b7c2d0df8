"""Where results are kept."""

from __future__ import annotations

import json
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from a2c.run import versions
from faults.kinds import Outcome

RESULTS = Path(__file__).parent / "results"


def keep(name: str, command: str, seed: int, outcomes: dict[str, Outcome], **facts: Any) -> None:
    """Writes results/<name>.json, with the command that made it."""
    known = versions()
    for package in ("box2d", "mujoco"):
        try:
            known[package] = version(package)
        except PackageNotFoundError:
            known[package] = None
    kinds = {kind: vars(outcome) for kind, outcome in outcomes.items()}
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        json.dumps({"command": command, "seed": seed, "versions": known, **facts, "kinds": kinds}, indent=2) + "\n"
    )
    print(path, file=sys.stderr)


def succeeded(outcomes: dict[str, Outcome]) -> bool:
    """Whether every run was equal and nothing was left behind."""
    return all(outcome.is_good for outcome in outcomes.values())
