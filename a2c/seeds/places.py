"""Where processes that train seeds run, how many at the same time, and what each may use."""

from __future__ import annotations

import dataclasses
import math
import queue
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from a2c.config import Config
from a2c.errors import UserError
from a2c.machine import cores
from a2c.run.writers import FOLDERS
from a2c.seeds.child import Child, LocalChild, Message


class Share(NamedTuple):
    """What a process gets."""

    cores: int
    """How many cores it may use."""
    reserved: float
    """CPUs that a cluster reserves for it; less than one if there are more processes than CPUs."""


class Places(Protocol):
    """Where processes run."""

    def has_room(self, living: int) -> bool:
        """Whether one more process can start beside so many."""
        ...

    def start(self, messages: queue.SimpleQueue[Message], living: int) -> Child:
        """Starts a process beside so many; its messages go to the queue."""
        ...


class Here:
    """`Places` on this machine."""

    def __init__(self, processes: int) -> None:
        """Nothing runs yet; at most so many processes will, each with its share of the cores."""
        self._processes, self._share = processes, max(1, cores() // processes)

    def has_room(self, living: int) -> bool:
        """Whether there are fewer than there may be."""
        return living < self._processes

    def start(self, messages: queue.SimpleQueue[Message], living: int) -> LocalChild:
        """Starts a process."""
        return LocalChild(self._share, messages)


def check_spread(config: Config, what: str, instead: str) -> None:
    """Checks that runs with these settings can be trained on a cluster, each as a whole.

    Args:
        config: The settings.
        what: What each of them is, in words.
        instead: What to do instead of setting num_actors.

    Raises:
        UserError: They cannot.
    """
    here = f"cluster is {config.cluster!r}"
    if config.num_actors != "auto":
        raise UserError(f"num_actors is {config.num_actors}, and {here}, where {what} has one actor; {instead}")
    if config.device != "cpu":
        raise UserError(f"device is {config.device!r}, and {here}, whose actors compute on CPUs; drop one of them")
    for name in config.log:
        if name not in FOLDERS:
            raise UserError(
                f"log has {name!r}, which stores nothing in a run's folder, and {here}, from which only that folder "
                f"comes back; choose {' or '.join(FOLDERS)}"
            )


def alone(config: Config) -> Config:
    """The settings of a run that is trained as a whole in one place of a cluster: those it would have without one."""
    return dataclasses.replace(config, cluster="none")


def needed(config: Config) -> int:
    """The CPUs that a run has use for: one for each of its threads, or for each of its processes."""
    threads = 1 if config.num_threads == "auto" else config.num_threads
    workers = 0 if config.num_workers == "auto" else config.num_workers
    return max(threads, workers + 1)


def processes_for(config: Config, seeds: int) -> int:
    """The default number of seeds trained at the same time on this machine: as many as the cores have room for."""
    if config.device != "cpu":
        return 1  # A GPU's memory may not have room for several.
    return max(1, min(seeds, cores() // needed(config)))


def share_of(machines: Sequence[float], needed: int, count: int | Literal["auto"], most: int) -> tuple[int, Share]:
    """How many processes to run on a cluster at the same time, and what each gets.

    Args:
        machines: The CPUs of each machine.
        needed: The CPUs that a process has use for.
        count: How many processes; "auto": as many as there is room for.
        most: How many there may be at most.

    Example:
        >>> share_of([4.0, 2.0], 1, "auto", 100)
        (6, Share(cores=1, reserved=1.0))
        >>> share_of([4.0, 2.0], 1, "auto", 3)
        (3, Share(cores=2, reserved=2.0))
        >>> share_of([4.0, 2.0], 1, 12, 100)
        (12, Share(cores=1, reserved=0.5))
    """

    def room(each: int) -> int:
        return sum(int(cpus // each) for cpus in machines)

    each = max(1, min(needed, int(max(machines, default=1.0))))
    wanted = max(1, min(room(each) if count == "auto" else count, most))
    if room(each) < wanted:
        each = 1
    if room(each) < wanted:
        return wanted, Share(1, 1 / math.ceil(wanted / max(1, room(1))))
    while room(each + 1) >= wanted:
        each += 1
    return wanted, Share(each, float(each))
