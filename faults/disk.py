"""A full disk, simulated at every call that writes to a checkpoint.

python -m faults.disk CASE SEED REPORT; `faults.kinds.disk` calls it
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import json
import os
import re
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import a2c
from a2c.run import checkpoint
from faults.cases import Case
from faults.compare import differences

SAVE = 4
"""The checkpoint at which the disk is full: it has older ones before it, newer ones after it, and a policy in it."""

_CALLS = ("mkdir", "open", "write", "fsync", "rename", "replace")


class FullDisk:
    """While installed, the k-th call that writes to one checkpoint fails.

    Attributes:
        failed: The text of that call; None if there was no k-th call.
    """

    def __init__(self, k: int) -> None:
        self.failed: str | None = None
        self._k, self._count = k, 0
        self._saves: list[str] = []  # checkpoints that were begun
        self._busy = threading.local()

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Replaces the functions of os, io, pathlib and builtins that write."""
        with contextlib.ExitStack() as cleanup:
            for owner in (os, Path, io, builtins):
                for name in _CALLS:
                    if hasattr(owner, name):
                        original = getattr(owner, name)
                        cleanup.callback(setattr, owner, name, original)
                        setattr(owner, name, self._guarded(name, original))
            yield

    def _guarded(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(target: Any, *args: Any, **kwargs: Any) -> Any:
            if getattr(self._busy, "is_set", False):  # Called by another of these functions, which was counted.
                return original(target, *args, **kwargs)
            self._busy.is_set = True
            try:
                path = _path(target)
                if name == "open" and not _writes(args, kwargs):
                    return original(target, *args, **kwargs)
                self.meet(name, path)
                result = original(target, *args, **kwargs)
            finally:
                self._busy.is_set = False
            return _File(result, path, self) if isinstance(result, io.IOBase) and "/checkpoints/" in path else result

        return call

    def meet(self, name: str, path: str, before: Callable[[], Any] = lambda: None) -> None:
        """Counts a call.

        Args:
            name: The function's name.
            path: The file that it writes.
            before: Called before the k-th call fails.

        Raises:
            OSError: It is the k-th call.
        """
        match = re.search(r"/checkpoints(?:$|/.*?step_(\d+))", path)
        if match is None or (match[1] is None and (name == "mkdir" or not self._saves)):
            return
        save = match[1] or self._saves[-1]
        if save not in self._saves:
            self._saves.append(save)
        if self._saves.index(save) != SAVE - 1:
            return
        self._count += 1
        if self._count == self._k:
            before()
            self.failed = f"{name} {re.sub(r'[0-9]+', 'N', path.rpartition('/')[2])}"
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


class _File:
    """A file whose writes are counted; a failing write still writes half of its data."""

    def __init__(self, file: Any, path: str, disk: FullDisk) -> None:
        self._file, self._path, self._disk = file, path, disk

    def write(self, data: Any) -> Any:
        self._disk.meet("write", self._path, lambda: self._file.write(data[: len(data) // 2]))
        return self._file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


def _path(target: Any) -> str:
    if isinstance(target, int):
        try:
            return os.readlink(f"/proc/self/fd/{target}")
        except OSError:
            return ""
    return os.fspath(target) if isinstance(target, str | os.PathLike) else ""


def _writes(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call of open or os.open opens for writing."""
    mode = args[0] if args else kwargs.get("mode", kwargs.get("flags", "r"))
    if isinstance(mode, int):
        return bool(mode & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    return any(letter in mode for letter in "wax+")


def train(case: Case, seed: int, folder: str) -> tuple[Path, list[str], list[str]]:
    """Trains in this process.

    Returns:
        The run; its warnings; the faults of its newest checkpoint when each warning came.
    """
    messages, faults = [], []

    def record(message: Warning | str, *_: Any, **__: Any) -> None:
        messages.append(str(message))
        if os.strerror(errno.ENOSPC) not in messages[-1]:  # A warning at the start, before the first checkpoint.
            return
        try:
            checkpoint.newest(next(Path(folder).glob("*/*/checkpoints")))
        except (a2c.UserError, StopIteration) as error:
            faults.append(f"after the warning {message}: {error}")

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = record  # type: ignore[assignment]
        run = a2c.train(case.env_id, preset="none", seed=seed, run_dir=folder, **case.settings)
    return run.path, messages, faults


def tried(case: Case, seed: int) -> Iterator[dict[str, Any]]:
    """Makes a run for every call that can fail; yields the call and the run's differences."""
    case = case.but(total_steps=case.short_steps, eval_every_steps=case.short_steps // 5, save_every_seconds=0.0)
    with tempfile.TemporaryDirectory() as folder:
        expected, _, _ = train(case, seed, f"{folder}/0")
        k = 0
        while True:
            k += 1
            disk = FullDisk(k)
            try:
                with disk.installed():
                    run, messages, found = train(case, seed, f"{folder}/{k}")
            except (a2c.UserError, OSError) as error:
                yield {"call": disk.failed, "differences": [f"{disk.failed} failed: the run ended by {error!r}"]}
                if disk.failed is None:
                    return
                continue
            if disk.failed is None:
                if k == 1:
                    yield {"call": None, "differences": [f"the run made fewer than {SAVE} checkpoints"]}
                return
            if not any(os.strerror(errno.ENOSPC) in text for text in messages):
                found.append(f"it was not reported; the warnings: {messages}")
            found += differences(expected, run)
            hidden = [str(path.relative_to(run)) for path in run.rglob(".*")]
            found += [f"left in the run: {hidden}"] if hidden else []
            yield {"call": disk.failed, "differences": [f"{disk.failed} failed: {text}" for text in found]}


def main() -> None:
    case, seed, report = sys.argv[1:]
    results = list(tried(Case(**json.loads(case)), int(seed)))
    Path(report).write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
