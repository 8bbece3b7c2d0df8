"""Which modules a run may import, as its user allowed: a run's folder alone must not choose what code runs.

Training on `module:Id`, or naming it with --env, allows it for that run's folder from then on; so does --network for a
network that is a `module:Class`. Permissions are stored among the user's own files, never in the run's folder: a folder
from somebody else has none.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from a2c import files
from a2c.errors import UserError

_MOST = 10_000
"""Runs with permissions, at most; beyond that, the oldest are dropped."""


def remember(run: Path, name: str) -> None:
    """Stores that this run may import a name, `module:Id`. Does nothing if the file cannot be written."""
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
    """Whether the user allowed this run to import the name. Another folder moved to the same path has no permission."""
    return name in _names(_said(), run)


def _names(said: dict[str, object], run: Path) -> list[str]:
    """The names that the user allowed for this folder."""
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
    """The file of permissions, in XDG's folder for program state, or in AppData on Windows.

    Raises:
        OSError: The user has no home folder.
    """
    named = os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_STATE_HOME")
    try:
        base = Path(named) if named else Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise OSError(str(error)) from error
    return base / "a2c" / "imports.json"
