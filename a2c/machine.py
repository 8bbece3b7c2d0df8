"""The share of the machine that this process may use: cores, threads."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from typing import Any

_share: list[int] = []


def take_share(cores: int) -> None:
    """Limits this process to so many cores, because other processes train beside it."""
    _share[:] = [cores]


def cores() -> int:
    """The number of cores that this process may use."""
    if _share:
        return _share[0]
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def started(thread: threading.Thread) -> bool:
    """Starts a thread; returns False if the machine allows no more threads."""
    try:
        thread.start()
    except RuntimeError:
        return False
    return True


def one_blas_thread(rows: int, weights: int) -> contextlib.AbstractContextManager[Any]:
    """While entered, NumPy's matrix products use one thread.

    More threads are no faster for the few rows of an evaluation. If other processes use the cores, they wait for each
    other and take forty times as long. And the rounding of sums would depend on the number of cores.

    Args:
        rows: Rows of the left matrix.
        weights: Numbers in the right matrix. NumPy's OpenBLAS uses several threads for one row from 9,216 weights on,
            for more rows from 2^18 multiplications on; below that, nothing is done.
    """
    return contextlib.nullcontext() if rows * weights < (9216 if rows == 1 else 1 << 18) else _blas().limit(limits=1)


@functools.cache
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController  # Not at the top: most networks are too small to need it.

    return ThreadpoolController().select(user_api="blas")
