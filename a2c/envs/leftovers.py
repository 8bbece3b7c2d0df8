"""The temporary folder in which processes that start workers meet, and what is left of it when one is killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from multiprocessing import util
from pathlib import Path

_LOCK = "a2c.lock"
_held: dict[int, int] = {}  # process -> descriptor of its lock, until the process ends


def claim_temporary_folder() -> None:
    """Makes this process's temporary folder known as ours.

    Python removes the folder when a process ends, but for a SIGKILL; then a worker does, if there is one that can. A
    lock on a file in it tells whether its owner lives, whatever namespace that lives in.
    """
    if os.name != "posix" or os.getpid() in _held:
        return
    import fcntl

    lock = Path(util.get_temp_dir()) / _LOCK
    new = lock.with_suffix(".new")
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    new.rename(lock)  # Nobody sees it who could lock it first.
    _held[os.getpid()] = descriptor
    sweep_temporary_folders()


def sweep_temporary_folders() -> None:
    """Removes those of our processes that were killed."""
    if os.name != "posix":
        return
    import fcntl

    for lock in _locks():
        with contextlib.suppress(OSError):
            other = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
            finally:
                os.close(other)


def _locks() -> Iterator[Path]:
    """Those of this user. Our own is not free to be locked again, as a lock belongs to the descriptor."""
    for folder in Path(tempfile.gettempdir()).glob("pymp-*"):
        with contextlib.suppress(OSError):
            if not folder.is_symlink() and folder.stat().st_uid == os.getuid():
                yield folder / _LOCK
