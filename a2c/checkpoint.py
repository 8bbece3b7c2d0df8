"""Checkpoints: folders that appear whole, are verified when read, and hold arrays and numbers only.

    checkpoints/step_000160000/state.safetensors
    checkpoints/step_000160000/manifest.json      format, size and sha256 of each file, counters

The folder is written under a name that is never read, every file synced, the manifest last, and then renamed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from a2c import files
from a2c.errors import UserError

FORMAT = 1
"""Version of the format; a reader refuses any other."""

_PATTERN = re.compile(r"step_\d{9,}")
_STATE, _MANIFEST = "state.safetensors", "manifest.json"


class Checkpoint(NamedTuple):
    """A moment of a run."""

    path: Path
    arrays: files.Arrays
    counters: dict[str, int]
    """"steps" and "updates"."""


def save(folder: Path, arrays: files.Arrays, counters: dict[str, int], keep: int) -> Path:
    """Writes a checkpoint, then deletes all but the newest.

    Args:
        folder: The run's `checkpoints` folder; made if missing.
        arrays: The state.
        counters: "steps", which names the checkpoint, and "updates".
        keep: How many to keep, at least 1.

    Returns:
        Its folder.

    Raises:
        UserError: The folder cannot be written; earlier checkpoints stay as they are.
    """
    target = folder / f"step_{counters['steps']:09d}"
    if _is_whole(target):
        return target  # The same step of the same run is the same state.
    unfinished = folder / f".unfinished-{target.name}-{os.getpid()}"
    try:
        unfinished.mkdir(parents=True)
        data = files.arrays_to_bytes(arrays)
        files.write_bytes(unfinished / _STATE, data)
        entry = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        files.write_json(unfinished / _MANIFEST, {"format": FORMAT, "files": {_STATE: entry}, "counters": counters})
        if target.exists():  # A damaged one: a whole one would have been left as it is.
            shutil.rmtree(target)
        unfinished.rename(target)
        files.sync_folder(folder)
    except OSError as error:
        raise UserError(f"cannot write checkpoint {target}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    for old in _folders(folder)[keep:]:
        with contextlib.suppress(OSError):
            shutil.rmtree(old)
    return target


def newest(folder: Path) -> Checkpoint:
    """The newest checkpoint that verifies; warns of each one it has to skip.

    Raises:
        UserError: There is none.
    """
    faults = []
    for path in _folders(folder):
        try:
            checkpoint = _read(path)
        except UserError as error:
            faults.append(str(error))
            continue
        for fault in faults:
            warnings.warn(f"skipped a newer checkpoint: {fault}", stacklevel=2)
        return checkpoint
    raise UserError(f"no checkpoint in {folder} can be used" + "".join(f"; {fault}" for fault in faults))


def _folders(folder: Path) -> list[Path]:
    """Finished checkpoints, the newest first."""
    if not folder.is_dir():
        return []
    finished = [path for path in folder.iterdir() if _PATTERN.fullmatch(path.name)]
    return sorted(finished, key=lambda path: int(path.name.removeprefix("step_")), reverse=True)


def _is_whole(path: Path) -> bool:
    try:
        _read(path)
    except UserError:
        return False
    return True


def _read(path: Path) -> Checkpoint:
    manifest = files.read_json(path / _MANIFEST)
    if manifest.get("format") != FORMAT:
        raise UserError(f"{path / _MANIFEST} has format {manifest.get('format')!r}; this version reads {FORMAT}")
    data = files.read_bytes(path / _STATE)
    match manifest:
        case {"files": {"state.safetensors": {"bytes": int(size), "sha256": str(digest)}}, "counters": dict(counters)}:
            pass
        case _:
            raise UserError(f"{path / _MANIFEST} lacks the size or sha256 of {_STATE}, or the counters")
    if len(data) != size or hashlib.sha256(data).hexdigest() != digest:
        raise UserError(f"{path / _STATE} is not the file that was written (size or sha256 differ)")
    return Checkpoint(path, files.arrays_from_bytes(data, path / _STATE), _checked_counters(counters, path))


def _checked_counters(counters: dict[Any, Any], path: Path) -> dict[str, int]:
    for name in ("steps", "updates"):
        if not isinstance(counters.get(name), int):
            raise UserError(f"{path / _MANIFEST} has {name} {counters.get(name)!r}; it must be a whole number")
    return {"steps": counters["steps"], "updates": counters["updates"]}
