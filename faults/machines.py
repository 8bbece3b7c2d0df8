"""Takes a machine from a cluster in the middle of a run, adds two, and compares the bits with those of one process.

python -m faults.machines

The machines are Ray nodes on this one, three of them at first: one for the learner, and two with actors. The run ends
when the new machines are used.
"""

from __future__ import annotations

import os
import sys

import numpy as np

import a2c
from a2c.cluster import groups
from a2c.cluster.acting import acting_on
from a2c.cluster.fleet import Fleet
from a2c.learner import Learner
from faults.kinds import say

ENV = "Pendulum-v1"
SETTINGS = {"num_envs": 8, "rollout_length": 8, "vectorization": "local", "normalize_observations": True, "seed": 3}
TAKEN_AT, ADDED_AT, AT_MOST = 20, 40, 5_000
NODE = {"num_cpus": 2, "object_store_memory": 100 * 2**20}


def in_one_process(updates: int) -> dict[str, bytes]:
    config = a2c.Config(ENV, **SETTINGS)  # type: ignore[arg-type]  # of several types
    envs = a2c.make_envs(ENV, config.num_envs, vectorization="local", seed=config.seed)
    learner = Learner(config, envs)
    learner.update(updates)
    return _bits(learner)


def on_changing_machines() -> tuple[dict[str, bytes], list[str], int]:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=NODE | {"num_cpus": 0})
    first, _ = cluster.add_node(**NODE), cluster.add_node(**NODE)
    config = a2c.Config(ENV, cluster=cluster.address, **SETTINGS)  # type: ignore[arg-type]  # as above
    fleet = Fleet(config, ENV)
    learner, events = Learner(config, fleet.envs, acting=acting_on(fleet, config)), list[str]()
    for update in range(AT_MOST):
        if update == TAKEN_AT:
            cluster.remove_node(first)
            say("a machine was taken away")
        if update == ADDED_AT:
            cluster.add_node(**NODE), cluster.add_node(**NODE)
            say("two machines were added")
        learner.update()
        new = learner.take_events()
        events += [event.details for event in new]
        if any(event.kind == "more_actors" for event in new):
            say(f"{fleet.placement}, after {learner.updates} updates")
            learner.update(20)
            break
    bits, updates = _bits(learner), learner.updates
    fleet.close()
    cluster.shutdown()
    return bits, events, updates


def _bits(learner: Learner) -> dict[str, bytes]:
    return {name: np.asarray(array).tobytes() for name, array in learner.state().items()}


def main() -> int:
    # As `--cluster local` does it, before Ray is imported.
    os.environ |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    groups._LOOK_SECONDS = 1.0
    bits, events, updates = on_changing_machines()
    for event in events:
        say(event)
    is_same = bits == in_one_process(updates)
    print(f"{'same' if is_same else 'other'} bits after {updates} updates", file=sys.stderr)
    return 0 if is_same and "more CPUs are free" in "".join(events) else 1


if __name__ == "__main__":
    sys.exit(main())
