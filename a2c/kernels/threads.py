"""Threads that run the same kernel, each on its part, and meet at barriers."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from a2c.kernels.compiler import compiled

_ARRAY = types.Array(types.int64, 1, "C")
_SPINS = 2000

_yield_core = types.ExternalFunction("SwitchToThread" if sys.platform == "win32" else "sched_yield", types.int32())


def _make_add(typing_context: Any, array: Any, amount: Any) -> Any:
    """Adds to array[0] atomically, and returns the value before."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        data = context.make_array(_ARRAY)(context, builder, arguments[0]).data
        return builder.atomic_rmw("add", data, arguments[1], "seq_cst")

    return types.int64(_ARRAY, types.int64), generate


def _make_read(typing_context: Any, array: Any) -> Any:
    """Reads array[0] from memory; no later read is moved before it."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        data = context.make_array(_ARRAY)(context, builder, arguments[0]).data
        return builder.load_atomic(data, "acquire", 8)

    return types.int64(_ARRAY), generate


_add, _read = intrinsic(_make_add), intrinsic(_make_read)


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
