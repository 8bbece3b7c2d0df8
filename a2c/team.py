"""Team: threads that run one kernel together."""

from __future__ import annotations

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from a2c.kernels.threads import Crew, dismiss


class Team:
    """This thread and others. What a kernel computes does not depend on how many they are.

    Attributes:
        crew: What kernels need to know of it.
    """

    def __init__(self, threads: int) -> None:
        """Starts the others, or as many of them as the machine gives."""
        self._pool, others = _started(threads - 1)
        self.crew = Crew(1 + others, np.zeros(1, np.int64))

    def run(self, kernel: Any, *arguments: Any) -> Any:
        """Runs `kernel(thread, crew, *arguments)` on every thread; returns what it returned here."""
        crew = self.crew
        if crew.threads == 1:
            return kernel(0, crew, *arguments)
        try:
            others = [self._pool.submit(kernel, thread, crew, *arguments) for thread in range(1, crew.threads)]
            result = kernel(0, crew, *arguments)
        except BaseException:  # A second Ctrl-C, say, before this thread came to its part.
            dismiss(crew)
            raise
        for other in others:
            other.result()
        return result


def _started(wanted: int) -> tuple[ThreadPoolExecutor, int]:
    """Threads beside the one that asks, and how many: all start here, as a kernel waits for every one of them."""
    pool = ThreadPoolExecutor(max(1, wanted))
    go, given = threading.Event(), 0
    try:
        for given in range(wanted):  # noqa: B007 - of use where the next one is refused
            pool.submit(go.wait)
    except RuntimeError as error:  # The pool would ask for the one that is missing again at any time.
        go.set()
        pool.shutdown()
        warnings.warn(
            f"of {wanted + 1} threads of the compiled engine, this machine gives {given + 1} ({error}); results do not "
            "depend on it, and num_threads asks for fewer",
            stacklevel=3,
        )
        return _started(given)
    finally:
        go.set()
    return pool, wanted
