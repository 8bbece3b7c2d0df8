"""What the user of this machine has said that runs may import: a run's folder alone must not choose what code runs.

Training on `module:Id`, or naming it with --env, says so for that folder, and it need not be said again; so does
--network for a network that is a `module:Class`. That is kept among the user's own files, never in the run's folder:
one that comes from somebody else has said nothing here.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from a2c import files
from a2c.errors import UserError

_MOST = 10_000
"""Runs that are remembered; of more, the oldest are forgotten."""


def remember(run: Path, name: str) -> None:
    """The user wants this run to import what a name, `module:Id`, names. Nothing where it cannot be kept."""
    said = _said()
    key, names = str(run), _names(said, run)
    if name not in names:
        value = [*names, name, *_folder(run)]
        said.pop(key, None)
        said[key] = value
        with contextlib.suppress(UserError, OSError):
            path = _path()
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            files.write_json(path, dict(list(said.items())[-_MOST:]))


def is_remembered(run: Path, name: str) -> bool:
    """Whether the user has said so, of this folder: another one that took its place is another."""
    return name in _names(_said(), run)


def _names(said: dict[str, object], run: Path) -> list[str]:
    """What the user has said of this folder."""
    value, folder = said.get(str(run)), _folder(run)
    if not isinstance(value, list) or value[len(value) - len(folder) :] != folder:
        return []
    return [name for name in value[: len(value) - len(folder)] if isinstance(name, str)]


def _folder(run: Path) -> list[int]:
    try:
        status = run.stat()
    except OSError:
        return []
    return [status.st_dev, status.st_ino]


def _said() -> dict[str, object]:
    try:
        return files.read_json(_path())
    except (UserError, OSError):
        return {}


def _path() -> Path:
    """Where programs keep what is theirs and not settings: XDG's state folder, or AppData on Windows.

    Raises:
        OSError: There is no home.
    """
    named = os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_STATE_HOME")
    try:
        base = Path(named) if named else Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise OSError(str(error)) from error
    return base / "a2c" / "imports.json"
