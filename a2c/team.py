"""A team of threads that run one kernel together."""

from __future__ import annotations

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from a2c.kernels.threads import Crew, dismiss


class Team:
    """This thread and others. A kernel's results do not depend on their number.

    Attributes:
        crew: The number of threads and their barrier, for kernels.
    """

    def __init__(self, threads: int) -> None:
        """Starts the other threads, or as many as the machine allows."""
        self._pool, others = _started(threads - 1)
        self.crew = Crew(1 + others, np.zeros(1, np.int64))

    def run(self, kernel: Any, *arguments: Any) -> Any:
        """Runs `kernel(thread, crew, *arguments)` on every thread; returns the result of this one."""
        crew = self.crew
        if crew.threads == 1:
            return kernel(0, crew, *arguments)
        try:
            others = [self._pool.submit(kernel, thread, crew, *arguments) for thread in range(1, crew.threads)]
            result = kernel(0, crew, *arguments)
        except BaseException:  # For example a second Ctrl-C before this thread began: the others would wait for ever.
            dismiss(crew)
            raise
        for other in others:
            other.result()
        return result


def _started(wanted: int) -> tuple[ThreadPoolExecutor, int]:
    """A pool of other threads, and how many started: all start here, because a kernel waits for every one of them."""
    pool = ThreadPoolExecutor(max(1, wanted))
    go, given = threading.Event(), 0
    try:
        for given in range(wanted):  # noqa: B007 - of use where the next one is refused
            pool.submit(go.wait)
    except RuntimeError as error:  # Close this pool: at every submit it would try again to start the missing thread.
        go.set()
        pool.shutdown()
        warnings.warn(
            f"of {wanted + 1} threads of the compiled engine, this machine allows {given + 1} ({error}); results are "
            "the same; a smaller num_threads avoids this warning",
            stacklevel=3,
        )
        return _started(given)
    finally:
        go.set()
    return pool, wanted
