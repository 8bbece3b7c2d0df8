"""A policy playing one episode before somebody's eyes: a window, or frames for a video."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import gymnasium

from a2c.envs import make_env
from a2c.errors import UserError
from a2c.policy import Policy
from a2c.run import Run, Which


class Episode:
    """One episode of a policy on a rendering environment.

    Attributes:
        fps: Frames per second at which the environment's time is real.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], policy: Policy, greedy: bool, seed: int) -> None:
        self._env, self._policy, self._greedy, self._seed = env, policy, greedy, seed
        self.fps = float(env.metadata.get("render_fps") or 30)

    def steps(self, at_most: int | None = None) -> Iterator[tuple[float, Any]]:
        """Plays; yields the reward of each step and what the environment rendered after it (None in a window)."""
        obs, _ = self._env.reset(seed=self._seed)
        count, done = 0, False
        while not done and (at_most is None or count < at_most):
            obs, reward, terminated, truncated, _ = self._env.step(self._policy.act(obs, self._greedy))
            count, done = count + 1, terminated or truncated
            yield float(reward), self._env.render()


@contextlib.contextmanager
def play(run: Run, which: Which, greedy: bool, seed: int, render_mode: str) -> Iterator[Episode]:
    """An episode of a run's policy, about to be played.

    Args:
        run: The run.
        which: "best" or "final".
        greedy: The most probable action; False samples.
        seed: Of the episode.
        render_mode: "human" or "rgb_array".

    Raises:
        UserError: The environment cannot render in this way, or there is no display for a window.
    """
    policy, config = run.policy(which), run.config
    if "render_mode" in config.env_kwargs:
        config.env_kwargs.pop("render_mode")
    env = make_env(config.env_id, config.env_kwargs, render_mode)
    try:
        policy.check_spaces(env.observation_space, env.action_space)
        yield Episode(env, policy, greedy, seed)
    finally:
        env.close()
