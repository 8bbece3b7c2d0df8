"""Checkpoints: folders that appear as a whole, are verified when read, and hold only arrays and JSON.

    checkpoints/step_000160000/state.safetensors
    checkpoints/step_000160000/policy.safetensors, policy.json      the best policy so far, if there is one
    checkpoints/step_000160000/manifest.json      format, size and sha256 of each file, counters, notes

A checkpoint is written into a folder whose name is never read; every file is synced, the manifest last; then the folder
is renamed. An existing checkpoint is never changed: another state at the same step gets another name
(step_000160000-1).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from a2c import files
from a2c.errors import UserError, shown

FORMAT = 2
"""Version of the format. From version 1, which had no notes, only the policy can be read."""

_PATTERN = re.compile(r"step_(\d{9,18})(?:-(\d{1,9}))?")
_FILE = re.compile(r"[A-Za-z0-9_]+\.[a-z]+")
_UNFINISHED = ".unfinished-"
_STATE, _MANIFEST = "state.safetensors", "manifest.json"


class Checkpoint(NamedTuple):
    """The state of a run after an update, read from its folder."""

    path: Path
    arrays: files.Arrays
    counters: dict[str, int]
    """"steps" and "updates"."""
    notes: dict[str, Any]
    """Other JSON values that were saved."""
    files: dict[str, bytes]
    """Other files that were saved, by name."""


def save(
    folder: Path,
    arrays: files.Arrays,
    counters: dict[str, int],
    keep: int,
    notes: Mapping[str, Any] | None = None,
    extra: Mapping[str, bytes] | None = None,
) -> Path:
    """Writes a checkpoint, then deletes the oldest.

    Args:
        folder: The run's `checkpoints` folder; made if missing.
        arrays: The state.
        counters: "steps", which names the checkpoint, and "updates".
        keep: How many checkpoints to keep, this one included, at least 1.
        notes: JSON values to save.
        extra: Other files to save, by name.

    Returns:
        Its folder.

    Raises:
        UserError: The folder cannot be written; earlier checkpoints are unchanged.
    """
    contents = {_STATE: files.arrays_to_bytes(arrays), **(extra or {})}
    entries = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in contents.items()
    }
    target, number = folder / f"step_{counters['steps']:09d}", 0
    while target.exists() or target.is_symlink():
        if (_manifest_if_whole(target) or {}).get("files") == entries:
            return target  # The same state is saved already.
        number += 1
        target = folder / f"step_{counters['steps']:09d}-{number}"
    manifest = {"format": FORMAT, "files": entries, "counters": counters, "notes": dict(notes or {})}
    _write(target, {**contents, _MANIFEST: files.json_to_bytes(manifest)})
    # Newer ones are damaged, or the run would have resumed from them, so they do not count among the `keep`.
    folders = _folders(folder)
    for old in folders[folders.index(target) + keep :]:
        with contextlib.suppress(OSError):
            shutil.rmtree(old)
    return target


def names(folder: Path) -> list[str]:
    """The names of the finished checkpoints, the newest first."""
    return [path.name for path in _folders(folder)]


def contents(folder: Path, name: str) -> dict[str, bytes]:
    """All files of a checkpoint, as `put` writes them elsewhere.

    Raises:
        UserError: It is not intact, or it was deleted meanwhile, as the oldest are.
    """
    path = folder / name
    saved = files.read_json(path / _MANIFEST)
    _read(path)
    return {one: files.read_bytes(path / one) for one in (*saved["files"], _MANIFEST)}


def put(folder: Path, name: str, contents: Mapping[str, bytes]) -> None:
    """Writes a checkpoint that was made elsewhere, unless there is an intact one of this name; makes the folder, too.

    Raises:
        UserError: This is not the name of a checkpoint, or of a file of one; or the folder cannot be written.
    """
    wrong = [one for one in contents if one != _MANIFEST and not _FILE.fullmatch(one)]
    if wrong or not _PATTERN.fullmatch(name) or _MANIFEST not in contents:
        raise UserError(f"{shown(name)} with {shown(sorted(contents))} is not a checkpoint")
    if _manifest_if_whole(folder / name) is None:
        remove(folder, name)
        _write(folder / name, contents)


def remove(folder: Path, name: str) -> None:
    """Removes a checkpoint, if it is there.

    Raises:
        UserError: This is not the name of a checkpoint.
    """
    if not _PATTERN.fullmatch(name):
        raise UserError(f"{shown(name)} is not a checkpoint")
    shutil.rmtree(folder / name, ignore_errors=True)


def _write(target: Path, contents: Mapping[str, bytes]) -> None:
    """Writes the files of a checkpoint, the manifest last, into a folder that appears as a whole.

    Raises:
        UserError: It cannot be written.
    """
    unfinished = target.with_name(f"{_UNFINISHED}{target.name}-{os.getpid()}")
    try:
        unfinished.mkdir(parents=True)
        for name in sorted(contents, key=lambda name: name == _MANIFEST):
            files.write_bytes(unfinished / name, contents[name])
        unfinished.rename(target)
        files.sync_folder(target.parent)
    except OSError as error:
        raise UserError(f"cannot write checkpoint {target}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def within(run: Path) -> Path:
    """The checkpoints' folder within a run's.

    Raises:
        UserError: It is a link to somewhere else.
    """
    return files.no_link(run / "checkpoints")


def sweep(folder: Path) -> None:
    """Removes unfinished checkpoints of killed processes; no other process may be writing."""
    if folder.is_dir():
        for path in folder.iterdir():
            if path.name.startswith(_UNFINISHED) and path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)


def is_empty(folder: Path) -> bool:
    """Whether the folder has no finished checkpoint."""
    return not _folders(folder)


def newest(folder: Path) -> Checkpoint:
    """The newest intact checkpoint; warns of each damaged one that is skipped.

    Raises:
        UserError: None is intact.
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
    finished = [(match, path) for path in folder.iterdir() if (match := _PATTERN.fullmatch(path.name))]
    finished.sort(key=lambda found: (int(found[0][1]), int(found[0][2] or 0)), reverse=True)
    return [path for _, path in finished]


def _manifest_if_whole(path: Path) -> dict[str, Any] | None:
    try:
        _read(path)
        return files.read_json(path / _MANIFEST)
    except UserError:
        return None


def _read(path: Path) -> Checkpoint:
    if path.is_symlink():
        raise UserError(f"{path} is a symbolic link; a checkpoint must be a folder")
    manifest = files.read_json(path / _MANIFEST)
    if manifest.get("format") not in (1, FORMAT):
        raise UserError(f"{path / _MANIFEST} has format {shown(manifest.get('format'))}; this version reads {FORMAT}")
    match manifest:
        case {"files": {"state.safetensors": _, **others}, "counters": dict(counters)} if all(
            _FILE.fullmatch(str(name)) for name in others
        ):
            pass
        case _:
            raise UserError(f"{path / _MANIFEST} lacks the size or sha256 of {_STATE}, or the counters")
    contents = {}
    for name, entry in manifest["files"].items():
        match entry:
            case {"bytes": int(size), "sha256": str(digest)}:
                contents[name] = data = files.read_bytes(path / name)
            case _:
                raise UserError(f"{path / _MANIFEST} lacks the size or sha256 of {name}")
        if len(data) != size or hashlib.sha256(data).hexdigest() != digest:
            raise UserError(f"{path / name} is not the file that was written (size or sha256 differ)")
    notes = manifest.get("notes", {})
    if not isinstance(notes, dict):
        raise UserError(f"{path / _MANIFEST} has notes {type(notes).__name__}; they must be a JSON object")
    arrays = files.arrays_from_bytes(contents.pop(_STATE), path / _STATE)
    return Checkpoint(path, arrays, _checked_counters(counters, path), notes, contents)


def _checked_counters(counters: dict[Any, Any], path: Path) -> dict[str, int]:
    for name in ("steps", "updates"):
        value = counters.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
            raise UserError(f"{path / _MANIFEST} has {name} {shown(value)}; it must be a whole number from 0")
    return {"steps": counters["steps"], "updates": counters["updates"]}
