"""A cluster without Ray: actors are objects of this process, what travels is pickled, and who dies is said before."""

import cloudpickle

from a2c.cluster.group import Group
from a2c.cluster.nodes import LostError


class ClusterHere:
    """Stands in for `a2c.cluster.nodes.Cluster`.

    Attributes:
        deaths: Numbers of the calls of `collect`, counted over all actors, at which the actor asked is lost.
        rooms: The CPUs that actors were started with, in order.
        num_free: CPUs that nobody uses.
    """

    cpus = 4.0
    num_free = 0

    def __init__(self, address="local", deaths=()):
        self.deaths, self.rooms, self._asked = set(deaths), [], 0
        self._living = []

    def start(self, cpus):
        self.rooms.append(cpus)
        self._living.append(Group())
        return self._living[-1]

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
        if name == "collect":
            self._asked += 1
            if self._asked in self.deaths:
                self.end(actor)
        if actor not in self._living:
            return None
        return cloudpickle.loads(cloudpickle.dumps(actor.answer(name, *cloudpickle.loads(cloudpickle.dumps(args)))))

    def answer(self, asked):
        if asked is None:
            raise LostError("its process has died")
        value, error, details = asked
        if error is not None:
            raise error from RuntimeError(details)
        return value

    def end(self, actor):
        if actor in self._living:
            actor.close()
            self._living.remove(actor)

    def close(self): ...
