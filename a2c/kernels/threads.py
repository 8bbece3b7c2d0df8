"""Threads that run the same kernel, each on its part, and meet at barriers."""

from __future__ import annotations

import sys
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from a2c.kernels.compiler import compiled
from a2c.kernels.kernel import External, Intrinsic

_SPINS = 2000

_yield_core = External("SwitchToThread" if sys.platform == "win32" else "sched_yield", "int32")
_add, _read = Intrinsic("add_atomically"), Intrinsic("read_atomically")


class Crew(NamedTuple):
    """A group of threads that run the same kernel."""

    threads: int
    arrivals: NDArray[np.int64]  # [1] how often threads have come to a barrier, summed over all threads


def dismiss(crew: Crew) -> None:
    """Releases all threads from waiting, when one of them will not come. Results are invalid after that."""
    crew.arrivals[0] = -(2**62)


@compiled
def meet(crew: Crew) -> None:
    """Waits until all threads have come here.

    It spins for a few microseconds. Then it yields the core at each turn, as there may be fewer cores than threads.
    """
    if crew.threads > 1:
        goal = (_add(crew.arrivals, 1) // crew.threads + 1) * crew.threads
        turns = 0
        while 0 <= _read(crew.arrivals) < goal:
            turns += 1
            if turns > _SPINS:
                _yield_core()
