"""Imports that take a while."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

from a2c.signals import interrupts_held


@contextlib.contextmanager
def importing(owns_process: bool = False) -> Iterator[None]:
    """For imports of much: none is interrupted half-way, and nobody looks for garbage in what stays.

    Python looks for it again and again while modules fill the memory, an eighth of the time from the prompt to the end
    of a short run. In a process of our own, what was imported is never looked at again, either.

    Args:
        owns_process: Whether nothing was in the process before; it holds for the imports that follow, too.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        with interrupts_held():
            yield
        if owns_process or gc.get_freeze_count():
            gc.freeze()
    finally:
        if collects:
            gc.enable()
