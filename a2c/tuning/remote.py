"""Trials on a Ray cluster: each is measured as a whole in an actor, while the study and its choices stay here."""

from __future__ import annotations

import contextlib
import queue
import signal
import sys
import threading
import time
import warnings
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from a2c.config import Config
from a2c.errors import NumbersError, UserError, WorkerError
from a2c.seeds.child import Message, in_words
from a2c.seeds.one import Measuring
from a2c.seeds.remote import OnCluster, RemoteChild
from a2c.signals import Stopped, StopSignals
from a2c.tuning.search import Budget, made
from a2c.tuning.study import Asked, Study, Trial
from a2c.tuning.trial import LOOKS, Look

_WAIT_SECONDS = 0.2
_MOST_LOSSES = 3
"""After so many lost actors, a trial is given up, and the study with it."""


class Actors:
    """The actors that measure trials: how many there are, and whether there is room for one more."""

    def __init__(self, places: OnCluster) -> None:
        """There are none yet; they will be started there."""
        self._places, self._lock, self._living = places, threading.Lock(), 0

    def started(self, messages: queue.SimpleQueue[Message], stop: StopSignals) -> RemoteChild:
        """Starts one as soon as there is room.

        Raises:
            Stopped: A signal, or the end of the search, came first.
        """
        while True:
            stop.check()
            with self._lock:
                if self._places.has_room(self._living):
                    child = self._places.start(messages, self._living)
                    self._living += 1
                    return child
            time.sleep(_WAIT_SECONDS)

    def ended(self, child: RemoteChild) -> None:
        """Ends one."""
        child.kill()
        child.close()
        with self._lock:
            self._living -= 1


class Measurer:
    """Measures trials in an actor, one after another, as `a2c.tuning.trial.looks` does in this process."""

    def __init__(self, actors: Actors) -> None:
        """Has no actor yet."""
        self._actors, self._messages = actors, queue.SimpleQueue[Message]()
        self._child: RemoteChild | None = None

    def prepare(self, stop: StopSignals) -> None:
        """Starts the actor, if there is none.

        Raises:
            Stopped: A signal, or the end of the search, came first.
        """
        if self._child is None:
            self._child = self._actors.started(self._messages, stop)

    def looks(
        self, config: Config, seeds: Sequence[int], episodes: int, stop: StopSignals
    ) -> Generator[Look, None, None]:
        """The measurements of a trial, to the same bits as in this process; arguments and errors as of `looks` there.

        If its actor is lost, it goes on in another from its last look, and comes to the same numbers.
        """
        trial, seen, losses = Measuring(config, seeds, episodes), 0, 0
        while True:
            try:
                with contextlib.closing(self._looks(trial, stop)) as measured:
                    for look, states in measured:
                        if states:
                            trial = trial._replace(number=look.number, states=states)
                        if look.number > seen:
                            seen = look.number
                            yield look
                return
            except _LostError as error:
                losses += 1
                self.close()
                if losses == _MOST_LOSSES:
                    raise WorkerError(f"{error}; {losses} actors were lost in this trial") from error
                where = f"goes on in another after look {trial.number} of {LOOKS}" if trial.number else "begins anew"
                _say(f"{error}; the trial {where}")

    def _looks(self, trial: Measuring, stop: StopSignals) -> Generator[tuple[Look, Sequence[str]], None, None]:
        """The looks of a trial in one actor, each with states as in `Measuring`."""
        self.prepare(stop)
        child, is_over = self._child, False
        assert child is not None  # noqa: S101 - `prepare` made it
        try:
            child.measure(trial)
            for look, states in self._heard(stop):
                is_over = look.number == LOOKS
                yield look, states
                child.go_on(not is_over)
                if is_over:
                    return
        except GeneratorExit:  # Given up after a look.
            child.go_on(False)
            raise
        except (UserError, MemoryError):  # Of the trial; its process measures the next one.
            raise
        except BaseException:
            self.close()
            raise

    def _heard(self, stop: StopSignals) -> Iterator[tuple[Look, Sequence[str]]]:
        """The looks that the actor reports.

        Raises:
            Stopped: A signal asked to stop.
            _LostError: The actor is lost.
            UserError, MemoryError, WorkerError: As it reports.
        """
        while True:
            stop.check()
            try:
                message = self._messages.get(timeout=_WAIT_SECONDS)
            except queue.Empty:
                continue
            if message.child is not self._child:  # The last words of one that was lost.
                continue
            match message.kind, message.value:
                case "look", {"number": int(number), "steps": int(steps), "returns": returns, "states": states}:
                    yield Look(number, steps, returns), states
                case "failed", dict(failed):
                    raise _error(failed)
                case "warning", str(text):
                    warnings.warn(text, stacklevel=2)
                case "text", str(text) if text.strip():
                    _say(text)
                case "lost", str(why):
                    raise _LostError(why)
                case "end", int(code):
                    raise WorkerError(f"a process that measured a trial ended {in_words(code)}")

    def close(self) -> None:
        """Ends the actor."""
        child, self._child = self._child, None
        if child is not None:
            self._actors.ended(child)


class Helpers:
    """Threads that have trials of the same study measured, each in an actor; leaving the context ends them."""

    def __init__(self, path: Path, asked: Asked, budget: Budget, actors: Actors) -> None:
        """Starts `budget.jobs` - 1 threads."""
        self._stop, self._is_enough = StopSignals(), StopSignals()
        self._ended: queue.SimpleQueue[Trial | Exception] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._help, args=(path, asked, budget, actors), daemon=True, name="a2c-trials")
            for _ in range(budget.jobs - 1)
        ]
        for thread in self._threads:
            thread.start()

    def trials(self) -> Iterator[Trial]:
        """Yields the trials that ended since the last call.

        Raises:
            Exception: A thread ended with it.
        """
        with contextlib.suppress(queue.Empty):
            while True:
                trial_or_error = self._ended.get_nowait()
                if isinstance(trial_or_error, Exception):
                    raise trial_or_error
                yield trial_or_error

    def wait(self, stop: StopSignals) -> Iterator[Trial]:
        """Yields the remaining trials as they end, until all threads have ended; those without an actor end at once.

        Raises:
            Stopped: A signal asked to stop.
            Exception: A thread ended with it.
        """
        self._is_enough.received = signal.SIGTERM
        while any(thread.is_alive() for thread in self._threads):
            stop.check()
            yield from self.trials()
            time.sleep(_WAIT_SECONDS)
        yield from self.trials()

    def __enter__(self) -> Helpers:
        return self

    def __exit__(self, *_: object) -> None:
        """Stops the threads, and their trials."""
        self._is_enough.received = self._stop.received = signal.SIGTERM
        for thread in self._threads:
            thread.join()

    def _help(self, path: Path, asked: Asked, budget: Budget, actors: Actors) -> None:
        """The main function of a thread."""
        with contextlib.closing(Measurer(actors)) as measurer:
            try:
                measurer.prepare(self._is_enough)  # Only then: a trial must not wait for an actor.
                study = Study(path, asked)
                try:
                    with contextlib.closing(made(study, budget, self._stop, measurer.looks)) as trials:
                        for trial in trials:
                            if trial.state != "running":
                                self._ended.put(trial)
                finally:
                    study.leave()
            except Stopped:
                pass
            except Exception as error:  # noqa: BLE001 - whatever it is, the main thread reports it
                self._ended.put(error)


class _LostError(Exception):
    """An actor is lost."""


def _error(failed: dict[str, Any]) -> Exception:
    """The error that a process reported, with what `a2c.tuning.search` asks of it."""
    sentence, kind = failed["sentence"], failed["kind"]
    if kind == NumbersError.__name__:
        return NumbersError(sentence, {}, failed["env_index"])
    if kind == MemoryError.__name__:
        return MemoryError(sentence)
    return UserError(sentence) if failed["code"] == 2 else WorkerError(sentence)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
