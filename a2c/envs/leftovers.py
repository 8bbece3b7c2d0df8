"""The temporary folder that multiprocessing uses to start workers, and its removal if its owner is killed."""

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
    """Marks this process's temporary folder as ours, by a locked file in it.

    Python removes the folder when a process ends, unless by SIGKILL; then a worker removes it, or the next process of
    ours that starts one. The lock shows whether the owner is alive, even in another PID namespace. Processes that
    multiprocessing started share the folder of their parent; each has a lock of its own.
    """
    if os.name != "posix" or os.getpid() in _held:
        return
    import fcntl

    descriptor, new = tempfile.mkstemp(prefix=_PREFIX, dir=util.get_temp_dir())
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.rename(new, new + _SUFFIX)  # Only now, so that nobody finds it before it is locked.
    _held[os.getpid()] = descriptor
    sweep_temporary_folders()


def sweep_temporary_folders() -> None:
    """Removes the folders of processes of ours that were killed."""
    if os.name == "posix":
        parent = Path(tempfile.gettempdir())
        for pattern, remove in (("pymp-*", remove_if_abandoned), (f"{_ABANDONED}*", _remove)):
            for folder in parent.glob(pattern):
                with contextlib.suppress(OSError):
                    if not folder.is_symlink() and folder.stat().st_uid == os.getuid():
                        remove(folder)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def remove_if_abandoned(folder: Path) -> None:
    """Removes a folder of ours if none of its owners is alive."""
    import fcntl

    locks = list(folder.glob(f"{_PREFIX}*{_SUFFIX}"))
    with contextlib.ExitStack() as opened, contextlib.suppress(OSError):  # A lock is held, or the folder is gone.
        for lock in locks:
            descriptor = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW)
            opened.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if locks:
            # Renamed first: if we are killed halfway, the next sweep knows it by its name, without locks.
            abandoned = folder.with_name(_ABANDONED + folder.name)
            folder.rename(abandoned)
            _remove(abandoned)
