"""Where environments train fastest: all in this process, or a share of them in a worker.

python -m benchmarks.placement            measures, a few minutes
python -m benchmarks.placement --table    prints the table of results/placement.json

The environments take longer and longer for a step, which shows when `vectorization auto` should use workers.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import a2c
from a2c.commands.benchmark import contestants_for
from a2c.presets import configure
from benchmarks.environments import Burn
from benchmarks.measure import alternate, keep, kept, ratio

MICROSECONDS = (0, 5, 10, 20, 40, 80, 160)
NUM_ENVS = (2, 4, 8, 16)
ROUNDS = 5
SECONDS = 0.3
HERE, BESIDE = "training, this process", "training, 1 worker beside it"


def cases() -> Iterator[tuple[str, dict[str, Any]]]:
    """Environments by name, with their arguments."""
    for microseconds in MICROSECONDS:
        yield f"benchmarks.placement:{Burn.__name__}", {"microseconds": microseconds}
    yield "Acrobot-v1", {}
    with contextlib.suppress(ImportError):
        import mujoco  # noqa: F401

        yield "HalfCheetah-v5", {}
    with contextlib.suppress(ImportError):
        import Box2D  # noqa: F401

        yield "LunarLander-v3", {}


def measure(env_id: str, kwargs: dict[str, Any], num_envs: int) -> dict[str, Any]:
    """One environment, that many times."""
    config = configure(env_id, "none", {"num_envs": num_envs, "rollout_length": 8, "env_kwargs": kwargs})
    with contextlib.ExitStack() as cleanup:
        envs = a2c.make_envs(env_id, num_envs, env_kwargs=kwargs)
        chosen = envs.num_workers
        envs.close()
        contestants = contestants_for(config)
        for contestant in contestants.values():
            cleanup.callback(contestant.close)
        random = "random actions, this process"
        rates = alternate(
            {name: (lambda one=contestants[name]: one.rate(SECONDS)) for name in (random, HERE, BESIDE)}, ROUNDS
        )
    return {
        "env_id": env_id,
        "env_kwargs": kwargs,
        "num_envs": num_envs,
        "microseconds_of_a_step": 1e6 / rates[random]["median"],
        "workers_chosen": chosen,
        "steps_per_second": rates,
        "with a worker / without": ratio(rates, BESIDE, HERE),
    }


def table(results: list[dict[str, Any]]) -> str:
    """Markdown, sorted by what all environments take together for one step."""
    lines = [
        "| environment | environments | a step of all takes | with a worker / without | auto chooses |",
        "|---|---:|---:|---:|---|",
    ]
    for result in sorted(results, key=lambda one: one["microseconds_of_a_step"] * one["num_envs"]):
        extra = result["env_kwargs"].get("microseconds")
        name = result["env_id"] if extra is None else f"CartPole-v1 + {extra} us"
        together = result["microseconds_of_a_step"] * result["num_envs"]
        value = result["with a worker / without"]
        chosen = f"{result['workers_chosen']} worker" if result["workers_chosen"] else "this process"
        lines.append(
            f"| {name} | {result['num_envs']} | {together:.0f} us | {value['median']:.2f} "
            f"({value['lowest']:.2f} to {value['highest']:.2f}) | {chosen} |"
        )
    return "\n".join(lines)


def main() -> None:
    if "--table" not in sys.argv:
        results = [measure(env_id, kwargs, count) for env_id, kwargs in cases() for count in NUM_ENVS]
        keep("placement", "python -m benchmarks.placement", {"placements": results})
    print(table(kept("placement")["placements"]))


if __name__ == "__main__":
    main()
