"""Environments in worker processes: the parent's side. `memory.py` says how both sides talk."""

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

# Seeing the number before the data it announces is impossible on x86 (stores are seen in order), possible elsewhere.
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
        """Starts the process; its first `reply` comes when its environments stand.

        Args:
            number: Which worker, from 0.
            make: Cloudpickled constructor of an environment, and what the numbers of its reward count.
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
        self._line = (1 + number) * LINE
        self._spins = spins
        self._timeout_seconds = timeout_seconds
        self._silent_seconds = 0.0  # since its last sign of life
        self._beats = 0
        flags[self._line + ROW] = 0
        flags[self._line + HAS_MESSAGE] = flags[self._line + WORKER_SLEEPS] = flags[self._line + PARENT_SLEEPS] = 0
        flags[self._line + FINISHED] = flags[POSTED]  # What was posted so far is none of its business.
        context = start_context()
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=run,
            args=(theirs, make, seed, layout, buffer, number, rows, spins),
            name=f"a2c-worker-{number}",
            # Daemonic ones may have no children, which some environments have. Who ends them: `Pool`, at the exit of
            # this process at the latest, and they themselves when it is gone.
            daemon=False,
        )
        with _starting_cleanly(), _slow_start_told():
            self._process.start()
        theirs.close()

    @property
    def at(self) -> int:
        """The environment that it is, or was, at."""
        return self.rows[self._flags[self._line + ROW]]

    def ring(self) -> None:
        """Tells the worker that a step was posted. One that is dead is found out when its answer is waited for."""
        if not self._spins or self._flags[self._line + WORKER_SLEEPS]:
            self.request(WAKE)

    def wait(self) -> list[Info] | None:
        """Waits until the worker has finished the step last posted.

        Returns:
            Its infos, where they were wanted and there are any.

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
        with contextlib.suppress(OSError):  # Whoever waits for the answer finds out why.
            self._pipe.send_bytes(message)

    def reply(self) -> Any:
        """Waits for the answer to a request.

        Raises:
            Exception: What the worker raised, its traceback as the cause.
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
        self._flags[self._line + PARENT_SLEEPS] = 1
        try:
            while self._flags[self._line + FINISHED] != step:
                # An answer follows its flag: where the flag is not up yet, what lies in the pipe is an old wake-up.
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
            WorkerError: The worker died, or has shown no sign of life for too long.
        """
        start = time.monotonic()
        try:
            if self._pipe.poll(seconds):
                return True
        except OSError as error:
            raise self._death() from error
        # If more time went by than we asked for, this process was stopped, and the worker perhaps with it.
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
        return WorkerError(f"{self._name()} {how} without a word")

    def _name(self) -> str:
        first, last = self.rows[0], self.rows[-1]
        which = f"environment {first}" if first == last else f"environments {first} to {last}"
        return f"worker {self._number} ({which})"


def packed(name: str, args: tuple[Any, ...]) -> bytes:
    """A request for the method of Share of that name."""
    return bytes(cloudpickle.dumps((name, args)))


def may_spin(num_workers: int) -> bool:
    """Whether waiting by spinning pays: only where every process, this one too, has a core to itself."""
    return _STORES_ARE_ORDERED and num_workers + 1 <= cores()


def start_context() -> ForkServerContext | SpawnContext:
    """How workers start: from a clean server process where there is one, so never as a copy of a threaded parent."""
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    claim_temporary_folder()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["a2c.envs.worker_process"])
    return context


@contextlib.contextmanager
def _slow_start_told() -> Iterator[None]:
    """Warns where a start takes long: the server that forks workers may be stopped, and is waited for for ever."""

    def tell() -> None:
        pid = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]  # not in the stubs
        warnings.warn(
            f"a worker has not started for {_SLOW_START_SECONDS:g} s; the process that forks workers ({pid}) may be "
            "stopped: SIGCONT lets it go on, SIGKILL and another start replace it",
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
    """Whether memory of this size can be shared: what is mapped and finds no room ends the process with SIGBUS."""
    if sys.platform == "win32":
        return True
    places = [Path("/dev/shm"), Path(util.get_temp_dir())]  # noqa: S108 - where Python looks for room
    return any(path.is_dir() and shutil.disk_usage(path).free > num_bytes + _ROOM_TO_SPARE for path in places)


@contextlib.contextmanager
def _starting_cleanly() -> Iterator[None]:
    """Keeps what starts in the block (a worker, the server that forks it) from two things of the parent's.

    From importing the user's script: what a worker needs is pickled by value, and a script that calls us without an
    `if __name__ == "__main__"` guard would start itself again in every worker. And from Ctrl-C, which reaches every
    process of a terminal: a process that begins with SIGINT blocked has no moment in which it could be interrupted
    (the parent still is, during the block or after it).
    """
    unblocked = None
    if sys.platform != "win32":
        resource_tracker.ensure_running()  # Started later, inside the block, it would unblock the signal.
        unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        if unblocked is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
