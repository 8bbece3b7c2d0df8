"""A policy playing one episode before somebody's eyes: a window, or frames for a video."""

from __future__ import annotations

import contextlib
import os
import sys
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

    def __init__(self, env: gymnasium.Env[Any, Any], policy: Policy, greedy: bool, obs: Any) -> None:
        self._env, self._policy, self._greedy, self._obs = env, policy, greedy, obs
        self.fps = float(env.metadata.get("render_fps") or 30)

    def steps(self, at_most: int | None = None) -> Iterator[tuple[float, Any]]:
        """Plays; yields the reward of each step and what the environment rendered after it (None in a window)."""
        count, done = 0, False
        while not done and (at_most is None or count < at_most):
            self._obs, reward, terminated, truncated, _ = self._env.step(self._policy.act(self._obs, self._greedy))
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
    if render_mode == "human":
        _require_display()
    else:
        # pygame would look for a display even where it only draws into memory, and complain.
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    policy, env_id = run.policy(which), run.config.env_id
    kwargs = {name: value for name, value in run.config.env_kwargs.items() if name != "render_mode"}
    with contextlib.closing(make_env(env_id, kwargs)) as env:
        modes = env.metadata.get("render_modes") or []
    if render_mode not in modes:
        raise UserError(f"{env_id} cannot render {render_mode!r}; it can render {modes or 'nothing'}")
    env = make_env(env_id, kwargs, render_mode)
    try:
        policy.check_spaces(env.observation_space, env.action_space)
        try:
            obs, _ = env.reset(seed=seed)  # Gymnasium's environments open their window here.
        except Exception as error:
            hint = "; `a2c record` makes a video without a display" if render_mode == "human" else ""
            raise UserError(f"{env_id} cannot be shown: {error}{hint}") from error
        yield Episode(env, policy, greedy, obs)
    finally:
        env.close()


def _require_display() -> None:
    """Refuses to open a window nobody would see: without a display, SDL draws into nothing and says so to nobody."""
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
        raise UserError("there is no display to open a window on; `a2c record` makes a video without one")
