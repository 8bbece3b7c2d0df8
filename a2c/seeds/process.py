"""A process that trains seeds, or measures trials, one after another: its own side; `child.py` is the parent's.

It reads orders from standard input, and writes messages; each is a line of JSON with one key. Orders:

    {"train": {...}}                        a seed to train, a `Job`
    {"measure": {...}}                      a trial of `a2c tune` to measure, a `Measuring`; "goes_on" follows each look
    {"goes_on": true}                       whether the trial goes on

Messages:

    {"begun": {"title", "place", "path"}}   a run begins, or goes on
    {"standing": {...}}                     how far it is, a few times a second
    {"line": "..."}  {"progress": "..."}    a line for the user, as in `Display`
    {"warning": "..."}                      a warning
    {"ended": "path"}                       the run ended, or a signal stopped it; summary.json says which
    {"look": {...}}                         a measurement of a trial
    {"failed": {"sentence", "code", ...}}   an error ended it; also its kind, and the environment if one is to blame

What environments print to standard output is redirected to standard error.
"""

from __future__ import annotations

import base64
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
from a2c.errors import REPORTED, NumbersError, exit_of, plain
from a2c.imports import importing
from a2c.run.standing import Standing
from a2c.screen import Begun, ticking
from a2c.seeds import one
from a2c.seeds.one import Job, Measuring
from a2c.signals import Stopped, StopSignals

_STANDING_SECONDS = 0.25
_MOST_STATE_BYTES = 1 << 26
"""Larger states of a trial are not sent: if it is lost, it begins anew."""


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

    def progress(self, text: str) -> None:
        """Sends the line."""
        self.send("progress", text)

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
    orders = _Orders()
    try:
        while (order := orders.next()) is not None:
            with _failures_sent(relay):
                match order:
                    case {"train": job}:
                        is_stopped = _train(Job.from_json(job), relay)
                    case {"measure": trial}:
                        is_stopped = _measure(Measuring.from_json(trial), relay, orders)
                    case _:  # What became of a trial that has failed.
                        is_stopped = False
                if is_stopped:
                    break
    except KeyboardInterrupt:
        os._exit(130)


@contextlib.contextmanager
def _failures_sent(relay: Relay) -> Iterator[None]:
    """Sends the errors that the command line reports, instead of raising them."""
    try:
        yield
    except REPORTED as error:
        sentence, code = exit_of(error)
        env_index = error.env_index if isinstance(error, NumbersError) else None
        kind = type(error).__name__
        relay.send("failed", {"sentence": sentence, "code": code, "kind": kind, "env_index": env_index})


def _train(job: Job, relay: Relay) -> bool:
    """Trains a seed; returns whether a signal stopped it."""
    run = one.train(job, relay)
    sys.stdout.flush()
    sys.stderr.flush()
    relay.send("ended", str(run.path))
    return run.stopped_by is not None


def _measure(trial: Measuring, relay: Relay, orders: _Orders) -> bool:
    """Measures a trial as long as the parent says so; returns whether a signal stopped it."""
    with importing():
        from a2c.tuning.trial import Saved, looks  # Here: only tuning needs it.
    saved = Saved(trial.number, [base64.b64decode(state) for state in trial.states])
    with StopSignals() as stop:
        try:
            with contextlib.closing(looks(trial.placed(), trial.seeds, trial.episodes, stop, saved)) as measured:
                for look in measured:
                    states = look.states if sum(map(len, look.states)) <= _MOST_STATE_BYTES else ()
                    sent = {**look._asdict(), "states": [base64.b64encode(state).decode() for state in states]}
                    relay.send("look", sent)
                    if orders.next() != {"goes_on": True}:
                        break
        except Stopped:
            return True
    return False


def _standard_output_apart() -> TextIO:
    """A file for messages on standard output; everything else that is printed goes to standard error."""
    file = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return file


class _Orders:
    """The parent's orders, until it closes the pipe.

    A thread reads them: if the pipe ends while one is carried out, the parent is gone, and this process ends, too.
    """

    def __init__(self) -> None:
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._is_busy = threading.Event()
        threading.Thread(target=self._read, daemon=True, name="a2c-orders").start()

    def next(self) -> Any:
        """Waits for the next order; None: there are no more."""
        self._is_busy.clear()
        line = self._lines.get()
        if line is None:
            return None
        self._is_busy.set()
        return json.loads(line)

    def _read(self) -> None:
        for line in sys.stdin:
            self._lines.put(line)
        if self._is_busy.is_set():
            os._exit(1)
        self._lines.put(None)
