"""Processes that train seeds on a cluster: the driver's side; `host.py` is the actor's.

A run's folder is here, as without a cluster. What changes in the folder where its process trains arrives in parcels
and is written here, and only then is a message passed on that was sent after it. So the run can go on from here at any
time, in another actor or without a cluster.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from pathlib import Path
from typing import Any, Literal

from a2c import consent, start
from a2c.cluster.answers import search_paths
from a2c.cluster.nodes import Cluster, LostError
from a2c.config import Config
from a2c.envs.placement import is_compiled
from a2c.errors import REPORTED, UserError, exit_of
from a2c.model.own import is_own
from a2c.run.folder import Run, new_folder
from a2c.run.parcel import Outgoing, Parcel, write
from a2c.seeds.child import Message
from a2c.seeds.host import FINAL, Host, Order, Taken
from a2c.seeds.one import Job, Measuring
from a2c.seeds.places import Share, needed, share_of

_START_SECONDS = 300.0
"""How long there may be no room for a first actor, ..."""

_ARRIVE_SECONDS = 120.0
"""... and how long an actor may take to start when there is room."""

_LOOK_SECONDS = 1.0
"""Time between two looks for free CPUs."""

_SETTLE_SECONDS = 10.0
"""How long a new actor may not have taken its CPUs yet."""

_FREED_SECONDS = 3.0
"""How long the CPUs of an actor that is gone may take to become free."""


class OnCluster:
    """`Places` on a Ray cluster: each process in an actor of its own.

    Attributes:
        most: The largest number of processes at the same time.
    """

    def __init__(self, cluster: Cluster, share: Share, most: int) -> None:
        """Waits until there is room for one process.

        Args:
            cluster: The cluster.
            share: What each process gets.
            most: The largest number of processes at the same time; as many as there is room for, if there are fewer.

        Raises:
            UserError: There is no room.
        """
        self._cluster, self._share, self.most = cluster, share, most
        self._looked_at, self._started_at = 0.0, list[float]()
        if not cluster.has_room(share.reserved, _START_SECONDS):
            raise UserError(
                f"the cluster had no {share.reserved:g} free CPUs within {_START_SECONDS:g} s; it has "
                f"{cluster.cpus:g}, which other programs may use: free some"
            )
        self._left_at_first = 1
        while self._left_at_first < most and cluster.has_room((self._left_at_first + 1) * share.reserved):
            self._left_at_first += 1

    def has_room(self, living: int) -> bool:
        """Whether one more process can start beside so many; looks for free CPUs only now and then."""
        now = time.monotonic()
        if living == 0 or living >= self.most:
            return living == 0
        if self._left_at_first:
            return True
        self._started_at = [at for at in self._started_at if now - at < _SETTLE_SECONDS]
        if now - self._looked_at < _LOOK_SECONDS:
            return False
        if self._cluster.has_room((len(self._started_at) + 1) * self._share.reserved):
            return True
        self._looked_at = now
        return False

    def start(self, messages: queue.SimpleQueue[Message], living: int) -> RemoteChild:
        """Starts a process; the only one shares the CPUs of others if none become free."""
        has_room = living > 0 or self._left_at_first > 0 or self._cluster.has_room(self._share.reserved, _FREED_SECONDS)
        self._left_at_first = max(0, self._left_at_first - 1)
        self._started_at.append(time.monotonic())
        return RemoteChild(self._cluster, self._share if has_room else self._share._replace(reserved=0.0), messages)

    def close(self) -> None:
        """Leaves the cluster."""
        self._cluster.close()


def spread_over(config: Config, jobs: int | Literal["auto"], most: int) -> tuple[int, OnCluster]:
    """The processes of `config.cluster` that train with these settings: how many at the same time, and where.

    Args:
        config: The settings.
        jobs: How many; "auto": as many as the cluster has CPUs for, also when it grows.
        most: How many there may be at most.

    Raises:
        UserError: Ray is not installed, there is no cluster, or it has no free CPU.
    """
    cluster = Cluster(config.cluster)
    try:
        count, share = share_of(cluster.machines, needed(config), jobs, most)
        return count, OnCluster(cluster, share, most if jobs == "auto" else count)
    except BaseException:
        cluster.close()
        raise


class _Copy:
    """The copy here of a run that trains on another machine."""

    def __init__(self, config: Config, run: Run | None) -> None:
        """Locks it, if it exists already.

        Raises:
            UserError: Another process trains it.
        """
        self._config, self._lock = config, contextlib.ExitStack()
        self._unwritten: list[Parcel] = []
        self.path: Path | None = None if run is None else run.path
        self._is_new = run is None
        if run is not None:
            self._lock.enter_context(run.locked())

    @property
    def is_written(self) -> bool:
        """Whether all that has come is written."""
        return not self._unwritten

    def take_in(self, parcel: Parcel | None) -> None:
        """Writes what has come, and what could not be written before.

        Raises:
            UserError: It cannot be written now.
        """
        if parcel is not None:
            self._unwritten.append(parcel.in_run_dir(self._config.run_dir))
        while self._unwritten:
            if self.path is None:
                self.path = new_folder(self._config)
            write(self.path, self._unwritten[0])
            if self._is_new:
                self._begin(self.path)
            del self._unwritten[0]

    def _begin(self, path: Path) -> None:
        """Locks a new run, and stores that it may import what the user has named."""
        config = self._config
        run = Run(path, config.network if is_own(config.network) else None)
        if ":" in config.env_id:
            consent.remember(path, config.env_id)
        self._lock.enter_context(run.locked())
        self._is_new = False

    def close(self) -> None:
        """Unlocks it."""
        self._lock.close()


class RemoteChild:
    """A `Child` in an actor of a cluster.

    Attributes:
        job: What it trains now; None: nothing.
    """

    def __init__(self, cluster: Cluster, share: Share, messages: queue.SimpleQueue[Message]) -> None:
        """Starts the actor.

        Args:
            cluster: The cluster.
            share: What it gets.
            messages: Where its messages go.
        """
        self.job: Job | None = None
        self._cluster, self._messages, self._machine = cluster, messages, ""
        self._copy: _Copy | None = None
        self._beginning: Any = None  # The pending answer, until it is heard.
        self._has_warned = self._is_ending = False
        self._actor = cluster.start(share.reserved, Host)
        arriving = cluster.ask(self._actor, "arrive", search_paths(), os.getcwd(), share.cores)
        self._thread = threading.Thread(target=self._follow, args=(arriving,), daemon=True, name="a2c-actor")
        self._thread.start()

    def begin(self, job: Job) -> None:
        """Gives it a seed to train."""
        self.job = job
        try:
            existing = Run.newest(job.config, is_compiled(job.config, job.config.env_id)) if job.resume else None
            self._copy = _Copy(job.config, existing)
            name, parcel = "", Parcel([], {}, [])
            if existing is not None:
                existing.sweep()
                name, parcel = existing.path.name, Outgoing(existing.path).parcel()
            order = Order(job.to_json(), name, parcel, start.contents(job.config))
            self._beginning = self._cluster.ask(self._actor, "begin", order)
        except REPORTED as error:
            self._messages.put(Message(self, "failed", _failed(error)))

    def measure(self, trial: Measuring) -> None:
        """Gives it a trial to measure.

        Raises:
            UserError: `start_from` cannot be read.
        """
        self._beginning = self._cluster.ask(self._actor, "measure", trial.to_json(), start.contents(trial.config))

    def go_on(self, goes_on: bool) -> None:
        """Says whether the trial goes on after the last look."""
        self._ask("go_on", goes_on)

    def dismiss(self) -> None:
        """Tells it that there are no more seeds, so that it ends."""
        self.job = None
        self._ask("dismiss")

    def signal(self, number: int) -> None:
        """Sends a signal to the process."""
        self._is_ending = True
        self._ask("signal", number)

    def signal_all(self, number: int) -> None:
        """Does nothing: on a cluster, Ctrl-Z pauses this process alone."""

    def kill(self) -> None:
        """Kills the actor; its process ends with it."""
        self._end()
        self._thread.join(_FREED_SECONDS)

    def close(self) -> None:
        """Frees what belongs to an actor that has ended."""
        self._end()
        if self._copy is not None:
            self._copy.close()

    def wait(self, seconds: float) -> bool:
        """Waits for its end; False if it is still alive."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _ask(self, name: str, *args: Any) -> None:
        """Calls a method without waiting for its result; `take` reports if the actor is lost."""
        with contextlib.suppress(Exception):
            self._cluster.ask(self._actor, name, *args)

    def _end(self) -> None:
        with contextlib.suppress(Exception):  # It may be gone.
            self._cluster.end(self._actor)

    def _follow(self, arriving: Any) -> None:
        """Passes on what the actor reports, until it has ended."""
        try:
            self._machine = self._arrived(arriving)
            while True:
                taking = self._cluster.ask(self._actor, "take", self._copy is None or self._copy.is_written)
                beginning, self._beginning = self._beginning, None
                if beginning is not None:
                    self._cluster.answer(beginning)
                if self._take_in(self._cluster.answer(taking)):
                    return
        except LostError as error:
            self._messages.put(Message(self, "lost", f"{self._name} was lost: {error}"))
        except Exception as error:  # noqa: BLE001 - it must not be lost in this thread
            if isinstance(error, UserError) and self.job is not None:
                self._messages.put(Message(self, "failed", _failed(error)))
            self._messages.put(Message(self, "lost", f"{self._name} failed: {exit_of(error)[0]}"))

    @property
    def _name(self) -> str:
        return f"its actor on {self._machine}" if self._machine else "its actor"

    def _arrived(self, arriving: Any) -> str:
        """Waits for the actor; returns the name of its machine.

        Raises:
            LostError: It did not start in time, or a signal came first.
        """
        give_up = time.monotonic() + _ARRIVE_SECONDS
        while self._cluster.late([arriving], _LOOK_SECONDS):
            if self._is_ending or time.monotonic() >= give_up:
                raise LostError(f"it did not start within {_ARRIVE_SECONDS:g} s")
        machine: str = self._cluster.answer(arriving)
        return machine

    def _take_in(self, taken: Taken) -> bool:
        """Writes the files that came, then passes on the messages; returns whether the process has ended.

        Raises:
            UserError: The folder of a new run cannot be made.
        """
        copy, fault = self._copy, ""
        if copy is not None:
            try:
                copy.take_in(taken.files)
            except (UserError, OSError) as error:
                if copy.path is None:
                    raise
                fault = exit_of(error)[0]
                if not self._has_warned:
                    what = "training goes on, and they are written when that is possible"
                    self._messages.put(Message(self, "warning", f"files from {self._machine}: {fault}; {what}"))
                self._has_warned = True
        here = str(copy.path) if copy is not None and copy.path is not None else ""
        for kind, value in taken.messages:
            sent = _translated(value, taken.folder, here) if taken.folder and here else value
            if kind in FINAL and copy is not None:
                copy.close()
            if kind == "begun":
                sent = {**sent, "place": f"{sent['place']}, on {self._machine}"}
            if kind == "ended" and fault:
                kind, sent = "failed", {**_failed(UserError(fault)), "code": 1}
            self._messages.put(Message(self, kind, sent))
        return any(kind == "end" for kind, _ in taken.messages)


def _failed(error: Exception) -> dict[str, Any]:
    """The message of an error of this process that ended a seed."""
    sentence, code = exit_of(error)
    return {"sentence": sentence, "code": code, "kind": type(error).__name__, "env_index": None}


def _translated(value: Any, there: str, here: str) -> Any:
    """A message that names the run's folder here instead of the one on the other machine."""
    match value:
        case str():
            return value.replace(there, here)
        case dict():
            return {name: _translated(one, there, here) for name, one in value.items()}
        case _:
            return value
