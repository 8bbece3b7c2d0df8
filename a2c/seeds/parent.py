"""Trains several seeds in a few processes, each of which trains one seed after another."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from a2c.errors import NumbersError
from a2c.run import checkpoint
from a2c.run.folder import Run
from a2c.run.standing import Standing
from a2c.seeds.board import Board
from a2c.seeds.child import Child, Message, in_words
from a2c.seeds.one import Job
from a2c.seeds.places import Places
from a2c.seeds.rows import Row
from a2c.signals import StopSignals

_WAIT_SECONDS = 0.1
_END_SECONDS = 5.0
"""How long a process may take to end after a second signal, before it is killed."""

_MOST_LOSSES = 3
"""After so many lost actors without a new checkpoint, a seed is given up."""


def train_all(jobs: Sequence[Job], places: Places, board: Board) -> int:
    """Trains every seed; the results are in the rows of the board.

    If a seed raises, or its process dies, the others go on. If an actor of a cluster is lost, or its machine, its seed
    goes on in another. But if the settings are wrong, they are so for all seeds, and no further one begins. A signal is
    passed on to all; every run is saved and can be resumed.

    Args:
        jobs: One for each row.
        places: Where to train them.
        board: Shows the progress.

    Returns:
        The number of the signal that ended it; 0 if none did.
    """
    with StopSignals() as stop:
        for _ in trained(jobs, places, board, stop):
            pass
        board.draw(is_last=True)
        return stop.received


def trained(jobs: Sequence[Job], places: Places, board: Board, stop: StopSignals) -> Generator[Row, None, None]:
    """Trains every seed, as `train_all`; yields the row of each as soon as it is over."""
    crew = _Crew(jobs, places, board, stop)
    with crew.stopped_together():
        try:
            yield from crew.run()
        finally:
            crew.end()


class _Losses(NamedTuple):
    """How many actors were lost that trained a seed, after one and the same checkpoint."""

    steps: int
    times: int


class _Crew:
    """The processes, and the seeds that wait for one."""

    def __init__(self, jobs: Sequence[Job], places: Places, board: Board, stop: StopSignals) -> None:
        """All seeds wait."""
        self._waiting, self._places, self._board, self._stop = deque(jobs), places, board, stop
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._children: list[Child] = []
        self._losses: dict[int, _Losses] = {}
        self._over_now: deque[Row] = deque()
        self._is_stopping = False

    def run(self) -> Iterator[Row]:
        """Trains until no seed waits and all processes have ended; yields the rows of seeds that are over."""
        while self._children or self._waiting:
            if self._stop.received and not self._is_stopping:
                self._is_stopping = True
                self._waiting.clear()
                for child in self._children:
                    child.signal(self._stop.received)
            while self._waiting and self._places.has_room(len(self._children)):
                child = self._places.start(self._messages, len(self._children))
                self._children.append(child)
                self._hand_over(child)
            with contextlib.suppress(queue.Empty):
                message = self._messages.get(timeout=_WAIT_SECONDS)
                self._handle(message)
            self._board.draw()
            while self._over_now:
                yield self._over_now.popleft()

    def end(self) -> None:
        """Ends processes that are still alive: after a second signal, or an error of ours."""
        for child in self._children:
            child.signal(self._stop.received or signal.SIGTERM)
        deadline = time.monotonic() + _END_SECONDS
        for child in self._children:
            if not child.wait(max(0.0, deadline - time.monotonic())):
                child.kill()
            child.close()

    @contextlib.contextmanager
    def stopped_together(self) -> Iterator[None]:
        """While entered, Ctrl-Z also stops the processes, and `fg` or `bg` also continues them."""
        if not hasattr(signal, "SIGTSTP"):
            yield
            return

        def pause(number: int, frame: FrameType | None) -> None:
            for child in self._children:
                child.signal_all(signal.SIGSTOP)
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTSTP)  # Returns when this process is continued.
            signal.signal(signal.SIGTSTP, pause)
            for child in self._children:
                child.signal_all(signal.SIGCONT)

        previous = signal.signal(signal.SIGTSTP, pause)
        try:
            yield
        finally:
            signal.signal(signal.SIGTSTP, previous)

    def _hand_over(self, child: Child) -> None:
        """Gives a process the next seed; if there is none, lets it end."""
        if not self._waiting:
            child.dismiss()
            return
        job = self._waiting.popleft()
        row = self._board.rows[job.config.seed]
        self._board.update(row.seed, state="starting", begun=row.begun or time.monotonic())
        child.begin(job)

    def _handle(self, message: Message) -> None:
        """Handles a message of a process."""
        child, kind, value = message
        if kind in ("end", "lost"):
            self._children.remove(child)
            child.close()
            if child.job is not None:
                self._ended(child.job, value) if kind == "end" else self._lost(child.job, value)
            return
        if child.job is None:  # Output of a process that trains nothing any more.
            return
        seed, board = child.job.config.seed, self._board
        match kind:
            case "text":
                # A process that is interrupted before its run began prints a traceback: not worth showing.
                if not self._is_stopping or board.rows[seed].path is not None:
                    board.text(seed, value)
            case "warning":
                board.warn(seed, value)
            case "line":
                board.line(seed, value)
            case "progress":
                board.progress(seed, value)
            case "begun":
                board.update(seed, state="training", path=Path(value["path"]))
                board.progress(seed, f"{value['place']}\nrun {value['path']}")
            case "standing":
                board.update(seed, standing=Standing.from_json(value))
            case "ended":
                self._over(child, _row_of_ended(value))
            case "failed":
                self._failed(child, value)

    def _failed(self, child: Child, value: dict[str, Any]) -> None:
        if child.job is None:
            return
        sentence, code = value["sentence"], value["code"]
        is_diverged = value["kind"] == NumbersError.__name__ and value["env_index"] is None
        seed = child.job.config.seed
        if self._board.rows[seed].path is None and code == 2:  # The settings are wrong, for all seeds.
            self._waiting.clear()
            self._board.warn_of_all(sentence)
        else:
            self._board.warn(seed, sentence)
        why = sentence.strip().splitlines()[-1]
        self._over(child, {"state": "failed", "why": why, "code": code, "is_diverged": is_diverged})

    def _over(self, child: Child, changes: dict[str, Any]) -> None:
        """Handles the end of a seed, however it ended; its process gets the next one."""
        if child.job is None:
            return
        row = self._board.rows[child.job.config.seed]
        self._over_now.append(self._board.update(row.seed, seconds=time.monotonic() - row.begun, **changes))
        self._hand_over(child)

    def _ended(self, job: Job, code: int) -> None:
        """Handles the end of a process that was still training."""
        self._cut_short(job, f"its process ended {in_words(code)}")

    def _lost(self, job: Job, why: str) -> None:
        """Handles the loss of an actor that trained: its seed goes on in another, unless that happens too often."""
        row = self._board.rows[job.config.seed]
        run = None if row.path is None else Run(row.path)
        steps = 0 if run is None or checkpoint.is_empty(run.checkpoints) else run.steps
        before = self._losses.get(row.seed)
        losses = _Losses(steps, before.times + 1 if before is not None and before.steps == steps else 1)
        self._losses[row.seed] = losses
        if self._is_stopping or losses.times == _MOST_LOSSES:
            self._cut_short(job, why if self._is_stopping else f"{why}; {losses.times} actors were lost there")
            return
        sentence = f"{why}; it goes on in another after {steps:,} steps"
        self._board.text(row.seed, sentence)
        if run is not None:
            run.events.add("worker_restarts", steps, sentence)
        self._board.update(row.seed, state="waiting")
        self._waiting.appendleft(job._replace(resume=job.resume or run is not None))

    def _cut_short(self, job: Job, why: str) -> None:
        """Handles a seed whose process is gone, and which does not go on."""
        row = self._board.rows[job.config.seed]
        changes: dict[str, Any]
        if self._is_stopping:
            changes = {"state": "stopped" if row.path else "waiting"}
        else:
            hint = f"; `{Run(row.path).command('resume')}` goes on" if row.path else ""
            self._board.warn(row.seed, why + hint)
            changes = {"state": "failed", "why": why, "code": 1}
        self._over_now.append(self._board.update(row.seed, seconds=time.monotonic() - row.begun, **changes))


def _row_of_ended(path: str) -> dict[str, Any]:
    """The changes to the row of a run that has ended: "done", or "stopped" by a signal."""
    run = Run(path)
    return {"path": run.path, "state": "stopped" if run.stopped_by else "done"}


def runs_of(rows: Sequence[Row]) -> list[Run]:
    """The runs that are done or were stopped, in order of seeds."""
    runs = [Run(row.path) for row in rows if row.path is not None and row.state in ("done", "stopped")]
    return [run for run in runs if (run.path / "summary.json").exists()]  # If its process was killed, it has none.
