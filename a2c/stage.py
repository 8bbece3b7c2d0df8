"""A policy playing one episode before somebody's eyes: a window, or frames for a video."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import gymnasium

from a2c.envs import make_env
from a2c.envs.episode import close
from a2c.envs.make import EnvSource, env_name
from a2c.errors import EnvError, UserError
from a2c.policy import Policy
from a2c.run import Run, Which


class Episode:
    """One episode of a policy on a rendering environment.

    Attributes:
        fps: Frames per second at which the environment's time is real.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], policy: Policy, greedy: bool, seed: int, obs: Any) -> None:
        self._env, self._policy, self._greedy, self._seed, self._obs = env, policy, greedy, seed, obs
        self.fps = float(env.metadata.get("render_fps") or 30)

    def steps(self, at_most: int | None = None) -> Iterator[tuple[float, Any]]:
        """Plays; yields the reward of each step and what the environment rendered after it (None in a window)."""
        count, done = 0, False
        while not done and (at_most is None or count < at_most):
            count += 1
            try:
                self._obs, reward, terminated, truncated, _ = self._env.step(self._policy.act(self._obs, self._greedy))
            except Exception as error:
                raise EnvError(0, "step", 0, self._seed, count, traceback.format_exc()) from error
            try:
                frame = self._env.render()
            except Exception as error:
                raise UserError(f"the environment cannot draw itself: {type(error).__name__}: {error}") from error
            done = terminated or truncated
            yield float(reward), frame


@contextlib.contextmanager
def play(
    run: Run, which: Which, greedy: bool, seed: int, render_mode: str, env: EnvSource | None = None
) -> Iterator[Episode]:
    """An episode of a run's policy, about to be played.

    Args:
        run: The run.
        which: "best" or "final".
        greedy: The most probable action; False samples.
        seed: Of the episode.
        render_mode: "human" or "rgb_array".
        env: What to make instead of what the run names, as in `Run.evaluate`.

    Raises:
        UserError: The environment cannot render in this way, or there is no display for a window.
    """
    if render_mode == "human":
        _require_display()
    else:
        # pygame would look for a display even where it only draws into memory, and complain.
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    if not 0 <= seed < 2**31:
        raise UserError(f"seed is {seed}; it must be from 0 to 2**31 - 1")
    policy, source = run.policy(which), run.environment(env)
    name = env_name(source)
    kwargs = {name: value for name, value in run.config.env_kwargs.items() if name != "render_mode"}
    probe = make_env(source, kwargs)
    modes = probe.metadata.get("render_modes") or []
    close(probe)
    if render_mode not in modes:
        raise UserError(f"{name} cannot render {render_mode!r}; it can render {modes or 'nothing'}")
    stage = make_env(source, kwargs, render_mode)
    try:
        policy.check_spaces(stage.observation_space, stage.action_space)
        try:
            obs, _ = stage.reset(seed=seed)  # Gymnasium's environments open their window here.
        except Exception as error:
            hint = "; `a2c record` makes a video without a display" if render_mode == "human" else ""
            raise UserError(f"{name} cannot be shown: {error}{hint}") from error
        yield Episode(stage, policy, greedy, seed, obs)
    finally:
        close(stage)


def _require_display() -> None:
    """Refuses to open a window nobody would see: without a display, SDL draws into nothing and says so to nobody."""
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
        raise UserError("there is no display to open a window on; `a2c record` makes a video without one")
