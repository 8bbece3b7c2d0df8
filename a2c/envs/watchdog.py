"""A watch on the environments that this process steps itself: nobody else can replace it when one of them hangs."""

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
    """Looks on, from a thread of its own, while the block runs.

    An environment that hangs without ever letting another Python thread run cannot be seen from here.

    Args:
        stepper: Whose share of this process is watched; where it steps none, nothing is done.
        timeout_seconds: How long an environment may be at one step.
        on_hang: Called once, in that thread, with the environment that took longer. Should the environment come back
            after all, the thread that stepped it goes no further.
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
            # If more time went by than we asked for, the process was stopped meanwhile.
            silent += min(now - start, slice_seconds)
            start = now
            if not stepper.is_stepping or stepper.beats != beats:
                silent, beats = 0.0, stepper.beats
            elif silent > timeout_seconds:
                stepper.hold()
                if stepper.is_stepping:
                    on_hang(stepper.at)
                    return
                stepper.release()  # It came back in this very moment.

    thread = threading.Thread(target=watch, daemon=True, name="a2c-watchdog")
    if not started(thread):
        warnings.warn(
            "this machine gives no further thread: environments of this process are not watched, and one that hangs is "
            "waited for",
            stacklevel=3,
        )
        yield
        return
    try:
        yield
    finally:
        ended.set()
        thread.join()
