"""Runs trials, in one process or several side by side, until there are enough or the time is up."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from a2c.config import Config
from a2c.errors import NumbersError, UserError
from a2c.machine import started
from a2c.signals import Stopped, StopSignals
from a2c.tuning.study import Asked, Study, Trial
from a2c.tuning.trial import Look, looks, score_of

_POLL_SECONDS = 0.2
_PATIENCE_SECONDS = 10.0
"""How long a process may take to end after a signal, which it heeds between updates and between steps."""


class Budget(NamedTuple):
    """When to stop the search."""

    trials: int | None
    """How many trials the study shall have; None: no limit."""
    begun: float
    """When it began, in seconds since the epoch."""
    minutes: float | None
    """About how long everything may take, the runs on unseen seeds included; None: no limit."""
    unseen_runs: int
    """How many runs on unseen seeds follow, each as long as one seed of a trial."""
    jobs: int
    """How many processes run trials."""

    def until(self, trials: list[Trial]) -> float | None:
        """When to stop, in seconds since the epoch: leaves time for the runs that follow, at most half; None: never."""
        if self.minutes is None:
            return None
        each = max((one.seconds_each for one in trials if one.value is not None), default=0.0)
        reserved = self.unseen_runs * each / self.jobs
        return self.begun + 60 * self.minutes - min(30 * self.minutes, reserved)


Measure = Callable[[Config, Sequence[int], int, StopSignals], Generator[Look, None, None]]
"""Trains and measures a trial, as `looks` does in this process."""


def made(study: Study, budget: Budget, stop: StopSignals, measure: Measure = looks) -> Generator[Trial, None, None]:
    """Runs trials; yields each as it progresses and when it ends. The default is never cut short for lack of time.

    Args:
        study: The study.
        budget: When to end.
        stop: Ends it, too.
        measure: Trains and measures a trial, in this process or elsewhere.

    Raises:
        Stopped: A signal ended the search. The trial under way is repeated when the study goes on.
        UserError: The default settings cannot be trained with, or the environment gave numbers that are not finite.
        EnvError: The environment raised.
        WorkerError: Workers died or hung, again and again.
    """
    while True:
        stop.check()
        until = budget.until(study.trials())
        has_default = any(one.is_default and one.state in ("complete", "pruned") for one in study.trials())
        if until is not None and has_default and time.time() >= until:
            return
        following = study.next_trial(budget.trials)
        if following is None:
            return
        yield from _made(study, *following, stop, until, measure)


def _made(
    study: Study, trial: Any, settings: dict[str, Any], stop: StopSignals, until: float | None, measure: Measure
) -> Iterator[Trial]:
    """Runs one trial; yields it as it progresses and, unless the time was up before, when it ends."""
    begun = time.perf_counter()
    is_default = not settings
    value, why, is_cut = None, "", False
    try:
        config = dataclasses.replace(study.asked.config, **settings)
        with contextlib.closing(measure(config, study.asked.seeds, study.asked.episodes, stop)) as measured:
            for look in measured:
                goes_on = study.note(trial, look)
                if look.is_last:
                    value = look.score
                elif not goes_on:
                    break
                elif until is not None and time.time() >= until and not is_default:
                    is_cut = True
                    break
                yield study.known(trial)
        if value is not None and study.asked.num_more and study.would_be_best(trial, value):
            returns = look.returns + _last(config, study.asked, stop, measure).returns
            study.note_confirmed(trial, returns)
            value = score_of(returns)
    except (
        UserError,
        MemoryError,
    ) as error:  # Training diverged, or the settings contradict each other or are too large.
        why = str(error) or "there is not enough memory for it"
        is_to_blame = error.env_index is None if isinstance(error, NumbersError) else not is_default
        if not is_to_blame:  # The fault lies with the environment, or with what all trials share.
            study.cut_short(trial, why)
            raise
        value = None
    except BaseException as error:
        if isinstance(error, Stopped | KeyboardInterrupt):
            why = "a signal ended it"
        else:
            why = "the search ended" if isinstance(error, GeneratorExit) else f"{type(error).__name__}: {error}"
        study.cut_short(trial, why)
        raise
    if is_cut:
        study.cut_short(trial, "the time was up")
    else:
        yield study.end(trial, value, time.perf_counter() - begun, why)


def _last(config: Config, asked: Asked, stop: StopSignals, measure: Measure) -> Look:
    """The last look of the further seeds."""
    with contextlib.closing(measure(config, asked.more_seeds, asked.episodes, stop)) as measured:
        *_, last = measured
    return last


class Helping(Protocol):
    """Others that make trials of the same study at the same time."""

    def trials(self) -> Iterator[Trial]:
        """Yields the trials that ended since the last call, or raises an error with which one of the others ended."""
        ...

    def wait(self, stop: StopSignals) -> Iterator[Trial]:
        """Yields the remaining trials as they end, until all others have ended."""
        ...


class Helpers:
    """Other processes that run trials of the same study; leaving the context ends them."""

    def __init__(self, path: Path, asked: Asked, budget: Budget) -> None:
        """Starts `budget.jobs` - 1 processes."""
        context = multiprocessing.get_context("spawn")
        self._processes: list[tuple[Any, Any]] = []
        for _ in range(budget.jobs - 1):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_help, args=(path, asked, budget, theirs, os.getpid()))
            process.start()
            theirs.close()
            self._processes.append((process, ours))

    def trials(self) -> Iterator[Trial]:
        """Yields the trials that ended since the last call.

        Raises:
            UserError, EnvError, WorkerError: One of the processes ended with it.
        """
        for process, pipe in self._processes:
            with contextlib.suppress(EOFError):
                while pipe.poll():
                    received = pipe.recv()
                    if isinstance(received, Exception):
                        raise received
                    yield received
            if process.exitcode not in (0, None):
                raise UserError(
                    f"a process that ran trials was killed (exit code {process.exitcode}); run the same command again "
                    "to go on, with fewer --jobs if memory is short"
                )

    def wait(self, stop: StopSignals) -> Iterator[Trial]:
        """Yields the remaining trials as they end, until all processes have ended.

        Raises:
            Stopped: A signal asked to stop.
            UserError, EnvError, WorkerError: One of the processes ended with it.
        """
        while any(process.is_alive() for process, _ in self._processes):
            stop.check()
            yield from self.trials()
            time.sleep(_POLL_SECONDS)
        yield from self.trials()

    def __enter__(self) -> Helpers:
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the processes that are still alive: by a signal, then a second one, then by force."""
        for process, _ in self._processes:
            if process.is_alive():
                process.terminate()
        for process, pipe in self._processes:
            process.join(_PATIENCE_SECONDS)
            if process.is_alive():
                process.terminate()  # A second SIGTERM ends a process at once.
                process.join(_PATIENCE_SECONDS)
            if process.is_alive():
                process.kill()
            process.join()
            pipe.close()


def _help(path: Path, asked: Asked, budget: Budget, pipe: Connection, parent: int) -> None:
    """The main function of a helper process."""
    if hasattr(os, "setsid"):
        os.setsid()  # So that Ctrl-C reaches only the parent, which then ends this process.
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(1):
            if os.getppid() != parent:
                os.kill(os.getpid(), signal.SIGTERM)
                return

    started(threading.Thread(target=watch, daemon=True, name="a2c-parent"))
    try:
        with StopSignals() as stop:
            study = Study(path, asked)
            try:
                with contextlib.closing(made(study, budget, stop)) as trials:
                    for trial in trials:
                        if trial.state != "running":
                            pipe.send(trial)
            finally:
                study.leave()
    except Stopped:
        pass
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent reports it
        with contextlib.suppress(OSError):
            # A NumbersError holds a whole rollout, which the parent does not need.
            pipe.send(UserError(str(error)) if isinstance(error, NumbersError) else error)
    finally:
        ended.set()
        pipe.close()
