"""An environment that counts its steps, for tests of how observations, infos and ends are passed on."""

import gymnasium
import numpy as np


class Countdown(gymnasium.Env):
    """Ends after 3 steps: terminated if the last action was 1, otherwise truncated.

    The observation is a number drawn from the seed, the count of steps, and the reset's option "third".
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 - as Gymnasium has it

    def __init__(self, render_mode=None):
        self.observation_space = gymnasium.spaces.Box(-1000, 1000, (3,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(2)
        self.render_mode = render_mode
        self.speed = 1
        self._obs = np.zeros(3, np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._obs[:] = self.np_random.integers(100), 0, (options or {}).get("third", 0)
        return self._seen(), {"phase": "reset"}

    def step(self, action):
        self._obs[1] += self.speed
        over = self._obs[1] >= 3
        return self._seen(), float(action), bool(over and action), bool(over and not action), {"phase": "step"}

    def _seen(self):
        return self._obs.copy()

    def reset_task(self, task=7):
        return task

    def render(self):
        return np.full((2, 2, 3), self._obs[1], np.uint8)
