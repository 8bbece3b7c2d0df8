"""Environments for injecting faults.

`faults.envs:HangingCartPole-v1` and the like are the real environments, except that a file can make one of them hang.
The variable HANG names a folder; the environment that removes a file from it, in a worker, hangs: after `sleep` in
Python's sleep, after `hold` in C, holding the interpreter's lock so that no other thread runs.

`Pixels-v0` shows small images and samples from its own spaces; `Camera-v0` shows larger images, and `Lives-v0` has
lives, too. `Nested-v0` has nested observations and actions, and masks.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import time
from typing import Any

import gymnasium
import numpy as np

HANG = "A2C_FAULTS_HANG"
HANGS = ("sleep", "hold")

_LONG = 3600


class Hanging(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Checks before each step whether to hang."""

    def step(self, action: Any) -> Any:
        folder = os.environ.get(HANG)
        if folder and multiprocessing.parent_process() is not None:
            for kind in HANGS:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{folder}/{kind}")  # Only one environment succeeds.
                    if kind == "sleep":
                        time.sleep(_LONG)
                    else:
                        ctypes.PyDLL(None).sleep(_LONG)  # Unlike CDLL, PyDLL does not release the interpreter's lock.
        return self.env.step(action)


class Pixels(gymnasium.Env[Any, Any]):
    """The brighter half of an image shows which action is right; the noise comes from the environment's own spaces."""

    observation_space = gymnasium.spaces.Box(0, 255, (8, 8), np.uint8)
    action_space = gymnasium.spaces.Discrete(2)
    _half = 4

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self._steps = 0
        return self._next(), {}

    def step(self, action: Any) -> Any:
        reward = float(action == self._right)
        self._steps += 1
        return self._next(), reward, self._steps == 20, False, {}

    def _next(self) -> Any:
        self._right = int(self.action_space.sample())
        image = self.observation_space.sample() // 2
        image[:, self._half * self._right : self._half * self._right + self._half] += 127
        return image


class Camera(Pixels):
    """The same with images large enough for convolutions."""

    observation_space = gymnasium.spaces.Box(0, 255, (36, 36), np.uint8)
    _half = 18


class Lives(Camera):
    """The same in four lives of five steps each."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return super().reset(seed=seed)[0], {"lives": 4}

    def step(self, action: Any) -> Any:
        *result, _ = super().step(action)
        return *result, {"lives": 4 - self._steps // 5}


class Nested(gymnasium.Env[Any, Any]):
    """Rewards the choice that is shown, which is always allowed, and a number near the first one that is shown.

    It raises at a forbidden choice.
    """

    observation_space = gymnasium.spaces.Dict(
        wanted=gymnasium.spaces.Discrete(5, start=1),
        place=gymnasium.spaces.Tuple((gymnasium.spaces.Box(-1, 1, (2,)), gymnasium.spaces.MultiBinary(3))),
    )
    action_space = gymnasium.spaces.Tuple((gymnasium.spaces.Discrete(5, start=1), gymnasium.spaces.Box(-2, 2, (1,))))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self._steps = 0
        return self._next()

    def step(self, action: Any) -> Any:
        choice, number = action
        if not self._mask[choice - 1]:
            raise ValueError(f"{choice} is not allowed, {self._mask} are")
        reward = float(choice == self._wanted) - abs(float(number[0]) - float(self._place[0]))
        self._steps += 1
        obs, info = self._next()
        return obs, reward, self._steps == 20, False, info

    def _next(self) -> Any:
        self._place = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        self._mask = self.np_random.integers(0, 2, 5, dtype=np.int8)
        self._wanted = int(self.np_random.integers(1, 6))
        self._mask[self._wanted - 1] = 1
        bits = self.np_random.integers(0, 2, 3, dtype=np.int8)
        return {"wanted": self._wanted, "place": (self._place, bits)}, {"action_mask": (self._mask, None)}


def make(env_id: str, **kwargs: Any) -> Hanging:
    return Hanging(gymnasium.make(env_id, **kwargs))


gymnasium.register("Pixels-v0", entry_point="faults.envs:Pixels")
gymnasium.register("Camera-v0", entry_point="faults.envs:Camera")
gymnasium.register("Lives-v0", entry_point="faults.envs:Lives")
gymnasium.register("Nested-v0", entry_point="faults.envs:Nested")
for _env_id in ("CartPole-v1", "LunarLander-v3", "HalfCheetah-v5", "Pixels-v0", "Camera-v0", "Lives-v0", "Nested-v0"):
    gymnasium.register(f"Hanging{_env_id}", entry_point="faults.envs:make", kwargs={"env_id": _env_id})
