"""Environments in worker processes over shared memory.

A vector step is a number: the parent writes the actions and raises `posted`; each worker steps its rows and sets its
`finished` to the same number. Whoever waits looks at the number for a short while (spinning, a few microseconds of
latency), then sleeps on the pipe until a message wakes it. Messages carry everything rare: resets, calls, infos and
errors.

The shared block has no name: it is an unlinked file, gone with the last process that maps it, however that one ends.
This module runs in the workers too and must stay light: no Paddle, no trainer.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import platform
import signal
import sys
import time
import traceback
import types
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from typing import Any, NamedTuple

import cloudpickle
import numpy as np
from numpy.typing import NDArray

from a2c.envs.local import Block, Info, Share
from a2c.errors import WorkerError

SPIN_SECONDS = 0.002
"""How long a waiter spins before it sleeps. Longer than a small update, so that a worker is awake for the next step."""

_NAP_SECONDS = (
    0.02  # A sleeper looks again this often, should its wake-up message have crossed with its falling asleep.
)
_JOIN_SECONDS = 2.0

# Seeing the number before the data it announces is impossible on x86 (stores are seen in order), possible elsewhere.
_STORES_ARE_ORDERED = platform.machine().lower() in ("x86_64", "amd64")

# Flags are int64, in lines of 64 bytes: first the parent's line, then one for each worker.
_LINE = 8
POSTED, WANT_INFOS = 0, 1
_FINISHED, _HAS_MESSAGE, _WORKER_SLEEPS, _PARENT_SLEEPS = 0, 1, 2, 3

_WAKE = b""
_CLOSE = "close"


class Field(NamedTuple):
    """Shape (without N) and type of one array of the block."""

    shape: tuple[int, ...]
    dtype: str


class Layout(NamedTuple):
    """Where the flags and the arrays of the block lie in one run of bytes."""

    num_envs: int
    num_workers: int
    action: Field
    obs: Field

    def fields(self) -> list[Field]:
        """The arrays of the block, in order."""
        scalar, flag = Field((), "<f8"), Field((), "|b1")
        return [self.action, self.obs, self.obs, scalar, flag, flag]

    def num_flags(self) -> int:
        """int64 flags at the start: a line for the parent and one for each worker."""
        return (1 + self.num_workers) * _LINE

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
        size = self.num_envs * int(np.prod(field.shape, dtype=np.int64)) * np.dtype(field.dtype).itemsize
        return -(-size // 64) * 64


class Worker:
    """The parent's side of one worker process."""

    def __init__(
        self,
        number: int,
        make: bytes,
        seed: int,
        layout: Layout,
        buffer: Any,
        flags: memoryview,
        rows: range,
        spins: bool,
        timeout_seconds: float,
    ) -> None:
        """Starts the process; its first `reply` comes when its environments stand.

        Args:
            number: Which worker, from 0.
            make: Cloudpickled constructor of an environment.
            seed: The run's seed.
            layout: Where flags and arrays lie in the buffer.
            buffer: The shared bytes.
            flags: The flags in them.
            rows: Indices of the worker's environments.
            spins: Whether both sides wait by spinning first.
            timeout_seconds: How long it may leave the parent without an answer.
        """
        self.rows = rows
        self._number = number
        self._flags = flags
        self._line = (1 + number) * _LINE
        self._spins = spins
        self._timeout_seconds = timeout_seconds
        context = start_context()
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_run,
            args=(theirs, make, seed, layout, buffer, number, rows, spins),
            name=f"a2c-worker-{number}",
            daemon=True,
        )
        with _nothing_of_main_imported():
            self._process.start()
        theirs.close()

    def ring(self) -> None:
        """Tells the worker that a step was posted."""
        if not self._spins or self._flags[self._line + _WORKER_SLEEPS]:
            self._send(_WAKE)

    def wait(self) -> list[Info] | None:
        """Waits until the worker has finished the step last posted.

        Returns:
            Its infos, where they were wanted and there are any.

        Raises:
            EnvError: An environment raised.
            WorkerError: The worker died or gave no answer in time.
        """
        flags, finished = self._flags, self._line + _FINISHED
        step = flags[POSTED]
        if self._spins:
            give_up = time.perf_counter() + SPIN_SECONDS
            while flags[finished] != step and time.perf_counter() < give_up:
                pass
            if flags[finished] != step:
                self._sleep_until_finished(step)
        else:
            self._receive(time.monotonic() + self._timeout_seconds)
        return self.reply() if flags[self._line + _HAS_MESSAGE] else None

    def request(self, name: str, *args: Any) -> None:
        """Sends a request for the method of Share of that name; `reply` waits for the answer."""
        self._send(cloudpickle.dumps((name, args)))

    def reply(self) -> Any:
        """Waits for the answer to a request.

        Raises:
            Exception: What the worker raised, its traceback as the cause.
            WorkerError: The worker died or gave no answer in time.
        """
        deadline = time.monotonic() + self._timeout_seconds
        message = _WAKE
        while message == _WAKE:
            message = self._receive(deadline)
        value, error, details = cloudpickle.loads(message)
        if error is not None:
            raise error from RuntimeError(f"in {self._name()}:\n{details}")
        return value

    def ask_to_close(self) -> None:
        """Tells the process to close its environments and end; `close` waits for it."""
        with contextlib.suppress(OSError):
            self._pipe.send_bytes(cloudpickle.dumps((_CLOSE, ())))

    def close(self) -> None:
        """Waits for the process to end, and if it does not, ends it."""
        self._process.join(_JOIN_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Ends the process at once. May be called twice."""
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._pipe.close()

    def _sleep_until_finished(self, step: int) -> None:
        deadline = time.monotonic() + self._timeout_seconds
        self._flags[self._line + _PARENT_SLEEPS] = 1
        while self._flags[self._line + _FINISHED] != step:
            # An answer follows its flag: where the flag is not up yet, what lies in the pipe is an old wake-up.
            if self._poll(_NAP_SECONDS, deadline) and self._flags[self._line + _FINISHED] != step:
                self._receive(deadline)
        self._flags[self._line + _PARENT_SLEEPS] = 0

    def _receive(self, deadline: float) -> bytes:
        while not self._poll(1.0, deadline):
            pass
        try:
            return self._pipe.recv_bytes()
        except (EOFError, OSError) as error:
            raise self._death() from error

    def _send(self, message: bytes) -> None:
        try:
            self._pipe.send_bytes(message)
        except OSError as error:
            raise self._death() from error

    def _poll(self, seconds: float, deadline: float) -> bool:
        try:
            if self._pipe.poll(seconds):
                return True
        except OSError as error:
            raise self._death() from error
        if time.monotonic() > deadline:
            raise WorkerError(
                f"{self._name()} gave no answer for {self._timeout_seconds:g} s (env_timeout_seconds): an environment "
                "hangs, or needs a longer timeout"
            )
        return False

    def _death(self) -> WorkerError:
        self._process.join(_JOIN_SECONDS)
        code = self._process.exitcode
        how = f"was killed by {signal.Signals(-code).name}" if code is not None and code < 0 else f"ended (exit {code})"
        return WorkerError(f"{self._name()} {how} without a word")

    def _name(self) -> str:
        first, last = self.rows[0], self.rows[-1]
        which = f"environment {first}" if first == last else f"environments {first} to {last}"
        return f"worker {self._number} ({which})"


def may_spin(num_workers: int) -> bool:
    """Whether waiting by spinning pays: only where every process, this one too, has a core to itself."""
    return _STORES_ARE_ORDERED and num_workers + 1 <= cores()


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start_context() -> ForkServerContext | SpawnContext:
    """How workers start: from a clean server process where there is one, so never as a copy of a threaded parent."""
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["a2c.envs.workers", "gymnasium"])
    return context


@contextlib.contextmanager
def _nothing_of_main_imported() -> Iterator[None]:
    """Keeps multiprocessing from importing the user's script in the worker.

    What the worker needs is pickled by value; without this, a script that calls us without an
    `if __name__ == "__main__"` guard would start itself again in every worker.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _run(
    pipe: Connection, make: bytes, seed: int, layout: Layout, buffer: Any, number: int, rows: range, spins: bool
) -> None:
    """The worker process."""
    # Ctrl-C reaches every process of the terminal; the parent decides what ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    flags, block = layout.map(buffer)
    with contextlib.suppress(EOFError, OSError):  # The parent is gone, and nobody is left to tell.
        try:
            share = Share(cloudpickle.loads(make), seed, rows, block.rows(slice(rows[0], rows[-1] + 1)))
        except Exception as error:  # noqa: BLE001 - whatever it is, the parent must hear of it
            pipe.send_bytes(_failure(error))
            return
        pipe.send_bytes(_answer(None))
        try:
            _serve(pipe, share, flags, (1 + number) * _LINE, spins)
        finally:
            with contextlib.suppress(Exception):
                share.close()


def _serve(pipe: Connection, share: Share, flags: memoryview, line: int, spins: bool) -> None:
    """Steps and answers requests, until asked to close."""
    done = flags[POSTED]
    while True:
        request = _next(pipe, flags, line, done, spins)
        if request is not None:
            name, args = cloudpickle.loads(request)
            if name == _CLOSE:
                return
            pipe.send_bytes(_attempt(getattr(share, name), args))
            continue
        done += 1
        message = b""
        try:
            infos = share.step()
            if flags[WANT_INFOS] and any(infos):
                message = _answer(infos)
        except Exception as error:  # noqa: BLE001 - whatever it is, the parent must hear of it
            message = _failure(error)
        flags[line + _HAS_MESSAGE] = bool(message)
        flags[line + _FINISHED] = done
        if not spins or flags[line + _PARENT_SLEEPS]:
            pipe.send_bytes(_WAKE)
        if message:
            pipe.send_bytes(message)


def _next(pipe: Connection, flags: memoryview, line: int, done: int, spins: bool) -> bytes | None:
    """Waits for a request, or for a step to be posted: None."""
    if not spins:
        return pipe.recv_bytes() or None  # Every step comes with a wake-up.
    give_up = time.perf_counter() + SPIN_SECONDS
    while time.perf_counter() < give_up:
        if flags[POSTED] != done:
            return None
    flags[line + _WORKER_SLEEPS] = 1
    try:
        while flags[POSTED] == done:
            if pipe.poll(_NAP_SECONDS):
                message = pipe.recv_bytes()
                if message != _WAKE:
                    return message
        return None
    finally:
        flags[line + _WORKER_SLEEPS] = 0


def _attempt(method: Callable[..., Any], args: tuple[Any, ...]) -> bytes:
    try:
        return _answer(method(*args))
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent must hear of it
        return _failure(error)


def _answer(value: Any) -> bytes:
    return bytes(cloudpickle.dumps((value, None, "")))


def _failure(error: Exception) -> bytes:
    """The error as a message; one that does not survive pickling becomes a RuntimeError with its text."""
    details = "".join(traceback.format_exception(error))
    try:
        message = bytes(cloudpickle.dumps((None, error, details)))
        cloudpickle.loads(message)
    except Exception:  # noqa: BLE001 - a user's exception may fail to pickle in any way
        message = bytes(cloudpickle.dumps((None, RuntimeError(f"{type(error).__name__}: {error}"), details)))
    return message
