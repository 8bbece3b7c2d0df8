"""A cluster without Ray: actors are objects of this process, what travels is pickled, and who dies is said before."""

import threading

import cloudpickle

from a2c.cluster.group import Group
from a2c.cluster.nodes import LostError


class ClusterHere:
    """Stands in for `a2c.cluster.nodes.Cluster`.

    Attributes:
        deaths: Numbers of the calls of `counted`, over all actors, at which the actor asked is lost.
        counted: The name of a method.
        when: Whether calls count now.
        rooms: The CPUs that actors were started with, in order.
        num_free: CPUs that nobody uses.
    """

    cpus = 4.0
    machines = (4.0,)
    num_free = 0

    def __init__(self, address="local", deaths=(), counted="collect", when=lambda: True):
        self.deaths, self.rooms, self._asked = set(deaths), [], 0
        self._counted, self._when = counted, when
        self._living = {}  # Actors; each does one thing after another.

    def start(self, cpus, kind=Group):
        self.rooms.append(cpus)
        actor = kind()
        self._living[actor] = threading.Lock()
        return actor

    def has_room(self, cpus, within_seconds=0.0):
        return self.num_free >= cpus

    def free(self):
        return float(self.num_free)

    def put(self, value):
        return value

    def argument(self, data, actors):
        return data

    def late(self, asked, seconds):
        return []

    def ask(self, actor, name, *args):
        if name == self._counted and self._when():
            self._asked += 1
            if self._asked in self.deaths:
                self.end(actor)
        lock = self._living.get(actor)
        if lock is None:
            return None
        with lock:
            args = cloudpickle.loads(cloudpickle.dumps(args))
            return cloudpickle.loads(cloudpickle.dumps(actor.answer(name, *args)))

    def answer(self, asked):
        if asked is None:
            raise LostError("its process has died")
        value, error, details = asked
        if error is not None:
            raise error from RuntimeError(details)
        return value

    def end(self, actor):
        lock = self._living.pop(actor, None)
        if lock is not None:
            with lock:
                actor.close()

    def close(self): ...


class MachinesHere(ClusterHere):
    """One whose actors free their CPUs when they end."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._taken = {}

    def start(self, cpus, kind=Group):
        actor = super().start(cpus, kind)
        self._taken[actor] = cpus
        return actor

    def has_room(self, cpus, within_seconds=0.0):
        return sum(self._taken[actor] for actor in list(self._living)) + cpus <= self.cpus
