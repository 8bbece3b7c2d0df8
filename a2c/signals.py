"""Ctrl-C, SIGTERM and SIGHUP: the first signal asks the loop to end, a second one exits at once."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Delays a Ctrl-C until the end of the block.

    Importing a large extension takes a second; interrupted in the middle, it fails with errors that explain nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    previous = signal.signal(signal.SIGINT, lambda number, frame: received.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
    if received:
        raise KeyboardInterrupt


@contextlib.contextmanager
def interrupts_remembered() -> Iterator[None]:
    """Raises a Ctrl-C when it comes, and again at the end of the block if it was lost.

    It is lost in callbacks from machine code, which compilers and loaders make: Python prints an exception there and
    drops it. While entered, it does not print a KeyboardInterrupt either.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    def forgotten(raised: sys.UnraisableHookArgs) -> None:
        if raised.exc_type is not KeyboardInterrupt:
            hook(raised)

    previous, hook = signal.signal(signal.SIGINT, handle), sys.unraisablehook
    sys.unraisablehook = forgotten
    try:
        yield
    except Exception:
        if received:  # The error is a consequence of the Ctrl-C.
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGINT, previous)
        sys.unraisablehook = hook
    if received:
        raise KeyboardInterrupt


class Stopped(Exception):  # noqa: N818 - a request, not an error
    """A signal asked the run to end."""


class _Exit(BaseException):
    """A second signal ends the process. Not a SystemExit: an environment may raise one, and that is its error."""


class _Interrupted(BaseException):
    """Another thread interrupts this one. Not an Exception, which would count as the environment's error."""


def pass_on(number: int, saved_in: str) -> None:
    """Gives a signal the effect that it would have had without us, now that everything is saved.

    Raises:
        KeyboardInterrupt: It was a Ctrl-C.
        SystemExit: It would have killed the process; as an exception, it lets `finally` blocks run.
    """
    handler = signal.getsignal(number)
    if number == signal.SIGINT and handler is signal.default_int_handler:
        raise KeyboardInterrupt(f"the run is saved in {saved_in}")
    if callable(handler):
        handler(number, None)
    elif handler is signal.SIG_DFL:
        raise SystemExit(128 + number)


class StopSignals:
    """While entered, records the first SIGINT, SIGTERM or SIGHUP; a second one leaves the block as a SystemExit.

    Python can set handlers in the main thread only; in other threads this does nothing.

    Attributes:
        received: The first signal's number; 0 if there was none.
    """

    def __init__(self) -> None:
        self.received = 0
        self._previous: dict[int, Any] = {}
        self._thread = threading.get_ident()
        self._interruption: Exception | None = None

    def interrupt(self, error: Exception) -> None:
        """Raises an error in the thread that created this, from another thread: an environment hangs there.

        It does not reach code that never returns to Python.
        """
        self._interruption = error
        if self._previous:  # The main thread: a signal wakes it even out of a system call.
            signal.pthread_kill(self._thread, signal.SIGINT)
        else:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), ctypes.py_object(_Interrupted))

    def check(self) -> None:
        """To be called wherever the run may end.

        Raises:
            Stopped: A signal was received.
        """
        if self.received:
            raise Stopped

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
                is_left = number not in (signal.SIGINT, signal.SIGTERM) and signal.getsignal(number) is signal.SIG_IGN
                # nohup ignores SIGHUP, and that is respected. An ignored SIGINT is not: a shell ignores it for all
                # background processes.
                if not is_left:
                    self._previous.setdefault(number, signal.signal(number, self._handle))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if isinstance(error, _Interrupted) and self._interruption is not None:
            raise self._interruption from None
        if isinstance(error, _Exit):
            raise SystemExit(*error.args) from None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._interruption is not None:
            raise _Interrupted
        if self.received:
            raise _Exit(128 + number)
        self.received = number
