"""Which processes are at work in a folder: each keeps a file locked for as long as it lives, however it ends."""

from __future__ import annotations

import os
import uuid
from pathlib import Path


class Process:
    """This process's mark in a folder, a file that is locked for as long as it lives.

    Where files cannot be locked, every other process is taken for dead: there, one at a time may tune.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        # Locked before it has its name, under which others look whether it is.
        unnamed = folder / f".{self.name}"
        self._file = unnamed.open("x")
        lock(self._file.fileno(), waits=True)
        unnamed.rename(folder / self.name)

    def is_alive(self, name: str) -> bool:
        """Whether a process still has its lock."""
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
        """Those that are alive beside this one."""
        names = [path.name for path in self._folder.iterdir() if not path.name.startswith(".")]
        return [name for name in names if name != self.name and self.is_alive(name)]

    def leave(self) -> None:
        """Takes the mark away."""
        (self._folder / self.name).unlink(missing_ok=True)
        self._file.close()


def lock(descriptor: int, waits: bool) -> bool:
    """Locks an open file until it is closed, by a process's end if need be; whether that was possible now."""
    if os.name != "posix":
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # A file system without locks.
        return True
    return True
