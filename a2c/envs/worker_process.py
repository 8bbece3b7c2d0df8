"""A worker process: steps its share of the environments whenever the parent posts a step, and answers requests.

Every worker imports this module, so it must stay light: no Paddle, no Numba, no trainer.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from multiprocessing import forkserver, util
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cloudpickle

from a2c.envs.leftovers import remove_if_abandoned
from a2c.envs.local import Share
from a2c.envs.memory import (
    CLOSE,
    FINISHED,
    HAS_MESSAGE,
    LINE,
    NAP_SECONDS,
    PARENT_SLEEPS,
    POSTED,
    SPIN_SECONDS,
    WAKE,
    WANT_INFOS,
    WORKER_SLEEPS,
    Layout,
    yield_core,
)
from a2c.envs.seeding import seed_process
from a2c.errors import plain
from a2c.machine import started
from a2c.randomness import episode_seed

_PR_SET_PDEATHSIG = 1


def run(
    pipe: Connection, make: bytes, seed: int, layout: Layout, buffer: Any, number: int, rows: range, spins: bool
) -> None:
    """The main function of the process.

    Args:
        pipe: The connection to the parent.
        make: The constructor of an environment and the `Feedback`, cloudpickled.
        seed: The run's seed.
        layout: Where flags and arrays lie in the buffer.
        buffer: The shared bytes.
        number: Which worker this is, from 0.
        rows: Indices of its environments.
        spins: Whether both sides wait by spinning first.
    """
    # Ctrl-C, and the SIGTERM of a job system, reach every process of a group; the parent decides what ends. An empty
    # handler, not SIG_IGN, which programs started by an environment would inherit.
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, lambda *_: None)
    _leave_with_parent()
    as_usual = warnings.formatwarning
    warnings.formatwarning = lambda *args: plain(as_usual(*args))  # Gymnasium's logger colours its warnings.
    flags, block = layout.map(buffer)
    with contextlib.suppress(EOFError, OSError):  # The parent is gone, so there is nobody to report to.
        try:
            ours = flags[(1 + number) * LINE : (2 + number) * LINE]
            seed_process(episode_seed(seed, rows[0], -1))  # No episode has that number.
            constructor, feedback = cloudpickle.loads(make)
            block = block.rows(slice(rows[0], rows[-1] + 1))
            share = Share(constructor, seed, rows, block, ours, feedback=feedback)
        except Exception as error:  # noqa: BLE001 - whatever it is, the parent must learn of it
            pipe.send_bytes(_error_message(error))
            return
        pipe.send_bytes(_answer(None))
        try:
            _serve(pipe, share, flags, (1 + number) * LINE, spins)
        finally:
            with contextlib.suppress(Exception):
                share.close()


def _leave_with_parent() -> None:
    """Ends this process when the parent is gone, however that ended, and even if an environment hangs.

    A thread waits for the parent's end. If an environment hangs without releasing the GIL, the thread cannot run; then
    Linux kills this process together with the server that forked it, which ends with the parent.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError, TypeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            # The server lives as long as any process has this descriptor open; it has no public name.
            os.close(forkserver._forkserver._forkserver_alive_fd)  # type: ignore[attr-defined]  # not in the stubs

    # The parent's temporary folder, which it does not remove if it is killed.
    folder = Path(util.get_temp_dir()) if os.name == "posix" else None

    def watch() -> None:
        parent.join()
        if folder is not None:
            for _ in range(10):  # Its locks are released a moment after it ended.
                remove_if_abandoned(folder)
                time.sleep(0.01)
        os._exit(1)

    # If no thread can be started, the end of the pipe and, on Linux, the kernel still end this process.
    started(threading.Thread(target=watch, daemon=True, name="a2c-leave-with-parent"))


def _serve(pipe: Connection, share: Share, flags: memoryview, line: int, spins: bool) -> None:
    """Steps and answers requests, until asked to close."""
    done = flags[line + FINISHED]  # Not 0 if this worker replaces another.
    while True:
        request = _next(pipe, flags, line, done, spins)
        if request is not None:
            name, args = cloudpickle.loads(request)
            if name == CLOSE:
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
            message = _error_message(error)
        flags[line + HAS_MESSAGE] = bool(message)
        flags[line + FINISHED] = done
        if not spins or flags[line + PARENT_SLEEPS]:
            pipe.send_bytes(WAKE)
        if message:
            pipe.send_bytes(message)


def _next(pipe: Connection, flags: memoryview, line: int, done: int, spins: bool) -> bytes | None:
    """Waits for a request, which is returned, or for a posted step: None."""
    if not spins:
        return pipe.recv_bytes() or None  # WAKE, which is empty, announces a step.
    give_up = time.perf_counter() + SPIN_SECONDS
    while time.perf_counter() < give_up:
        if flags[POSTED] != done:
            return None
        yield_core()
    flags[line + WORKER_SLEEPS] = 1
    try:
        while flags[POSTED] == done:
            if pipe.poll(NAP_SECONDS):
                message = pipe.recv_bytes()
                if message != WAKE:
                    return message
        return None
    finally:
        flags[line + WORKER_SLEEPS] = 0


def _attempt(method: Callable[..., Any], args: tuple[Any, ...]) -> bytes:
    try:
        return _answer(method(*args))
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent must hear of it
        return _error_message(error)


def _answer(value: Any) -> bytes:
    return bytes(cloudpickle.dumps((value, None, "")))


def _error_message(error: Exception) -> bytes:
    """The error as a message; if it cannot be pickled, a RuntimeError with its text."""
    details = "".join(traceback.format_exception(error))
    try:
        message = bytes(cloudpickle.dumps((None, error, details)))
        cloudpickle.loads(message)
    except Exception:  # noqa: BLE001 - a user's exception may fail to pickle in any way
        message = bytes(cloudpickle.dumps((None, RuntimeError(f"{type(error).__name__}: {error}"), details)))
    return message
