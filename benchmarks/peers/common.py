"""What the peers share: their command line, and how their speed is taken."""

import argparse
import time
from collections.abc import Callable

WARM_UP_UPDATES = 20


def parser(description: str, *environments: str) -> argparse.ArgumentParser:
    """The command line of a peer that can train in these environments."""
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--env", choices=environments, required=True)
    options.add_argument("--num-envs", type=int, required=True, metavar="N")
    options.add_argument("--rollout-length", type=int, required=True, metavar="T")
    options.add_argument("--hidden", type=int, nargs="+", required=True, help="widths of the hidden layers")
    options.add_argument("--activation", choices=["relu", "tanh"], required=True)
    options.add_argument("--steps", type=int, required=True, help="agent steps to time, rounded up to whole rollouts")
    options.add_argument("--threads", type=int, required=True)
    return options


def steps_per_second(options: argparse.Namespace, train: Callable[[int], object]) -> float:
    """The speed of `train(updates)`, which is warmed up first."""
    steps_per_update = options.num_envs * options.rollout_length
    updates = -(-options.steps // steps_per_update)
    train(WARM_UP_UPDATES)
    start = time.perf_counter()
    train(updates)
    return updates * steps_per_update / (time.perf_counter() - start)
