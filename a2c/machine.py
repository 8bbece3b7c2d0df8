"""What this process may use of the machine."""

from __future__ import annotations

import os
import threading


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def started(thread: threading.Thread) -> bool:
    """Starts a thread; False where the machine gives no more of them."""
    try:
        thread.start()
    except RuntimeError:
        return False
    return True
