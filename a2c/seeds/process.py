"""A process that trains seeds, one after another: the process's own side; `child.py` is the parent's.

It reads jobs from standard input, a line of JSON each, and writes messages, each a line of JSON with one key:

    {"begun": {"title", "place", "path"}}   a run begins, or goes on
    {"standing": {...}}                     its progress, a few times a second
    {"line": "..."}  {"told": "..."}        a line for the user, as in `Display`
    {"warning": "..."}                      a warning
    {"ended": "path"}                       the run ended, or a signal stopped it; summary.json says which
    {"failed": {"sentence", "code"}}        an error ended it

What environments print to standard output is redirected to standard error.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from a2c import machine
from a2c.errors import REPORTED, exit_of, plain
from a2c.run.standing import Standing
from a2c.screen import Begun, ticking
from a2c.seeds import one
from a2c.seeds.one import Job

_STANDING_SECONDS = 0.25


class Relay:
    """A `Display` that sends everything to the parent."""

    def __init__(self, file: TextIO) -> None:
        """Writes messages to this file."""
        self._file, self._lock, self._next = file, threading.Lock(), 0.0

    def send(self, kind: str, value: Any) -> None:
        """Writes a message. If that raises, the parent is gone, and this process ends."""
        with self._lock:
            try:
                self._file.write(json.dumps({kind: value}) + "\n")
                self._file.flush()
            except (OSError, ValueError):
                os._exit(1)

    def line(self, text: str) -> None:
        """Sends the line."""
        self.send("line", text)

    def told(self, text: str) -> None:
        """Sends the line."""
        self.send("told", text)

    @contextlib.contextmanager
    def shown(self, begun: Begun, standing: Callable[[], Standing]) -> Iterator[None]:
        """Sends that a run begins, and its progress while entered."""
        self.send("begun", {"title": begun.title, "place": begun.place, "path": str(begun.path)})
        with ticking(lambda: self._stand(standing)):
            yield
        self.send("standing", standing().to_json())

    def _stand(self, standing: Callable[[], Standing]) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _STANDING_SECONDS
            self.send("standing", standing().to_json())

    def close(self) -> None:
        """Nothing to close."""


def main(cores: int) -> None:
    """The main function of the process, which may use so many cores."""
    relay = Relay(_standard_output_apart())
    machine.take_share(cores)
    warnings.showwarning = lambda message, *_: relay.send("warning", plain(str(message)))
    try:
        for job in _jobs():
            if not _train(job, relay):
                break
    except KeyboardInterrupt:
        os._exit(130)


def _train(job: Job, relay: Relay) -> bool:
    """Trains a seed; returns whether the next one may begin."""
    try:
        run = one.train(job, relay)
    except REPORTED as error:
        sentence, code = exit_of(error)
        relay.send("failed", {"sentence": sentence, "code": code})
        return True
    sys.stdout.flush()
    sys.stderr.flush()
    relay.send("ended", str(run.path))
    return run.stopped_by is None


def _standard_output_apart() -> TextIO:
    """A file for messages on standard output; everything else that is printed goes to standard error."""
    file = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return file


def _jobs() -> Iterator[Job]:
    """The parent's jobs, until it closes the pipe.

    A thread reads them: if the pipe ends while a seed is trained, the parent is gone, and this process ends, too.
    """
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    is_training = threading.Event()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        if is_training.is_set():
            os._exit(1)
        lines.put(None)

    threading.Thread(target=read, daemon=True, name="a2c-jobs").start()
    while (line := lines.get()) is not None:
        is_training.set()
        yield Job.from_json(json.loads(line))
        is_training.clear()
