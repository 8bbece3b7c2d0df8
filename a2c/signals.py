"""Ctrl-C and SIGTERM: the first asks the loop to end, the second ends it."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Stopped(Exception):  # noqa: N818 - a request, not an error
    """A signal asked the run to end."""


class StopSignals:
    """While entered, remembers the first SIGINT or SIGTERM; a second one exits at once.

    Handlers can be set in the main thread only; elsewhere this never asks to stop.

    Attributes:
        received: The signal's number; 0: none.
    """

    def __init__(self) -> None:
        self.received = 0
        self._previous: dict[int, Any] = {}

    def check(self) -> None:
        """Called wherever the run may end.

        Raises:
            Stopped: A signal asked for it.
        """
        if self.received:
            raise Stopped

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            raise SystemExit(128 + number)
        self.received = number
