"""What this process may use of the machine."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from typing import Any

_share: list[int] = []


def take_share(cores: int) -> None:
    """From here on, this process has so many cores: others train beside it."""
    _share[:] = [cores]


def cores() -> int:
    """Cores this process may use."""
    if _share:
        return _share[0]
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def started(thread: threading.Thread) -> bool:
    """Starts a thread; False where the machine gives no more of them."""
    try:
        thread.start()
    except RuntimeError:
        return False
    return True


def one_blas_thread(rows: int, weights: int) -> contextlib.AbstractContextManager[Any]:
    """A block in which NumPy's products of matrices take one thread.

    More are no faster for as few rows as are evaluated at a time; where other processes keep the cores busy they wait
    for each other, forty times as long; and sums would round as the number of cores has it.

    Args:
        rows: Of the matrix on the left.
        weights: Numbers in the one on the right. OpenBLAS, which NumPy comes with, divides a product of one row from
            9,216 on, of more from 2^18 multiplications on; for less, nothing need be done.
    """
    return contextlib.nullcontext() if rows * weights < (9216 if rows == 1 else 1 << 18) else _blas().limit(limits=1)


@functools.cache
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController  # Here: most networks are small.

    return ThreadpoolController().select(user_api="blas")
