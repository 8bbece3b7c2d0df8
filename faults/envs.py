"""Environments that are the real ones, until a file tells one of them to hang: `faults.envs:HangingCartPole-v1`.

The variable HANG names a folder. Whichever environment removes a file from it, in a worker, hangs: after `sleep` as
Python sleeps, after `hold` in C and without ever letting another thread run.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import time
from typing import Any

import gymnasium

HANG = "A2C_FAULTS_HANG"
WAYS = ("sleep", "hold")

_LONG = 3600


class Hanging(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Looks before each step whether it is to hang."""

    def step(self, action: Any) -> Any:
        folder = os.environ.get(HANG)
        if folder and multiprocessing.parent_process() is not None:
            for way in WAYS:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{folder}/{way}")  # Only one environment can.
                    if way == "sleep":
                        time.sleep(_LONG)
                    else:
                        ctypes.PyDLL(None).sleep(_LONG)  # PyDLL keeps the interpreter's lock.
        return self.env.step(action)


def make(env_id: str, **kwargs: Any) -> Hanging:
    return Hanging(gymnasium.make(env_id, **kwargs))


for _env_id in ("CartPole-v1", "LunarLander-v3", "HalfCheetah-v5"):
    gymnasium.register(f"Hanging{_env_id}", entry_point="faults.envs:make", kwargs={"env_id": _env_id})
