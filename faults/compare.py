"""Compares two finished runs bit by bit."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load_file

MAY_DIFFER = {
    "train_seconds",
    "eval_seconds",
    "seconds",
    "steps_per_second",
    "events",
    "versions",
    "machine",
    "vectorization",
}
"""Entries of summary.json that may differ: speed, events, and machine."""


def differences(expected: Path, run: Path, apart_from: Collection[str] = ()) -> list[str]:
    """A text for each difference between two finished runs; none if they are the same.

    Args:
        expected: The undisturbed run's folder.
        run: The other run's folder.
        apart_from: Further entries of summary.json and policy.json that may differ.
    """
    found = []
    for compare in (
        _checkpoints,
        _policies,
        _metrics,
        lambda a, b: _json(Path("policy", "policy.json"), a, b, set(apart_from)),
        lambda a, b: _json(Path("summary.json"), a, b, {*MAY_DIFFER, *apart_from}),
    ):
        try:
            found += compare(expected, run)
        except (OSError, ValueError, SafetensorError) as error:  # A file is missing or damaged.
            found.append(f"{type(error).__name__}: {error}")
    return found


def newest_checkpoint(run: Path) -> Path:
    """The folder of the newest checkpoint.

    Raises:
        FileNotFoundError: The run has no checkpoint.
    """
    paths = list((run / "checkpoints").glob("step_*"))
    if not paths:
        raise FileNotFoundError(f"{run} has no checkpoint")
    return max(paths, key=lambda path: int(path.name.removeprefix("step_")))


def _checkpoints(expected: Path, run: Path) -> list[str]:
    theirs, ours = newest_checkpoint(expected), newest_checkpoint(run)
    if theirs.name != ours.name:
        return [f"the newest checkpoint is {ours.name}, not {theirs.name}"]
    wanted, got = (load_file(path / "state.safetensors") for path in (theirs, ours))
    found = [f"state.safetensors has {name} in one run only" for name in sorted(wanted.keys() ^ got.keys())]
    for name in sorted(wanted.keys() & got.keys()):
        a, b = wanted[name], got[name]
        if (a.dtype, a.shape) != (b.dtype, b.shape):
            found.append(f"state.safetensors: {name} is {b.dtype} {b.shape}, not {a.dtype} {a.shape}")
        elif a.tobytes() != b.tobytes():
            found.append(f"state.safetensors: {name} differs")
    return found


def _policies(expected: Path, run: Path) -> list[str]:
    path = Path("policy", "policy.safetensors")
    return [] if (expected / path).read_bytes() == (run / path).read_bytes() else [f"{path} differs"]


def _metrics(expected: Path, run: Path) -> list[str]:
    wanted, got = _rows(expected), _rows(run)
    if len(wanted) != len(got):
        return [f"metrics.jsonl has {len(got)} rows, not {len(wanted)}"]
    for number, (a, b) in enumerate(zip(wanted, got, strict=True), 1):
        if a != b:
            return _entries(f"metrics.jsonl, row {number}", a, b)
    return []


def _rows(run: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        row.pop("steps_per_second", None)
    return rows


def _json(path: Path, expected: Path, run: Path, apart_from: set[str]) -> list[str]:
    wanted, got = (
        {name: value for name, value in json.loads((folder / path).read_text()).items() if name not in apart_from}
        for folder in (expected, run)
    )
    return _entries(str(path), wanted, got)


def _entries(where: str, wanted: dict[str, Any], got: dict[str, Any]) -> list[str]:
    nothing = object()
    return [
        f"{where}: {name} is {got.get(name)!r}, not {wanted.get(name)!r}"
        for name in sorted(wanted.keys() | got.keys())
        if wanted.get(name, nothing) != got.get(name, nothing)
    ]
