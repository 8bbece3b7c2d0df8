"""Logs of metrics: metrics.jsonl is the record; what others draw the same numbers with is in `writers`."""

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
    """One JSON object a line: `steps`, then the metrics. A NaN or infinity is written as null."""

    def __init__(self, path: Path) -> None:
        """Begins the file, or goes on at its end.

        Raises:
            UserError: It cannot be written.
        """
        self._path, self._waiting = path, bytearray()
        try:
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}") from error

    def write(self, steps: int, row: Row) -> None:
        """Adds a line to those that wait to be written."""
        finite = {name: value if math.isfinite(value) else None for name, value in row.items()}
        self._waiting += (json.dumps({"steps": steps, **finite}, allow_nan=False) + "\n").encode()

    def flush(self) -> None:
        """Writes the lines that wait; what the system does not take waits on."""
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
        """Whether the file that is written is still the one of that name: else rows would go nowhere."""
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            return False

    sync = flush

    def close(self) -> None:
        """Closes the file. What could not be written was reported when it was tried."""
        with contextlib.suppress(UserError):
            self.flush()
        with contextlib.suppress(OSError):
            self._file.close()


class Logs:
    """All the writers of a run, as one."""

    def __init__(self, logs: list[Log], folder: Path) -> None:
        self._logs, self._folder = logs, folder

    def write(self, steps: int, row: Row) -> None:
        """Hands the row to every writer."""
        for log in self._logs:
            log.write(steps, row)

    def flush(self) -> None:
        """Lets readers see what was written.

        Raises:
            UserError: The record cannot be written; its rows wait for the next time.
        """
        for log in self._logs:
            log.flush()

    def sizes(self) -> dict[str, int]:
        """Puts everything on disk, and says how many bytes each file of the logs has: to there `cut_back` cuts.

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
        UserError: The file is missing or damaged before its last line (which a crash may have cut).
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
            raise UserError(f"{path}, line {number} is no row of metrics: {error}") from error
        found.append(row)
    return found


def cut_back(folder: Path, sizes: Mapping[str, Any]) -> str | None:
    """Takes off what was logged after `Logs.sizes` said how much there was.

    Args:
        folder: The run's.
        sizes: By file, in bytes. Files are looked for in the folder, never by these names.

    Returns:
        What is lost, where metrics.jsonl lacks what was there; None: nothing.

    Raises:
        UserError: A file cannot be written or is none.
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
    """The files of the logs, none of them reached through a link.

    Raises:
        UserError: There is a link, or something else that is no file.
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
    """What opens the writers that a run asks for, and the record, in its folder.

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
    """Begins every log of a run, or goes on with those that are there.

    Raises:
        UserError: The folder cannot be written.
    """
    return Logs([opener(folder) for opener in openers], folder)
