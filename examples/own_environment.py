"""Trains on an environment of your own, uses the policy, and draws the curve.

python examples/own_environment.py
"""

import gymnasium
import numpy as np

import a2c


class Thermostat(gymnasium.Env):
    """Keep a room at 20 degrees by heating between 0 and 1; it leaks warmth to the cold outside."""

    observation_space = gymnasium.spaces.Box(-50, 50, (2,), np.float32)
    action_space = gymnasium.spaces.Box(0, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._room, self._outside = self.np_random.uniform([15, -5], [25, 10])
        return self._seen(), {}

    def step(self, action):
        heating = 5.0 * float(action[0])
        self._room += heating - 0.15 * (self._room - self._outside)
        # There is no end but the time limit below: the truncated episode is valued as if it went on.
        return self._seen(), -abs(self._room - 20.0), False, False, {}

    def _seen(self):
        return np.array([self._room - 20.0, self._outside], np.float32)


def make():
    return gymnasium.wrappers.TimeLimit(Thermostat(), 50)


if __name__ == "__main__":
    run = a2c.train(
        make,
        total_steps=100_000,
        learning_rate=2e-3,
        schedule="linear",
        gamma=0.9,
        normalize_observations=True,
        normalize_returns=True,
    )
    print(f"mean return over 100 episodes: {run.summary['evaluation']['mean']:.1f} (0 is perfect)")
    policy = a2c.load(run)
    for off in (-5.0, 0.0, 5.0):
        print(f"{20 + off:.0f} degrees, 0 outside: heat {policy.act([off, 0.0])[0]:.2f}")
