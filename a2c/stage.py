"""A policy playing in a rendering environment: in a window, or as frames for a video."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np

from a2c.envs import make_env
from a2c.envs.construction import EnvSource, display_hint, env_name, traits
from a2c.envs.episode import SeededEnv, close
from a2c.envs.values import Feedback
from a2c.envs.wrapping import Wrapping
from a2c.errors import EnvError, UserError
from a2c.finite import brief, finite
from a2c.policy import Policy
from a2c.randomness import generator
from a2c.run.folder import Run
from a2c.run.policies import Which
from a2c.spaces import row_type


class Episode:
    """An episode of a policy in a rendering environment; `begin` starts the next one.

    Attributes:
        fps: Frames per second in the environment's own time.
        is_over: Whether the episode has ended.
    """

    def __init__(self, env: SeededEnv, policy: Policy, greedy: bool, obs: Any) -> None:
        """Takes over an episode after its reset.

        Args:
            env: The environment.
            policy: The policy.
            greedy: Whether to take the most probable action; False samples.
            obs: The first observation.
        """
        self._env, self._policy, self._greedy = env, policy, greedy
        self._rows = np.zeros(1, row_type(policy.observation_space))
        fps = _metadata(env.env).get("render_fps")
        self.fps = float(fps) if isinstance(fps, int | float) and math.isfinite(fps) and fps > 0 else 30.0
        self._start(obs)

    def _start(self, obs: Any) -> None:
        self._rng = None if self._greedy else generator(self._env.seed, "policy")
        self._rows[0] = obs
        self._carry = self._policy.begin(1)
        self.is_over = False

    def begin(self, seed: int) -> None:
        """Begins the episode of a seed.

        Raises:
            EnvError: The environment raised, or returned something invalid.
        """
        obs, _ = self._env.reset(seed)
        self._start(obs)

    def render(self) -> Any:
        """The environment's current picture.

        Raises:
            UserError: Rendering raised.
        """
        try:
            return self._env.env.render()
        except Exception as error:
            raise UserError(f"the environment cannot draw itself: {_said(error)}") from error

    def steps(self, at_most: int | None = None, rendered: bool = True) -> Iterator[tuple[float, Any]]:
        """Plays; yields the reward of each step and the picture after it (None in a window).

        Args:
            at_most: The most steps to play; None: to the end.
            rendered: Whether to render every step; if not, call `render` when a picture is needed.

        Raises:
            UserError: Rendering raised, or an observation is not finite.
            EnvError: The environment raised, or returned something invalid.
        """
        count = 0
        while not self.is_over and (at_most is None or count < at_most):
            count += 1
            if not finite(self._rows).all():
                raise UserError(
                    f"the environment gave an observation of {brief(self._rows)}; every number must be finite in "
                    "float32"
                )
            noise = None if self._rng is None else self._policy.draw_noise(self._rng, 1)
            mask = None if self._env.mask is None else self._env.mask[None]
            actions, self._carry = self._policy.act_batch(self._rows, noise, mask, self._carry)
            self._rows[0], reward, terminated, truncated, _ = self._env.step(actions[0])
            self.is_over = terminated or truncated
            yield reward, self.render() if rendered else None


class CannotRenderError(UserError):
    """An environment does not have the wanted render mode.

    Attributes:
        modes: The render modes that it declares.
    """

    def __init__(self, name: str, render_mode: str, modes: Sequence[str]) -> None:
        super().__init__(f"{name} cannot render {render_mode!r}; it can render {list(modes) or 'nothing'}")
        self.modes = tuple(modes)


@contextlib.contextmanager
def play(
    run: Run,
    which: Which,
    greedy: bool,
    seed: int,
    render_mode: str,
    env: EnvSource | None = None,
    on_screen: bool = False,
) -> Iterator[Episode]:
    """Creates a run's environment and yields an episode of its policy, after the reset.

    Args:
        run: The run.
        which: "best", "final", or the number of steps after which the run saved the policy.
        greedy: Whether to take the most probable action; False samples.
        seed: The episode's seed.
        render_mode: "human" or "rgb_array".
        env: The environment to make instead of the run's, as in `Run.evaluate`.
        on_screen: Whether the pictures are for our own window; "human" opens the environment's.

    Raises:
        CannotRenderError: The environment does not have this render mode.
        UserError: Rendering raised, or there is no display for a window.
        EnvError: The environment's constructor raised, or its reset returned something invalid.
    """
    is_seen = on_screen or render_mode == "human"
    if is_seen:
        require_display()
    else:
        # Even to draw into memory only, pygame looks for a display, and complains without one.
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    if not 0 <= seed < 2**31:
        raise UserError(f"seed is {seed}; it must be from 0 to 2**31 - 1")
    policy, source = run.policy(which), run.environment(env)
    kwargs = {name: value for name, value in run.config.env_kwargs.items() if name != "render_mode"}
    stage = _stage(source, kwargs, render_mode, Wrapping.of(run.config))
    try:
        spaces = traits(stage)
        policy.check_spaces(spaces.observation_space, spaces.action_space)
        seeded = SeededEnv(lambda: stage, seed, 0, stage, Feedback(run.config.reward_weights))
        try:
            # Gymnasium's environments open their window here.
            obs, _ = seeded.reset(seed)
        except EnvError as error:
            if not error.raised:
                raise
            hint = f"; {_WITHOUT_DISPLAY}" if is_seen else ""
            raise UserError(f"{env_name(source)} cannot be shown: {_said(error)}{hint}") from error
        yield Episode(seeded, policy, greedy, obs)
    finally:
        close(stage)


_WITHOUT_DISPLAY = "`a2c record` makes a video without one, and `xvfb-run a2c watch ...` simulates one"


def _stage(
    source: EnvSource, kwargs: Mapping[str, Any], render_mode: str, wrapping: Wrapping
) -> gymnasium.Env[Any, Any]:
    """Creates the environment with a render mode. Only one is alive at a time: it may hold a port, or a licence.

    Raises:
        CannotRenderError: It does not declare this render mode.
        UserError: It declares the mode, but cannot be created with it.
        EnvError: Its constructor raises even without rendering.
    """
    failure: UserError | EnvError | None = None
    try:
        with warnings.catch_warnings():
            # Gymnasium warns of what our own error will say, or that it opens a window.
            warnings.filterwarnings("ignore", message=r".*(render_mode|'human' rendering)")
            stage = make_env(source, kwargs, render_mode, wrapping)
    except (UserError, EnvError) as error:
        failure, stage = error, make_env(source, kwargs, None, wrapping)
    modes = [mode for mode in _metadata(stage).get("render_modes") or [] if isinstance(mode, str)]
    if failure is None and render_mode in modes:
        return stage
    close(stage)
    if failure is None and f"{render_mode}_list" in modes:
        return make_env(source, kwargs, f"{render_mode}_list", wrapping)
    name = env_name(source)
    if failure is not None and render_mode in modes:
        raise UserError(f"{name} cannot render {render_mode!r}: {_said(failure)}") from failure
    raise CannotRenderError(name, render_mode, modes)


def _metadata(env: gymnasium.Env[Any, Any]) -> Mapping[str, Any]:
    """The environment's metadata; empty if it has none, or something other than a mapping."""
    metadata: Any = env.metadata
    return metadata if isinstance(metadata, Mapping) else {}


def _said(error: Exception) -> str:
    """The environment's error on one line, with a hint if it found no display."""
    lines = str(error).strip().splitlines() if not isinstance(error, EnvError) else error.details.strip().splitlines()
    name = "" if isinstance(error, UserError | EnvError) else f"{type(error).__name__}: "
    said = name + textwrap.shorten(lines[-1] if lines else "", 200)
    hint = display_hint(error)
    return f"{said}; {hint}" if hint else said


def require_display() -> None:
    """Refuses to open a window without a display: SDL would silently draw nowhere.

    Raises:
        UserError: There is no display.
    """
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
        raise UserError(f"there is no display to open a window on; {_WITHOUT_DISPLAY}")
