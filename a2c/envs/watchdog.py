"""Watches the environments that this process steps itself, which cannot be replaced if one of them hangs."""

from __future__ import annotations

import contextlib
import threading
import time
import warnings
from collections.abc import Callable, Iterator

from a2c.envs.stepper import Stepper
from a2c.machine import started


@contextlib.contextmanager
def watched(stepper: Stepper, timeout_seconds: float, on_hang: Callable[[int], None]) -> Iterator[None]:
    """Watches environments from a thread while the `with` block runs.

    An environment that hangs without releasing Python's GIL is not noticed, as the thread cannot run either.

    Args:
        stepper: Whose environments of this process are watched; if there are none, this does nothing.
        timeout_seconds: How long an environment may take for one step.
        on_hang: Called once, in that thread, with the number of the environment that took longer. If the environment
            comes back after all, the thread that stepped it is blocked.
    """
    if not stepper.num_here:
        yield
        return
    ended = threading.Event()
    slice_seconds = min(1.0, timeout_seconds / 4)

    def watch() -> None:
        silent, beats = 0.0, -1
        start = time.monotonic()
        while not ended.wait(slice_seconds):
            now = time.monotonic()
            # Count no more than the time we asked for: the process itself may have been stopped.
            silent += min(now - start, slice_seconds)
            start = now
            if not stepper.is_stepping or stepper.beats != beats:
                silent, beats = 0.0, stepper.beats
            elif silent > timeout_seconds:
                stepper.hold()
                if stepper.is_stepping:
                    on_hang(stepper.at)
                    return
                stepper.release()  # It came back just now.

    thread = threading.Thread(target=watch, daemon=True, name="a2c-watchdog")
    if not started(thread):
        warnings.warn(
            "no further thread can be started: environments of this process are not watched, so one that hangs blocks "
            "the run",
            stacklevel=3,
        )
        yield
        return
    try:
        yield
    finally:
        ended.set()
        thread.join()
