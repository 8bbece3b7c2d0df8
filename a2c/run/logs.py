"""Logs of metrics: metrics.jsonl is the record; `writers` has the other formats, such as VisualDL's."""

from __future__ import annotations

import contextlib
import json
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from a2c import files
from a2c.config import Config
from a2c.errors import UserError
from a2c.run.writers import FOLDERS, WRITERS, Log, LogOpener, Row

_RECORD = "metrics.jsonl"


class JsonLines:
    """One JSON object per line: `steps`, then the metrics. NaN and infinity are written as null."""

    def __init__(self, path: Path) -> None:
        """Begins the file, or appends to it.

        Raises:
            UserError: It cannot be written.
        """
        self._path, self._waiting = path, bytearray()
        try:
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}") from error

    def write(self, steps: int, row: Row) -> None:
        """Adds a line, which waits for `flush`."""
        finite = {name: value if math.isfinite(value) else None for name, value in row.items()}
        self._waiting += (json.dumps({"steps": steps, **finite}, allow_nan=False) + "\n").encode()

    def flush(self) -> None:
        """Writes the waiting lines.

        Raises:
            UserError: They cannot all be written; the rest waits for the next time.
        """
        try:
            if self._waiting and not self._is_there():
                self._file.close()
                self._file = self._path.open("ab", buffering=0)
                warnings.warn(f"{self._path} was removed or replaced; rows before this are not in it", stacklevel=2)
            while self._waiting:
                del self._waiting[: self._file.write(self._waiting) or 0]
        except OSError as error:
            raise UserError(f"cannot write {self._path}: {error.strerror}") from error

    def _is_there(self) -> bool:
        """Whether the open file still has its name; if it was removed or replaced, rows would be lost."""
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            return False

    sync = flush

    def close(self) -> None:
        """Closes the file; if rows cannot be written, an earlier `flush` has raised that already."""
        with contextlib.suppress(UserError):
            self.flush()
        with contextlib.suppress(OSError):
            self._file.close()


class Logs:
    """All the writers of a run, as one."""

    def __init__(self, logs: list[Log], folder: Path) -> None:
        self._logs, self._folder = logs, folder

    def write(self, steps: int, row: Row) -> None:
        """Passes the row to every writer."""
        for log in self._logs:
            log.write(steps, row)

    def flush(self) -> None:
        """Writes the waiting rows to the files.

        Raises:
            UserError: The record cannot be written; its rows wait for the next time.
        """
        for log in self._logs:
            log.flush()

    def sizes(self) -> dict[str, int]:
        """Puts everything on disk; returns the size of each file of the logs in bytes, to which `cut_back` cuts it.

        Raises:
            UserError: A file cannot be written.
        """
        for log in self._logs:
            log.sync()
        sizes = {}
        for path in _log_files(self._folder):
            files.sync(path)
            sizes[path.relative_to(self._folder).as_posix()] = path.stat().st_size
        files.sync_folder(self._folder)
        return sizes

    def close(self) -> None:
        """Closes every writer."""
        for log in self._logs:
            log.close()


def rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl, in order of steps.

    Raises:
        UserError: The file is missing, or damaged before its last line (which a crash may have cut short).
    """
    path = folder / _RECORD
    lines = files.read_bytes(path).splitlines()
    found = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            steps = row.get("steps") if isinstance(row, dict) else None
            if not isinstance(steps, int) or isinstance(steps, bool) or not 0 <= steps < 2**63:
                raise ValueError("it has no steps")
        except (ValueError, RecursionError) as error:
            if number == len(lines):
                break
            raise UserError(f"{path}, line {number} is not a row of metrics: {error}") from error
        found.append(row)
    return found


def cut_back(folder: Path, sizes: Mapping[str, Any]) -> str | None:
    """Cuts the logs back to the sizes that `Logs.sizes` returned.

    Args:
        folder: The run's.
        sizes: In bytes, by file. Only files found in the folder are cut, so these names are never used as paths.

    Returns:
        A sentence on what is lost if metrics.jsonl is shorter than that; None if nothing is.

    Raises:
        UserError: A file cannot be written, or is not a regular file.
    """
    for path in _log_files(folder):
        size, has = sizes.get(path.relative_to(folder).as_posix()), path.stat().st_size
        try:
            if not isinstance(size, int) or isinstance(size, bool) or size < 0:
                path.unlink()
            elif size < has:
                os.truncate(path, size)
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}") from error
    record, size = folder / _RECORD, sizes.get(_RECORD)
    has = record.stat().st_size if record.is_file() else 0
    if not isinstance(size, int) or size > has:
        return f"{record.name} has {has} bytes of {size} when the checkpoint was written; rows before it are lost"
    return None


def _log_files(folder: Path) -> list[Path]:
    """The files of the logs.

    Raises:
        UserError: One is a link or not a regular file.
    """
    found = [path for path in [folder / _RECORD] if path.exists() or path.is_symlink()]
    for name in FOLDERS:
        if (folder / name).is_symlink():
            raise UserError(f"{folder / name} is a symbolic link; it must be a folder")
        if (folder / name).is_dir():
            found += sorted((folder / name).iterdir())
    for path in found:
        if path.is_symlink() or not path.is_file():
            raise UserError(f"{path} is not a regular file")
    return found


def log_openers(config: Config) -> list[LogOpener]:
    """Functions that open the record and the writers that a run asks for, in its folder.

    Raises:
        UserError: A writer's package is not installed.
    """
    openers: list[LogOpener] = [lambda folder: JsonLines(folder / _RECORD)]
    for name in config.log:
        try:
            openers.append(WRITERS[name](config, rows))
        except ImportError as error:
            raise UserError(f"--log {name} needs a package that is not installed; pip install 'a2c[{name}]'") from error
    return openers


def open_logs(openers: Sequence[LogOpener], folder: Path) -> Logs:
    """Opens every log of a run; existing ones are continued.

    Raises:
        UserError: The folder cannot be written.
    """
    return Logs([opener(folder) for opener in openers], folder)
