"""Imports of large packages."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

from a2c.signals import interrupts_held


@contextlib.contextmanager
def importing(owns_process: bool = False) -> Iterator[None]:
    """Imports large packages without interrupts and without garbage collection.

    Ctrl-C in the middle of an import would leave half a module. Garbage collection runs again and again while modules
    fill the memory, and frees nothing: an eighth of the time of a short run. In a process of a2c's own, imported
    objects are also frozen, so that later collections skip them.

    Args:
        owns_process: Whether a2c started the process. Once True, imports that follow are frozen too.
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
