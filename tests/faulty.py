"""Environments that fail on purpose, registered as `faulty:Faulty-v0` and so on."""

import os
import time

import gymnasium
import numpy as np


class Faulty(gymnasium.Env):
    """Fails in one phase.

    Args:
        phase: "construction", "reset", "step", or "reward" (the reward is NaN).
        how: "raise", "unpicklable", "die" or "hang".
        after: At which step, counted over all episodes.
        spares: The variable of the process environment with the number of a process in which nothing fails.
    """

    def __init__(self, phase="step", how="raise", after=3, spares=None):
        self.observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(2)
        self._phase, self._how, self._after, self._count = phase, how, after, 0
        self._spared = spares is not None and os.environ.get(spares) == str(os.getpid())
        self._maybe_fail("construction", 0)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        self._maybe_fail("reset", 0)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self._steps += 1
        self._count += 1
        self._maybe_fail("step", self._after)
        reward = float("nan") if self._phase == "reward" else 0.0
        return np.zeros(2, np.float32), reward, False, self._steps == 50, {}

    def _maybe_fail(self, phase, after):
        if phase != self._phase or self._spared or self._count < after:
            return
        match self._how:
            case "raise":
                raise RuntimeError(f"the {phase} went wrong")
            case "unpicklable":
                raise UnpicklableError(lambda: None)
            case "die":
                os.kill(os.getpid(), 9)
            case "hang":
                time.sleep(1000)


class UnpicklableError(Exception):
    def __reduce__(self):
        raise TypeError("this exception cannot be pickled")


class Endless(Faulty):
    """Its episodes never end."""

    def __init__(self):
        super().__init__(phase="never")

    def step(self, action):
        return np.zeros(2, np.float32), 0.0, False, False, {}


class Undrawable(Faulty):
    """Raises in `render`."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012 - as Gymnasium has it

    def __init__(self, render_mode=None):
        super().__init__(phase="never")
        self.render_mode = render_mode

    def render(self):
        raise RuntimeError("no canvas")


gymnasium.register("Faulty-v0", entry_point="faulty:Faulty")
gymnasium.register("Endless-v0", entry_point="faulty:Endless")
gymnasium.register("Undrawable-v0", entry_point="faulty:Undrawable")
