"""Several seeds in as many processes as there is room for, each of which trains one after another."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from a2c.config import Config
from a2c.machine import cores
from a2c.run.folder import Run
from a2c.run.standing import Standing
from a2c.seeds.board import Board
from a2c.seeds.child import Child, Message, in_words
from a2c.seeds.one import Job
from a2c.seeds.rows import Row
from a2c.signals import StopSignals

_WAIT_SECONDS = 0.1
_END_SECONDS = 5.0
"""How long a process may take to end at a second signal, before it is ended."""


def processes_for(config: Config, seeds: int) -> int:
    """How many seeds are trained at the same time, unless told: as many as have room on the cores."""
    threads = 1 if config.num_threads == "auto" else config.num_threads
    workers = 0 if config.num_workers == "auto" else config.num_workers
    if config.device != "cpu":
        return 1  # Its memory may have room for one.
    return max(1, min(seeds, cores() // max(threads, workers + 1)))


def train_all(jobs: Sequence[Job], processes: int, board: Board) -> int:
    """Trains every seed; the rows of the board say what came of them.

    A seed that fails, or whose process dies, does not touch the others. What is wrong with the settings would be so for
    all of them, so after that no other begins. A signal is passed on to all; every run is saved and can be resumed.

    Args:
        jobs: One for each row.
        processes: At most as many at a time.
        board: Shows how it goes.

    Returns:
        The number of the signal that ended it; 0: none.
    """
    with StopSignals() as stop:
        crew = _Crew(jobs, min(processes, len(jobs)), board, stop)
        with crew.stopped_together():
            try:
                crew.run()
            finally:
                crew.end()
        board.draw(is_last=True)
        return stop.received


class _Crew:
    """Processes, and the seeds that wait for one."""

    def __init__(self, jobs: Sequence[Job], processes: int, board: Board, stop: StopSignals) -> None:
        """Starts them, and hands a seed to each."""
        self._waiting, self._board, self._stop = deque(jobs), board, stop
        self._share = max(1, cores() // processes)
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._children: list[Child] = []
        self._is_stopping = False
        for _ in range(processes):
            self._start()

    def run(self) -> None:
        """Until all processes have ended."""
        while self._children:
            if self._stop.received and not self._is_stopping:
                self._is_stopping = True
                self._waiting.clear()
                for child in self._children:
                    child.signal(self._stop.received)
            with contextlib.suppress(queue.Empty):
                message = self._messages.get(timeout=_WAIT_SECONDS)
                self._heard(message)
            self._board.draw()

    def end(self) -> None:
        """Ends whoever is still there: after a second signal, or an error of ours."""
        for child in self._children:
            child.signal(self._stop.received or signal.SIGTERM)
        deadline = time.monotonic() + _END_SECONDS
        for child in self._children:
            if not child.wait(max(0.0, deadline - time.monotonic())):
                child.kill()
            child.close()

    @contextlib.contextmanager
    def stopped_together(self) -> Iterator[None]:
        """Ctrl-Z stops the processes with this one, and `fg` or `bg` lets all of them go on."""
        if not hasattr(signal, "SIGTSTP"):
            yield
            return

        def pause(number: int, frame: FrameType | None) -> None:
            for child in self._children:
                child.signal_all(signal.SIGSTOP)
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTSTP)  # Comes back when this process is continued.
            signal.signal(signal.SIGTSTP, pause)
            for child in self._children:
                child.signal_all(signal.SIGCONT)

        previous = signal.signal(signal.SIGTSTP, pause)
        try:
            yield
        finally:
            signal.signal(signal.SIGTSTP, previous)

    def _start(self) -> None:
        child = Child(self._share, self._messages)
        self._children.append(child)
        self._hand_over(child)

    def _hand_over(self, child: Child) -> None:
        """Gives a process the next seed; where there is none, it may go."""
        if not self._waiting:
            child.dismiss()
            return
        job = self._waiting.popleft()
        self._board.update(job.config.seed, state="starting", begun=time.monotonic())
        child.begin(job)

    def _heard(self, message: Message) -> None:
        """Takes in what a process said."""
        child, kind, value = message
        if kind == "end":
            self._ended(child, value)
            return
        if child.job is None:  # Its last words; nothing is trained any more.
            return
        seed, board = child.job.config.seed, self._board
        match kind:
            case "text":
                # Where a signal meets a process that has begun nothing, it says how it was interrupted.
                if not self._is_stopping or board.rows[seed].path is not None:
                    board.text(seed, value)
            case "warning":
                board.warn(seed, value)
            case "line":
                board.line(seed, value)
            case "told":
                board.told(seed, value)
            case "begun":
                board.update(seed, state="training", path=Path(value["path"]))
                board.told(seed, f"{value['place']}\nrun {value['path']}")
            case "standing":
                board.update(seed, standing=Standing.from_json(value))
            case "ended":
                self._over(child, _come_to_an_end(value))
            case "failed":
                self._failed(child, value["sentence"], value["code"])

    def _failed(self, child: Child, sentence: str, code: int) -> None:
        if child.job is None:
            return
        seed = child.job.config.seed
        if self._board.rows[seed].path is None and code == 2:  # The settings are wrong, for all seeds.
            self._waiting.clear()
            self._board.warn_of_all(sentence)
        else:
            self._board.warn(seed, sentence)
        self._over(child, {"state": "failed", "why": sentence.strip().splitlines()[-1], "code": code})

    def _over(self, child: Child, changes: dict[str, Any]) -> None:
        """A seed is over, however it went; its process may have the next one."""
        if child.job is None:
            return
        row = self._board.rows[child.job.config.seed]
        row = self._board.update(row.seed, seconds=time.monotonic() - row.begun, **changes)
        self._hand_over(child)

    def _ended(self, child: Child, code: int) -> None:
        """A process has ended; another takes its place where it should not have."""
        self._children.remove(child)
        child.close()
        if child.job is None:
            return
        row = self._board.rows[child.job.config.seed]
        changes: dict[str, Any]
        if self._is_stopping:
            changes = {"state": "stopped" if row.path else "waiting"}
        else:
            why = f"its process ended {in_words(code)}"
            hint = f"; `{Run(row.path).command('resume')}` goes on" if row.path else ""
            self._board.warn(row.seed, why + hint)
            changes = {"state": "failed", "why": why, "code": 1}
        self._board.update(row.seed, seconds=time.monotonic() - row.begun, **changes)
        child.job = None
        if self._waiting:
            self._start()


def _come_to_an_end(path: str) -> dict[str, Any]:
    """What a run that has ended leaves in its row: a signal may have ended it early."""
    run = Run(path)
    return {"path": run.path, "state": "stopped" if run.stopped_by else "done"}


def runs_of(rows: Sequence[Row]) -> list[Run]:
    """The runs that came to their end or were stopped, in order of seeds."""
    runs = [Run(row.path) for row in rows if row.path is not None and row.state in ("done", "stopped")]
    return [run for run in runs if (run.path / "summary.json").exists()]  # Not where its process was ended, too.
