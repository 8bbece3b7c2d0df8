"""Sees what a process does outside a folder."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Watch:
    """Sees what this process opens to write, moves, removes and starts, wherever in Python it does so."""

    def __init__(self) -> None:
        self._inside: Path | None = None
        self._seen: list[str] = []
        sys.addaudithook(self._hear)

    @contextlib.contextmanager
    def over(self, folder: Path) -> Iterator[list[str]]:
        """While entered, collects what happens outside a folder."""
        self._inside, self._seen = folder, []
        try:
            yield self._seen
        finally:
            self._inside = None

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._inside is None:
            return
        inside, self._inside = self._inside, None  # What follows raises events of its own.
        try:
            if event in ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen"):
                self._seen.append(f"{event} {arguments!r}")
            elif event == "open":
                path, _, flags = arguments
                if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and not isinstance(path, int):
                    follows = not flags & (os.O_EXCL | os.O_NOFOLLOW)
                    self._check("opened to write", path, inside, follows)
            elif event in ("os.mkdir", "os.truncate", "shutil.rmtree"):
                self._check(event, arguments[0], inside, follows=event == "os.truncate")
            elif event in ("os.remove", "os.rmdir", "os.rename") and max(arguments[2:] or arguments[1:]) < 0:
                # Others are relative to a descriptor: what shutil.rmtree does, which has said so itself.
                for path in arguments[: 2 if event == "os.rename" else 1]:
                    self._check(event, path, inside)
        finally:
            self._inside = inside

    def _check(self, what: str, path: Any, inside: Path, follows: bool = False) -> None:
        name = os.fsdecode(path)
        folder, last = os.path.split(os.path.abspath(name))
        real = os.path.realpath(name) if follows else os.path.join(os.path.realpath(folder), last)
        own = f"{real}/".startswith(f"{inside}/") or "__pycache__" in real or real == "/dev/null"
        if not own:
            self._seen.append(f"{what}: {name}")
