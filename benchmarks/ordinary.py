"""What training adds to the cost of stepping ordinary environments, in one process and in two.

python -m benchmarks.ordinary
"""

from __future__ import annotations

import functools
from typing import Any

import a2c
from a2c.commands.benchmark import contestants_for
from benchmarks.measure import alternate, keep, ratio

ROUNDS = 9
SECONDS = 1.5
STEPPING, ALONE, SHARED = "random actions, this process", "training, this process", "training, 1 worker beside it"

CASES: dict[str, dict[str, Any]] = {
    "HalfCheetah-v5": {"normalize_observations": True, "normalize_returns": True},
    "CartPole-v1": {},
}


def measure(env: str, settings: dict[str, Any]) -> dict[str, Any]:
    config = a2c.Config(env, num_envs=8, rollout_length=8, hidden_sizes=(64, 64), activation="tanh", **settings)
    contestants = {name: one for name, one in contestants_for(config).items() if name in (STEPPING, ALONE, SHARED)}
    rates = alternate({name: functools.partial(one.rate, SECONDS) for name, one in contestants.items()}, ROUNDS)
    for contestant in contestants.values():
        contestant.close()
    return {
        "steps_per_second": rates,
        "one process / random actions": ratio(rates, ALONE, STEPPING),
        "two processes / random actions": ratio(rates, SHARED, STEPPING),
    }


def main() -> None:
    results = {env: measure(env, settings) for env, settings in CASES.items()}
    for env, result in results.items():
        for label, value in result.items():
            if "/" in label:
                print(f"{env}: {label} {value['median']:.2f} ({value['lowest']:.2f} to {value['highest']:.2f})")
    keep("ordinary", "python -m benchmarks.ordinary", {"environments": results})


if __name__ == "__main__":
    main()
