"""Speed of stepping environments: ours in this process and with a worker, beside Gymnasium's vector environments.

python -m benchmarks.environments
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

import a2c
from benchmarks.measure import alternate, keep, ratio

NUM_ENVS = 8
ROUNDS = 15


class Burn(gymnasium.Wrapper):
    """CartPole-v1 that computes for longer in each step."""

    def __init__(self, microseconds: float = 100) -> None:
        super().__init__(gymnasium.make("CartPole-v1"))
        self._seconds = microseconds * 1e-6

    def step(self, action: Any) -> Any:
        end = time.perf_counter() + self._seconds
        while time.perf_counter() < end:
            pass
        return self.env.step(action)


def cartpole() -> gymnasium.Env[Any, Any]:
    return gymnasium.make("CartPole-v1")


def rate(step: Callable[[np.ndarray], Any], steps: int) -> float:
    """Agent steps per second over random actions."""
    actions = np.random.default_rng(0).integers(0, 2, (steps, NUM_ENVS))
    start = time.perf_counter()
    for action in actions:
        step(action)
    return NUM_ENVS * steps / (time.perf_counter() - start)


def measure(source: Any, make: Callable[[], gymnasium.Env[Any, Any]], steps: int) -> dict[str, Any]:
    """All contestants on one environment; they live side by side and are stepped in turn."""
    envs: dict[str, Any] = {
        "a2c, in process": a2c.make_envs(source, NUM_ENVS, vectorization="local"),
        "a2c, 2 processes": a2c.make_envs(source, NUM_ENVS, num_workers=1),
        "SyncVectorEnv": SyncVectorEnv([make] * NUM_ENVS, autoreset_mode=AutoresetMode.SAME_STEP),
        "AsyncVectorEnv": AsyncVectorEnv([make] * NUM_ENVS, autoreset_mode=AutoresetMode.SAME_STEP),
    }
    contestants = {}
    for name, env in envs.items():
        env.reset(seed=0)
        step = env.advance if isinstance(env, a2c.Envs) else env.step
        fewer = steps // 5 if name == "AsyncVectorEnv" else steps
        rate(step, fewer // 4)  # warm up
        contestants[name] = lambda step=step, count=fewer: rate(step, count)
    rates = alternate(contestants, ROUNDS)
    for env in envs.values():
        env.close()
    return {
        "steps_per_second": rates,
        "in process / SyncVectorEnv": ratio(rates, "a2c, in process", "SyncVectorEnv"),
        "2 processes / SyncVectorEnv": ratio(rates, "a2c, 2 processes", "SyncVectorEnv"),
        "2 processes / AsyncVectorEnv": ratio(rates, "a2c, 2 processes", "AsyncVectorEnv"),
    }


def main() -> None:
    results = {
        "CartPole-v1": measure("CartPole-v1", cartpole, 4000),
        "CartPole-v1 + 100 us": measure(Burn, Burn, 1000),
    }
    for name, result in results.items():
        for label, value in result.items():
            if "/" in label:
                print(f"{name}: {label} {value['median']:.2f} ({value['lowest']:.2f} to {value['highest']:.2f})")
    keep("environments", "python -m benchmarks.environments", {"num_envs": NUM_ENVS, "environments": results})


if __name__ == "__main__":
    main()
