"""A clock for machine code, to measure where its time goes."""

from __future__ import annotations

import sys
import time

import numpy as np
from numpy.typing import NDArray

from a2c.kernels.compiler import inlined
from a2c.kernels.kernel import External

if sys.platform == "win32":
    _read = External("QueryPerformanceCounter", "int32", "voidptr")
else:
    _read = External("clock_gettime", "int32", "int32", "voidptr")
_IS_WINDOWS = sys.platform == "win32"
_CLOCK = 0 if _IS_WINDOWS else int(time.CLOCK_MONOTONIC)


def seconds_per_tick() -> float:
    """The length of one tick of `ticks`, in seconds."""
    return time.get_clock_info("perf_counter").resolution if _IS_WINDOWS else 1e-9


@inlined
def ticks(reading: NDArray[np.int64]) -> int:
    """The time in ticks, on a clock that only goes forward. `reading` [2] is memory for the system's answer.

    A call takes about 25 nanoseconds on Linux, which answers without entering the kernel.
    """
    if _IS_WINDOWS:
        _read(reading.ctypes)
        return int(reading[0])
    _read(_CLOCK, reading.ctypes)
    return int(reading[0] * 1_000_000_000 + reading[1])
