"""`a2c replay RUN`: takes the steps again that led to a failure, with one environment in one process."""

from __future__ import annotations

import dataclasses
import sys
import traceback
from typing import Annotated, Any

import gymnasium
import numpy as np
import tyro

from a2c.envs.episode import close
from a2c.envs.make import make_env
from a2c.errors import UserError, shown
from a2c.run import Run


@dataclasses.dataclass(frozen=True)
class Replay:
    """Take the steps again that led to an environment's failure: one environment, in one process, no training."""

    folder: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """The run's folder, which has failure.json."""
    env: str | None = None
    """Make this environment instead of the one the run names; needed where that would import a module."""

    def run(self) -> int:
        """Returns the exit code; what the environment raises is raised, and what ends the process ends it."""
        run = Run(self.folder)
        failure = run.failure()
        env = make_env(run.environment(self.env), run.config.env_kwargs, None, run.config.max_episode_steps)
        actions, space = failure.actions, env.action_space
        if actions.shape[1:] != space.shape or actions.dtype != space.dtype:
            raise UserError(
                f"{run.path / 'failure.safetensors'} has actions {actions.dtype} {actions.shape[1:]}, "
                f"{run.config.env_id} takes {space.dtype} {space.shape}; they must be the same"
            )
        for action in actions:
            if not space.contains(action):
                raise UserError(f"failure.safetensors has an action {shown(action)}; {run.config.env_id} takes {space}")
        print(
            f"environment {failure.env_index}, episode {failure.episode}: reset with seed {failure.episode_seed}, "
            f"then {len(actions)} steps",
            file=sys.stderr,
        )
        try:
            obs, _ = env.reset(seed=failure.episode_seed)
            if _is_wrong(obs, 0.0, env.observation_space):
                print(f"the reset gave observation {obs}")
                return 1
            for number, action in enumerate(actions.copy(), 1):
                print(f"\rstep {number}", end="", file=sys.stderr, flush=True)
                obs, reward, terminated, truncated, _ = env.step(action)
                if _is_wrong(obs, reward, env.observation_space):
                    print(f"\nstep {number} gave reward {reward}, observation {obs}")
                    return 1
                if terminated or truncated:
                    print(f"\nthe episode ended at step {number}")
                    return 0
        except KeyboardInterrupt:
            traceback.print_exc()  # Where an environment hung is what one wants to know.
            return 130
        finally:
            print(file=sys.stderr)
            close(env)
        print(f"no failure in {len(actions)} steps; the last observation is {obs}")
        return 0


def _is_wrong(obs: Any, reward: Any, space: gymnasium.Space[Any]) -> bool:
    """Whether an observation or a reward is what training refuses."""
    return np.shape(obs) != space.shape or not (np.isfinite(obs).all() and np.isfinite(float(reward)))
