"""A run's folder as bytes: what has changed in it, to be written into a copy elsewhere, on another machine say.

A copy can be resumed at any time, as the folder itself can after a crash: logs are read after checkpoints, so they are
at least as long as a checkpoint says, and written before them; a checkpoint travels as a whole, and appears as one.
Files that only grow are sent from where they ended before.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from a2c import files
from a2c.errors import UserError, shown
from a2c.run import checkpoint

_PART = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,200}"
_NAME = re.compile(rf"{_PART}(?:/{_PART}){{0,2}}")
"""Names of files within a run's folder: no path out of it, nothing hidden, nothing unfinished."""

_CHECKPOINTS = "checkpoints"


class Piece(NamedTuple):
    """A file, or the end of one."""

    name: str
    """Relative to the run's folder, with slashes."""
    begin: int
    """Where the data begin: 0, or the file's former size."""
    data: bytes


class Parcel(NamedTuple):
    """What has changed in a run's folder."""

    pieces: list[Piece]
    checkpoints: dict[str, dict[str, bytes]]
    """New checkpoints: the files of each."""
    gone: list[str]
    """Files and checkpoints (`checkpoints/NAME`) that were there before."""

    def __bool__(self) -> bool:
        """Whether anything has changed."""
        return bool(self.pieces or self.checkpoints or self.gone)

    def in_run_dir(self, run_dir: str) -> Parcel:
        """The same for a copy in another `run_dir`, which its config.json names then.

        Raises:
            UserError: Its config.json is damaged.
        """
        return self._replace(pieces=[_moved(one, run_dir) if one.name == "config.json" else one for one in self.pieces])


class _Known(NamedTuple):
    """A file as it was sent."""

    stamp: tuple[int, int, int]
    size: int
    digest: bytes


class Outgoing:
    """A run's folder whose changes are sent.

    Attributes:
        folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        """Nothing is sent yet; the first parcel has everything."""
        self.folder = folder
        self._files: dict[str, _Known] = {}
        self._checkpoints: set[str] = set()

    def parcel(self) -> Parcel:
        """What has changed since the last call. A process may be writing in the folder meanwhile."""
        checkpoints = checkpoint.within(self.folder)
        names = checkpoint.names(checkpoints)
        new = {}
        for name in reversed(names):
            if name not in self._checkpoints:
                try:
                    new[name] = checkpoint.contents(checkpoints, name)
                except UserError:  # It was deleted meanwhile, or it is damaged, so that no run goes on from it.
                    continue
        gone = [f"{_CHECKPOINTS}/{name}" for name in sorted(self._checkpoints - {*names})]
        self._checkpoints = (self._checkpoints & {*names}) | {*new}
        pieces, present = [], set()
        for name, path in _files(self.folder):
            present.add(name)
            try:
                piece = self._piece(name, path)
            except FileNotFoundError:
                continue  # The next parcel says so.
            if piece is not None:
                pieces.append(piece)
        gone += sorted(self._files.keys() - present)
        self._files = {name: known for name, known in self._files.items() if name in present}
        return Parcel(pieces, new, gone)

    def _piece(self, name: str, path: Path) -> Piece | None:
        """What has changed in a file."""
        status = path.stat()
        stamp = status.st_ino, status.st_size, status.st_mtime_ns
        known = self._files.get(name)
        if known is not None and known.stamp == stamp:
            return None
        data = path.read_bytes()
        self._files[name] = _Known(stamp, len(data), hashlib.sha256(data).digest())
        if known is None or hashlib.sha256(data[: known.size]).digest() != known.digest:
            return Piece(name, 0, data)
        return Piece(name, known.size, data[known.size :]) if len(data) > known.size else None


def write(folder: Path, parcel: Parcel) -> None:
    """Writes a parcel into a copy of the folder that it came from; on return, it is on disk. May be called again.

    Raises:
        UserError: A name is not that of a run's file, somebody changed the copy, or it cannot be written.
    """
    for piece in parcel.pieces:
        path = _path(folder, piece.name)
        files.folder(path.parent)
        if piece.begin:
            _append(path, piece)
        else:
            files.write_bytes(path, piece.data)
    for name, contents in parcel.checkpoints.items():
        checkpoint.put(checkpoint.within(folder), name, contents)
    for name in parcel.gone:
        first, _, rest = name.partition("/")
        if first == _CHECKPOINTS:
            checkpoint.remove(checkpoint.within(folder), rest)
        else:
            _remove(_path(folder, name))


def _moved(piece: Piece, run_dir: str) -> Piece:
    """config.json with another `run_dir`."""
    try:
        values = json.loads(piece.data)
        values["config"]["run_dir"] = run_dir
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"the config.json of a run that trained elsewhere is damaged: {error}") from error
    return piece._replace(data=files.json_to_bytes(values))


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files of a run's folder that travel, apart from checkpoints: names and paths."""
    for where, folders, names in os.walk(folder):
        inside = Path(where).relative_to(folder)
        folders[:] = sorted(one for one in folders if (inside / one).as_posix() != _CHECKPOINTS)
        for name in sorted(names):
            path, relative = Path(where, name), (inside / name).as_posix()
            if _NAME.fullmatch(relative) and not path.is_symlink() and path.is_file():
                yield relative, path


def _path(folder: Path, name: str) -> Path:
    """The path of a file in a run's folder.

    Raises:
        UserError: The name is not that of a run's file, or leads through a link.
    """
    if not _NAME.fullmatch(name) or name.partition("/")[0] == _CHECKPOINTS:
        raise UserError(f"{shown(name)} is not the name of a file in a run's folder")
    path = folder / name
    for parent in (path, *path.parents):
        if parent == folder:
            break
        files.no_link(parent)
    return path


def _append(path: Path, piece: Piece) -> None:
    """Writes the end of a file.

    Raises:
        UserError: It is shorter than the piece's beginning, or cannot be written.
    """
    try:
        size = path.stat().st_size if path.exists() else 0
        if size < piece.begin:
            raise UserError(f"{path} has {size} bytes of {piece.begin}: it was changed while its run trained elsewhere")
        with path.open("r+b") as file:
            file.seek(piece.begin)
            file.write(piece.data)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


def _remove(path: Path) -> None:
    """Removes a file, if it is there.

    Raises:
        UserError: It cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"cannot remove {path}: {error.strerror or error}") from error
