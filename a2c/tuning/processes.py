"""Which processes work in a folder: each holds a lock on a file of its own until it ends, however it ends."""

from __future__ import annotations

import os
import uuid
from pathlib import Path


class Process:
    """This process's file in a folder, locked until the process ends.

    If the file system has no locks, every other process seems dead, so only one process at a time may tune there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        # Renamed only when it is locked: another process that found it unlocked would take this one for dead.
        unnamed = folder / f".{self.name}"
        self._file = unnamed.open("x")
        lock(self._file.fileno(), waits=True)
        unnamed.rename(folder / self.name)

    def is_alive(self, name: str) -> bool:
        """Whether the process of that name still holds its lock."""
        if name == self.name:
            return True
        path = self._folder / Path(name).name
        if not name or not path.is_file():
            return False
        with path.open("r+") as file:
            if not lock(file.fileno(), waits=False):
                return True
            path.unlink(missing_ok=True)
            return False

    def others(self) -> list[str]:
        """The names of the other processes that are alive."""
        names = [path.name for path in self._folder.iterdir() if not path.name.startswith(".")]
        return [name for name in names if name != self.name and self.is_alive(name)]

    def leave(self) -> None:
        """Removes the file."""
        (self._folder / self.name).unlink(missing_ok=True)
        self._file.close()


def lock(descriptor: int, waits: bool) -> bool:
    """Locks an open file until it is closed or the process ends; returns whether it has the lock."""
    if os.name != "posix":
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # The file system has no locks.
        return True
    return True
