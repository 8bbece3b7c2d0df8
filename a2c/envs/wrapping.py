"""What is put around an environment because a setting says so: Atari's preprocessing, a stack of frames, a limit."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import gymnasium
from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation, TimeLimit

from a2c.errors import UserError, shown

if TYPE_CHECKING:
    from a2c.config import Config  # Only then: worker processes import this package, and need no command line.

_FIRE = 1
"""That action, of games that have it."""


class Wrapping(NamedTuple):
    """Settings of that name, as `Config` has them."""

    max_episode_steps: int | None = None
    """Cut episodes off after so many steps; None: only where the environment does."""
    atari_preprocessing: bool = False
    """Whether an Atari is played as Mnih et al. (2015) did."""
    frame_stack: int = 1
    """How many observations, the last ones, are observed at once."""

    @classmethod
    def of(cls, config: Config) -> Wrapping:
        """That of a run's settings."""
        return cls(config.max_episode_steps, config.atari_preprocessing, config.frame_stack)

    def arguments(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The constructor's arguments: those given, and what goes inside the wrappers.

        Raises:
            UserError: They do not go together.
        """
        if not self.atari_preprocessing:
            return dict(kwargs)
        for name in ("frameskip", "obs_type"):
            if name in kwargs:
                raise UserError(
                    f"env_kwargs has {name} {shown(kwargs[name])}; leave it out, as atari_preprocessing skips frames "
                    "and looks at the screen itself (atari_preprocessing False plays the game as it is)"
                )
        # In colours, which nobody looks at, the screen would be copied at every frame.
        return {**kwargs, "frameskip": 1, "obs_type": "grayscale"}

    def around(self, env: gymnasium.Env[Any, Any], name: str) -> gymnasium.Env[Any, Any]:
        """The environment in its wrappers; `name` is for errors.

        Raises:
            UserError: It is no Atari, and is to be played like one; or a package is missing.
        """
        if self.atari_preprocessing:
            if getattr(env.unwrapped, "ale", None) is None:
                raise UserError(f"atari_preprocessing is for games of ale_py, and {name} is none; leave it out")
            if importlib.util.find_spec("cv2") is None:
                raise UserError(
                    'atari_preprocessing needs a package that is not installed, cv2: pip install "a2c[atari]"'
                )
            env = AtariPreprocessing(env)
            if "FIRE" in env.unwrapped.get_action_meanings()[_FIRE : _FIRE + 1]:  # type: ignore[attr-defined]  # ALE's
                env = FireAtStart(env)
        if self.frame_stack > 1:
            env = FrameStackObservation(env, self.frame_stack)
        return env if self.max_episode_steps is None else TimeLimit(env, self.max_episode_steps)


class FireAtStart(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Presses FIRE where a life begins, as some games wait for it: a policy that never does would play for ever.

    Reference: `FireResetEnv` of OpenAI's Baselines.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self._lives = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """The first observation after FIRE was pressed."""
        self.env.reset(seed=seed, options=options)
        obs, _, _, _, info = self.env.step(_FIRE)
        self._lives = info.get("lives", 0)
        return obs, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """A step; and where it cost a life, one more, whose reward counts with it."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        lost, self._lives = info.get("lives", 0) < self._lives, info.get("lives", 0)
        if lost and not (terminated or truncated):
            obs, more, terminated, truncated, info = self.env.step(_FIRE)
            reward = float(reward) + float(more)
            self._lives = info.get("lives", 0)
        return obs, reward, terminated, truncated, info
