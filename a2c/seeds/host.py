"""A process that trains seeds, or measures trials, in an actor of a cluster: its side; `remote.py` is the driver's.

The process is the one that trains seeds on one machine, `child.py`. It trains in a temporary folder of its own, whose
changes the driver gets in parcels. This file does not use Ray itself.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import queue
import shutil
import tempfile
import time
from multiprocessing import util
from pathlib import Path
from typing import Any, NamedTuple

from a2c.cluster.answers import Answer, answered, arrived
from a2c.envs.leftovers import claim_temporary_folder
from a2c.run.folder import folder_of
from a2c.run.parcel import Outgoing, Parcel, write
from a2c.seeds.child import LocalChild, Message
from a2c.seeds.one import Job

_PAUSE_SECONDS = 0.5
"""How long to wait for messages before an empty answer; orders of the driver wait as long."""

_FILES_SECONDS = 1.0
"""Time between two looks for changed files."""

FINAL = ("ended", "failed", "end")
"""Messages after which no file of the run changes."""


class Order(NamedTuple):
    """A seed to train, and all that its process cannot find on another machine."""

    job: dict[str, Any]
    """`Job.to_json`."""
    name: str
    """The name of the run's folder, if it goes on; else empty."""
    files: Parcel
    """All files of that folder."""
    start: bytes | None
    """The file `start_from`."""


class Taken(NamedTuple):
    """What has happened since the last call."""

    messages: list[tuple[str, Any]]
    """Kinds and values, as in `Message`."""
    folder: str
    """The run's folder in that machine, which messages may name; empty: none has begun."""
    files: Parcel | None
    """What has changed in it."""


class Host:
    """A process that trains seeds, and the folder it trains in. All methods are called through `answer`."""

    def __init__(self) -> None:
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._outgoing: Outgoing | None = None
        self._next = 0.0

    def answer(self, name: str, *args: Any) -> Answer:
        """Calls the method of that name."""
        return answered(self, name, args)

    def arrive(self, paths: list[str], folder: str, cores: int) -> str:
        """Starts the process; returns this machine's name.

        Args:
            paths: The driver's module search path, of which those folders count that exist here.
            folder: The driver's working directory, which becomes the process's if it exists here.
            cores: How many cores the process may use.
        """
        name = arrived(paths)
        claim_temporary_folder()  # If this actor is killed, the next process of ours removes the folder.
        self._place = Path(tempfile.mkdtemp(dir=util.get_temp_dir()))
        self._runs = self._place / "runs"
        self._child = LocalChild(cores, self._messages, folder if os.path.isdir(folder) else None)
        return name

    def begin(self, order: Order) -> None:
        """Gives the process a seed to train."""
        shutil.rmtree(self._runs, ignore_errors=True)
        job = Job.from_json(order.job)
        job = job._replace(config=dataclasses.replace(job.config, run_dir=str(self._runs)))
        job = job._replace(start=self._copied(order.start))
        self._outgoing = None
        if order.name:
            self._outgoing = Outgoing(folder_of(job.config) / order.name)
            write(self._outgoing.folder, order.files.in_run_dir(str(self._runs)))
            self._outgoing.parcel()  # The driver has all this.
        self._child.begin(job)

    def measure(self, trial: dict[str, Any], start: bytes | None) -> None:
        """Gives the process a trial to measure.

        Args:
            trial: `Measuring.to_json`.
            start: The file `start_from`.
        """
        self._child.say("measure", {**trial, "start": self._copied(start)})

    def go_on(self, goes_on: bool) -> None:
        """Says whether the trial goes on."""
        self._child.say("goes_on", goes_on)

    def _copied(self, start: bytes | None) -> str:
        """The path of a copy of the file `start_from`; empty: there is none."""
        if start is None:
            return ""
        copy = self._place / "start.safetensors"
        copy.write_bytes(start)
        return str(copy)

    def take(self, wants_files: bool) -> Taken:
        """What has happened since the last call; waits a moment if nothing has.

        Args:
            wants_files: Whether to look for changed files, even if the run has not ended.
        """
        messages = self._waiting()
        for message in messages:
            if message.kind == "begun" and self._outgoing is None:
                self._outgoing, self._next = Outgoing(Path(message.value["path"])), 0.0  # The driver waits for it.
        is_final = any(message.kind in FINAL for message in messages)
        outgoing, found = self._outgoing, None
        if outgoing is not None and (is_final or (wants_files and time.monotonic() >= self._next)):
            self._next = time.monotonic() + _FILES_SECONDS
            found = outgoing.parcel()
        if is_final:
            self._outgoing = None
        if any(message.kind == "end" for message in messages):
            self._leave()
        return Taken(
            [(message.kind, message.value) for message in messages],
            "" if outgoing is None else str(outgoing.folder),
            found,
        )

    def dismiss(self) -> None:
        """Tells the process that there are no more seeds, so that it ends."""
        self._child.dismiss()

    def signal(self, number: int) -> None:
        """Sends a signal to the process."""
        self._child.signal(number)

    def close(self) -> None:
        """Kills the process, and removes the folder."""
        self._child.kill()
        self._leave()

    def _leave(self) -> None:
        self._child.close()
        shutil.rmtree(self._place, ignore_errors=True)

    def _waiting(self) -> list[Message]:
        """The messages that have come, of several standings the last; waits a moment if there is none."""
        messages: list[Message] = []
        give_up = time.monotonic() + _PAUSE_SECONDS
        with contextlib.suppress(queue.Empty):
            while True:
                # A standing is no hurry.
                is_urgent = any(message.kind != "standing" for message in messages)
                left = 0.0 if is_urgent else max(0.0, give_up - time.monotonic())
                messages.append(self._messages.get(timeout=left) if left else self._messages.get_nowait())
        last = max((n for n, message in enumerate(messages) if message.kind == "standing"), default=-1)
        return [message for n, message in enumerate(messages) if message.kind != "standing" or n == last]
