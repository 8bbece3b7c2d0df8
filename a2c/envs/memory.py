"""The memory that parent and workers share: the arrays of a vector step, and the flags by which they hand it over.

A vector step has a number: the parent writes the actions and raises POSTED; each worker steps its rows and sets its
FINISHED to the same number. A waiting process first watches the number for a short while (spinning, a few microseconds
of latency), then sleeps on the pipe until a message wakes it. Everything rare travels in messages: resets, calls, infos
and errors. If spinning does not pay (`workers.may_spin`), exactly one wake-up announces each step and each answer.

The block is an unlinked file without a name: it vanishes with the last process that maps it, however that one ends.
"""

from __future__ import annotations

import functools
import os
import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

LINE = 8
"""Flags are int64, in lines of 64 bytes that only one side writes: first the parent's, then one for each worker."""

POSTED, WANT_INFOS = 0, 1
"""In the parent's line: the number of the step last posted; whether infos are wanted."""

FINISHED, HAS_MESSAGE, WORKER_SLEEPS, PARENT_SLEEPS = 0, 1, 2, 3
"""In a worker's line: the step last finished; whether a message (infos or an error) follows; whether the worker, or the
parent that waits for it, sleeps on the pipe."""

SPIN_SECONDS = 0.002
"""How long to spin before sleeping: longer than a small update takes, so that a worker is awake for the next step."""

NAP_SECONDS = 0.02
"""How often a sleeping process looks at the number anyway, as a wake-up sent while it fell asleep may be lost."""

yield_core = getattr(os, "sched_yield", functools.partial(time.sleep, 0))
"""Called while spinning: if cores are short, the process that is waited for may need this one."""

ROW, BEATS = 4, 5
"""In every line: the row of the environment that a process is at, and a number that grows with every step and reset.
A waiting process sees from it whether the other one makes progress, and which environment to name if it does not."""

FOREIGN = 6
"""In every line: the process-wide random generators that its environments drew from, as found by `seeding.Watch`."""

WAKE = b""
"""A message that only wakes the receiver."""

CLOSE = "close"
"""The request that ends a worker."""


class Block(NamedTuple):
    """One vector step in arrays, in ordinary or in shared memory. Each share writes its own rows."""

    action: NDArray[Any]  # [N, ...] rows of the action space
    obs: NDArray[Any]  # [N, ...] rows to act on next: after an end, the first observation of the next episode
    final_obs: NDArray[Any]  # [N, ...] the last observation of an episode, if one ended in this step
    reward: NDArray[np.float64]  # [N]
    terminated: NDArray[np.bool_]  # [N]
    truncated: NDArray[np.bool_]  # [N]
    lost_life: NDArray[np.bool_]  # [N] whether the step cost a life, if lives are noted
    mask: NDArray[np.uint8]  # [N, K] actions allowed next, in the order of `masks.py`; all 1 without a mask
    noted: NDArray[np.float64]  # [N, M] numbers from the last step's info, if an episode ended: `notes.py`

    def rows(self, rows: slice) -> Block:
        """Views of some environments' rows."""
        return Block(*(array[rows] for array in self))  # type: ignore[arg-type]  # in order, so of the right types


class Field(NamedTuple):
    """Shape (without N) and type of one array of the block."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Layout(NamedTuple):
    """Where the flags and the arrays of the block lie in one run of bytes."""

    num_envs: int
    num_workers: int
    action: Field
    obs: Field
    mask: Field
    num_notes: int

    def fields(self) -> list[Field]:
        """The arrays of the block, in order."""
        scalar, flag = Field((), np.dtype(np.float64)), Field((), np.dtype(np.bool_))
        notes = Field((self.num_notes,), scalar.dtype)
        return [self.action, self.obs, self.obs, scalar, flag, flag, flag, self.mask, notes]

    def num_flags(self) -> int:
        """int64 flags at the start: a line for the parent and one for each worker."""
        return (1 + self.num_workers) * LINE

    def num_bytes(self) -> int:
        """Size of the whole."""
        return self.num_flags() * 8 + sum(self._field_bytes(field) for field in self.fields())

    def map(self, buffer: Any) -> tuple[memoryview, Block]:
        """The flags and the block over a buffer of `num_bytes` bytes."""
        view = memoryview(buffer).cast("B")
        offset = self.num_flags() * 8
        flags = view[:offset].cast("q")
        arrays = []
        for field in self.fields():
            count = self.num_envs * int(np.prod(field.shape, dtype=np.int64))
            array: NDArray[Any] = np.frombuffer(view, field.dtype, count, offset)
            arrays.append(array.reshape(self.num_envs, *field.shape))
            offset += self._field_bytes(field)
        return flags, Block(*arrays)

    def _field_bytes(self, field: Field) -> int:
        size = self.num_envs * int(np.prod(field.shape, dtype=np.int64)) * field.dtype.itemsize
        return -(-size // 64) * 64
