"""Environments in worker processes: the parent's side. `memory.py` describes how both sides communicate."""

from __future__ import annotations

import contextlib
import multiprocessing
import platform
import shutil
import signal
import sys
import threading
import time
import types
import warnings
from collections.abc import Iterator
from multiprocessing import forkserver, resource_tracker, util
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path
from typing import Any

import cloudpickle

from a2c.envs.leftovers import claim_temporary_folder
from a2c.envs.local import Info
from a2c.envs.memory import (
    BEATS,
    CLOSE,
    FINISHED,
    HAS_MESSAGE,
    LINE,
    NAP_SECONDS,
    PARENT_SLEEPS,
    POSTED,
    ROW,
    SPIN_SECONDS,
    WAKE,
    WORKER_SLEEPS,
    Layout,
    yield_core,
)
from a2c.envs.worker_process import run
from a2c.errors import WorkerError
from a2c.machine import cores, started

_JOIN_SECONDS = 2.0
_SLOW_START_SECONDS = 15.0
_ROOM_TO_SPARE = 1 << 20

# x86 makes stores visible in order, so a number never appears before the data it announces. Elsewhere it may.
_STORES_ARE_ORDERED = platform.machine().lower() in ("x86_64", "amd64")


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
        """Starts the process; its first `reply` comes when its environments are constructed.

        Args:
            number: Which worker, from 0.
            make: The constructor of an environment and the `Feedback`, cloudpickled.
            seed: The run's seed.
            layout: Where flags and arrays lie in the buffer.
            buffer: The shared bytes.
            flags: The flags in them.
            rows: Indices of the worker's environments.
            spins: Whether both sides wait by spinning first.
            timeout_seconds: How long it may give neither an answer nor a sign of progress.
        """
        self.rows = rows
        self._number = number
        self._flags = flags
        self._line = (1 + number) * LINE
        self._spins = spins
        self._timeout_seconds = timeout_seconds
        self._silent_seconds = 0.0  # since its last sign of life
        self._beats = 0
        flags[self._line + ROW] = 0
        flags[self._line + HAS_MESSAGE] = flags[self._line + WORKER_SLEEPS] = flags[self._line + PARENT_SLEEPS] = 0
        flags[self._line + FINISHED] = flags[POSTED]  # The steps posted so far are not for this worker.
        context = start_context()
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=run,
            args=(theirs, make, seed, layout, buffer, number, rows, spins),
            name=f"a2c-worker-{number}",
            # Daemonic processes may not start processes, as some environments do. `Pool` ends this one, at the exit of
            # our process at the latest; and it ends itself when our process is gone.
            daemon=False,
        )
        with _starting_cleanly(), _warning_if_slow():
            self._process.start()
        theirs.close()

    @property
    def at(self) -> int:
        """The environment that is, or was last, at work."""
        return self.rows[self._flags[self._line + ROW]]

    def ring(self) -> None:
        """Tells the worker that a step was posted. If it is dead, `wait` will notice."""
        if not self._spins or self._flags[self._line + WORKER_SLEEPS]:
            self.request(WAKE)

    def wait(self) -> list[Info] | None:
        """Waits until the worker has finished the step last posted.

        Returns:
            Its infos; None if they are not wanted or all empty.

        Raises:
            EnvError: An environment raised.
            WorkerError: The worker died or gave no answer in time.
        """
        flags, finished = self._flags, self._line + FINISHED
        step = flags[POSTED]
        self._silent_seconds = 0.0
        if self._spins:
            give_up = time.perf_counter() + SPIN_SECONDS
            while flags[finished] != step and time.perf_counter() < give_up:
                yield_core()
            if flags[finished] != step:
                self._sleep_until_finished(step)
        else:
            self._receive()
        return self.reply() if flags[self._line + HAS_MESSAGE] else None

    def request(self, message: bytes) -> None:
        """Sends a request, as `packed` makes it; `reply` waits for the answer."""
        with contextlib.suppress(OSError):  # `reply` will say why.
            self._pipe.send_bytes(message)

    def reply(self) -> Any:
        """Waits for the answer to a request.

        Raises:
            Exception: The worker raised it; its traceback is the cause.
            WorkerError: The worker died or gave no answer in time.
        """
        self._silent_seconds = 0.0
        message = WAKE
        while message == WAKE:
            message = self._receive()
        value, error, details = cloudpickle.loads(message)
        if error is not None:
            raise error from RuntimeError(f"in {self._name()}:\n{details}")
        return value

    def ask(self, message: bytes) -> Any:
        """`request` and `reply`."""
        self.request(message)
        return self.reply()

    def ask_to_close(self) -> None:
        """Tells the process to close its environments and end; `close` waits for it."""
        self.request(packed(CLOSE, ()))

    def close(self) -> None:
        """Waits for the process to end, and kills it if it does not."""
        self._process.join(_JOIN_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Kills the process. May be called twice."""
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._pipe.close()

    def _sleep_until_finished(self, step: int) -> None:
        self._flags[self._line + PARENT_SLEEPS] = 1
        try:
            while self._flags[self._line + FINISHED] != step:
                # An answer is sent after its flag is set: before that, the pipe can only hold an old wake-up.
                if self._poll(NAP_SECONDS) and self._flags[self._line + FINISHED] != step:
                    self._receive()
        finally:
            self._flags[self._line + PARENT_SLEEPS] = 0

    def _receive(self) -> bytes:
        while not self._poll(min(1.0, self._timeout_seconds / 4)):
            pass
        try:
            return self._pipe.recv_bytes()
        except (EOFError, OSError) as error:
            raise self._death() from error

    def _poll(self, seconds: float) -> bool:
        """Whether a message came within some seconds.

        Raises:
            WorkerError: The worker died, or has shown no sign of progress for too long.
        """
        start = time.monotonic()
        try:
            if self._pipe.poll(seconds):
                return True
        except OSError as error:
            raise self._death() from error
        # Count no more than the time we asked for: this process may have been stopped, and the worker with it.
        self._silent_seconds += min(time.monotonic() - start, seconds)
        beats = self._flags[self._line + BEATS]
        if beats != self._beats:
            self._beats, self._silent_seconds = beats, 0.0
        if self._silent_seconds > self._timeout_seconds:
            raise WorkerError(
                f"{self._name()} gave no answer for {self._timeout_seconds:g} s (env_timeout_seconds): environment "
                f"{self.at} hangs, or needs a longer timeout"
            )
        return False

    def _death(self) -> WorkerError:
        self._process.join(_JOIN_SECONDS)
        code = self._process.exitcode
        if code is not None and code < 0:
            known = {number.value: number.name for number in signal.Signals}
            how = f"was killed by {known.get(-code, f'signal {-code}')}"
        else:
            how = f"ended (exit {code})"
        return WorkerError(f"{self._name()} {how} without an error message")

    def _name(self) -> str:
        first, last = self.rows[0], self.rows[-1]
        which = f"environment {first}" if first == last else f"environments {first} to {last}"
        return f"worker {self._number} ({which})"


def packed(name: str, args: tuple[Any, ...]) -> bytes:
    """A request to call a method of the worker's Share."""
    return bytes(cloudpickle.dumps((name, args)))


def may_spin(num_workers: int) -> bool:
    """Whether spinning pays: only if every process, this one included, has a core to itself, and stores are ordered."""
    return _STORES_ARE_ORDERED and num_workers + 1 <= cores()


def start_context() -> ForkServerContext | SpawnContext:
    """How workers start: forked from a clean server process, or spawned; never as a copy of a threaded parent."""
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    claim_temporary_folder()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["a2c.envs.worker_process"])
    return context


@contextlib.contextmanager
def _warning_if_slow() -> Iterator[None]:
    """Warns if the start of a worker takes long: `start` waits for ever if the server that forks workers is stopped."""

    def tell() -> None:
        pid = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]  # not in the stubs
        warnings.warn(
            f"a worker has not started for {_SLOW_START_SECONDS:g} s; the process that forks workers ({pid}) may be "
            f"stopped: `kill -CONT {pid}` lets it go on",
            stacklevel=2,
        )

    timer = threading.Timer(_SLOW_START_SECONDS, tell)
    timer.daemon = True
    started(timer)
    try:
        yield
    finally:
        timer.cancel()


def room_for(num_bytes: int) -> bool:
    """Whether there is room to share so many bytes; writing to mapped memory without room would end us with SIGBUS."""
    if sys.platform == "win32":
        return True
    places = [Path("/dev/shm"), Path(util.get_temp_dir())]  # noqa: S108 - where Python looks for room
    return any(path.is_dir() and shutil.disk_usage(path).free > num_bytes + _ROOM_TO_SPARE for path in places)


@contextlib.contextmanager
def _starting_cleanly() -> Iterator[None]:
    """Shields processes started in the `with` block (a worker, the server that forks it) from two things.

    From importing the user's script: what a worker needs is pickled by value, and a script that calls us without an
    `if __name__ == "__main__"` guard would start itself again in every worker. And from Ctrl-C, which reaches every
    process of a terminal: a process that starts with SIGINT blocked cannot be interrupted before it has installed its
    handler. For the parent, the signal is only delayed until the end of the block.
    """
    unblocked = None
    if sys.platform != "win32":
        resource_tracker.ensure_running()  # Its start unblocks SIGINT, so it must not happen inside the block.
        unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        if unblocked is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
