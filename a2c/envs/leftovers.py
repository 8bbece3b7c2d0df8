"""The temporary folder in which processes that start workers meet, and what is left of it when one is killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from multiprocessing import util
from pathlib import Path

_PREFIX, _SUFFIX = "a2c-", ".lock"
_ABANDONED = "a2c-abandoned-"
_held: dict[int, int] = {}  # process -> descriptor of its lock, until the process ends


def claim_temporary_folder() -> None:
    """Makes this process's temporary folder known as ours.

    Python removes the folder when a process ends, but for a SIGKILL; then a worker does, if there is one that can. A
    lock on a file in it tells whether its owner lives, whatever namespace that lives in. Processes that multiprocessing
    started share the folder of their parent: there is a lock for each.
    """
    if os.name != "posix" or os.getpid() in _held:
        return
    import fcntl

    descriptor, new = tempfile.mkstemp(prefix=_PREFIX, dir=util.get_temp_dir())
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.rename(new, new + _SUFFIX)  # Nobody sees it who could lock it first.
    _held[os.getpid()] = descriptor
    sweep_temporary_folders()


def sweep_temporary_folders() -> None:
    """Removes those of our processes that were killed."""
    if os.name == "posix":
        there = Path(tempfile.gettempdir())
        for pattern, remove in (("pymp-*", remove_if_abandoned), (f"{_ABANDONED}*", _remove)):
            for folder in there.glob(pattern):
                with contextlib.suppress(OSError):
                    if not folder.is_symlink() and folder.stat().st_uid == os.getuid():
                        remove(folder)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def remove_if_abandoned(folder: Path) -> None:
    """Removes a folder that processes of ours met in, if none of them lives."""
    import fcntl

    locks = list(folder.glob(f"{_PREFIX}*{_SUFFIX}"))
    with contextlib.ExitStack() as opened, contextlib.suppress(OSError):  # One is held, or somebody was quicker.
        for lock in locks:
            descriptor = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW)
            opened.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if locks:
            # Under a name that says so: who is killed in the middle leaves what needs no lock to be known.
            abandoned = folder.with_name(_ABANDONED + folder.name)
            folder.rename(abandoned)
            _remove(abandoned)
