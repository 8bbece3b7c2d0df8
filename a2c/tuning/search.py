"""Trials one after another, by one process or several side by side, until there are enough or the time is up."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Generator, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from a2c.config import Config
from a2c.errors import NumbersError, UserError
from a2c.machine import started
from a2c.signals import Stopped, StopSignals
from a2c.tuning.study import Asked, Study, Trial
from a2c.tuning.trial import Look, looks, score_of

_POLL_SECONDS = 0.2
_PATIENCE_SECONDS = 10.0
"""For a process to come to the end of an update, or of an evaluation's step."""


class Budget(NamedTuple):
    """How much is tried."""

    trials: int | None
    """That the study has in the end; None: no matter."""
    begun: float
    """Seconds since the epoch."""
    minutes: float | None
    """That all of it takes, about, the runs on unseen seeds included; None: no matter."""
    unseen_runs: int
    """Those that follow, of the length of one seed of a trial."""
    jobs: int
    """Processes."""

    def until(self, trials: list[Trial]) -> float | None:
        """When to stop trying, in seconds since the epoch: so that the runs that follow fit; half is for trials."""
        if self.minutes is None:
            return None
        each = max((one.seconds_each for one in trials if one.value is not None), default=0.0)
        reserved = self.unseen_runs * each / self.jobs
        return self.begun + 60 * self.minutes - min(30 * self.minutes, reserved)


def made(study: Study, budget: Budget, stop: StopSignals) -> Generator[Trial, None, None]:
    """Makes trials, and gives each as it comes on and as it ends. The default is made to its end, whatever the time.

    Raises:
        Stopped: A signal asked for it. The trial under way is made again when the study goes on.
        UserError: The default cannot be trained with, or the environment gave what is not finite.
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
        yield from _made(study, *following, stop, until)


def _made(
    study: Study, trial: Any, settings: dict[str, Any], stop: StopSignals, until: float | None
) -> Iterator[Trial]:
    """Makes one trial, and gives it as it comes on; last as it ended, if it did before the time was up."""
    begun = time.perf_counter()
    is_default = not settings
    value, why, is_cut = None, "", False
    try:
        config = dataclasses.replace(study.asked.config, **settings)
        with contextlib.closing(looks(config, study.asked.seeds, study.asked.episodes, stop)) as measured:
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
            returns = look.returns + _last(config, study.asked, stop).returns
            study.note_confirmed(trial, returns)
            value = score_of(returns)
    except (UserError, MemoryError) as error:  # Numbers diverged, or settings that do not go together or are too large.
        why = str(error) or "there is not enough memory for it"
        is_to_blame = error.env_index is None if isinstance(error, NumbersError) else not is_default
        if not is_to_blame:  # But the environment is, or what all trials share.
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


def _last(config: Config, asked: Asked, stop: StopSignals) -> Look:
    """What the further seeds come to at their end."""
    with contextlib.closing(looks(config, asked.more_seeds, asked.episodes, stop)) as measured:
        *_, last = measured
    return last


class Helpers:
    """Other processes that make trials of the same study, for as long as this one wants them."""

    def __init__(self, path: Path, asked: Asked, budget: Budget) -> None:
        """Starts them: `budget.jobs` less this process."""
        context = multiprocessing.get_context("spawn")
        self._processes: list[tuple[Any, Any]] = []
        for _ in range(budget.jobs - 1):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_help, args=(path, asked, budget, theirs, os.getpid()))
            process.start()
            theirs.close()
            self._processes.append((process, ours))

    def trials(self) -> Iterator[Trial]:
        """Those that ended since the last time.

        Raises:
            UserError, EnvError, WorkerError: What ended one of the processes.
        """
        for process, pipe in self._processes:
            with contextlib.suppress(EOFError):
                while pipe.poll():
                    told = pipe.recv()
                    if isinstance(told, Exception):
                        raise told
                    yield told
            if process.exitcode not in (0, None):
                raise UserError(
                    f"a process that made trials was ended (exit code {process.exitcode}); the same command goes on, "
                    "with fewer --jobs where memory is short"
                )

    def wait(self, stop: StopSignals) -> Iterator[Trial]:
        """Gives the trials that still come, until all have ended.

        Raises:
            Stopped: A signal asked for it.
            UserError, EnvError, WorkerError: What ended one of the processes.
        """
        while any(process.is_alive() for process, _ in self._processes):
            stop.check()
            yield from self.trials()
            time.sleep(_POLL_SECONDS)
        yield from self.trials()

    def __enter__(self) -> Helpers:
        return self

    def __exit__(self, *_: object) -> None:
        """Ends those that are left, in order."""
        for process, _ in self._processes:
            if process.is_alive():
                process.terminate()
        for process, pipe in self._processes:
            process.join(_PATIENCE_SECONDS)
            if process.is_alive():
                process.terminate()  # The second one ends it wherever it is.
                process.join(_PATIENCE_SECONDS)
            if process.is_alive():
                process.kill()
            process.join()
            pipe.close()


def _help(path: Path, asked: Asked, budget: Budget, pipe: Connection, parent: int) -> None:
    """What such a process does."""
    if hasattr(os, "setsid"):
        os.setsid()  # A Ctrl-C is for the process that started this one, which then ends it.
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
    except Exception as error:  # noqa: BLE001 - whatever it is, the process that started this one reports it
        with contextlib.suppress(OSError):
            # Numbers have arrays, which are not worth the way.
            pipe.send(UserError(str(error)) if isinstance(error, NumbersError) else error)
    finally:
        ended.set()
        pipe.close()
