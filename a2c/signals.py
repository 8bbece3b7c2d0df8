"""Ctrl-C, SIGTERM and SIGHUP: the first asks the loop to end, the second ends it."""

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
    """Holds a Ctrl-C back until the end of the block, where it is raised.

    Importing a large extension takes a second, and one that is interrupted in it fails in ways of its own.
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
    """Raises a Ctrl-C where it comes, and again at the end of the block if it was lost on the way.

    What is raised in a callback from machine code, as compilers and loaders make them, is forgotten there; without
    this, after it was printed.
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
        if received:  # What failed, failed because of it.
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
    """A second signal ends the process; not a SystemExit, which an environment may raise, and which is its error."""


class _Interrupted(BaseException):
    """Another thread ends what this one is at; no Exception, which would be taken for the environment's."""


def pass_on(number: int, saved_in: str) -> None:
    """Does with a signal what it would have done without us, now that everything is saved.

    Raises:
        KeyboardInterrupt: It was a Ctrl-C.
        SystemExit: It would have ended the process; so that `finally` is heard.
    """
    handler = signal.getsignal(number)
    if number == signal.SIGINT and handler is signal.default_int_handler:
        raise KeyboardInterrupt(f"the run is saved in {saved_in}")
    if callable(handler):
        handler(number, None)
    elif handler is signal.SIG_DFL:
        raise SystemExit(128 + number)


class StopSignals:
    """While entered, remembers the first SIGINT, SIGTERM or SIGHUP; a second one exits at once.

    It leaves the block as a SystemExit.

    Handlers can be set in the main thread only; elsewhere this never asks to stop.

    Attributes:
        received: The signal's number; 0: none.
    """

    def __init__(self) -> None:
        self.received = 0
        self._previous: dict[int, Any] = {}
        self._thread = threading.get_ident()
        self._interruption: Exception | None = None

    def interrupt(self, error: Exception) -> None:
        """Raises an error in the thread that made this, from another one, wherever that is: in a hanging environment.

        It leaves the block as it is. Code that never comes back to Python is not reached.
        """
        self._interruption = error
        if self._previous:  # The main thread: a signal wakes it out of system calls, too.
            signal.pthread_kill(self._thread, signal.SIGINT)
        else:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), ctypes.py_object(_Interrupted))

    def check(self) -> None:
        """Called wherever the run may end.

        Raises:
            Stopped: A signal asked for it.
        """
        if self.received:
            raise Stopped

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
                is_left = number not in (signal.SIGINT, signal.SIGTERM) and signal.getsignal(number) is signal.SIG_IGN
                if not is_left:  # As nohup asks for; a shell ignores Ctrl-C for all that it starts in the background.
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
