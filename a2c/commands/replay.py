"""`a2c replay RUN`: repeats the steps that led to an environment's failure, in one process, for a debugger."""

from __future__ import annotations

import dataclasses
import sys
import traceback
from typing import Annotated

import numpy as np
import tyro

from a2c.envs.construction import traits
from a2c.envs.episode import SeededEnv, close
from a2c.envs.make import make_env
from a2c.envs.values import Feedback
from a2c.envs.wrapping import Wrapping
from a2c.errors import EnvError, UserError, shown
from a2c.finite import finite
from a2c.run.folder import Run
from a2c.spaces import row_type, unplain, value_of


@dataclasses.dataclass(frozen=True)
class Replay:
    """Repeat the steps that led to an environment's failure: one environment in one process, without training."""

    folder: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """The run's folder, with failure.json in it."""
    env: str | None = None
    """Make this environment instead of the run's; needed if the run's would import a module."""

    def run(self) -> int:
        """Returns the exit code. An exception of the environment is raised; a crash ends this process."""
        run = Run(self.folder)
        failed = run.failed_episode()
        env = make_env(run.environment(self.env), run.config.env_kwargs, None, Wrapping.of(run.config))
        space, path = env.action_space, run.path / "failure.safetensors"
        right = row_type(space)
        try:
            actions = unplain(failed.actions, right)
        except ValueError as error:
            raise UserError(f"{path} holds actions that {run.config.env_id} does not have: {error}") from error
        if actions.shape[1:] != right.shape or actions.dtype != right.base:
            raise UserError(
                f"{path} holds actions {actions.dtype} {actions.shape[1:]}, but {run.config.env_id} takes {right.base} "
                f"{right.shape}; they must be the same"
            )
        value = value_of(space)
        for action in actions:
            if not space.contains(value(action)):
                raise UserError(f"{path} holds an action {shown(action)}, but {run.config.env_id} takes {space}")
        print(
            f"environment {failed.env_index}, episode {failed.episode}: reset with seed {failed.episode_seed}, "
            f"then {len(actions)} steps",
            file=sys.stderr,
        )
        # As in training: with the same seeds, and the same checks of what the environment returns.
        seeded = SeededEnv(lambda: env, run.config.seed, failed.env_index, env, Feedback(run.config.reward_weights))
        seeded.episode = failed.episode - 1
        try:
            obs, _ = seeded.reset(failed.episode_seed)
            rows = np.zeros(1, row_type(traits(env).observation_space))
            rows[0] = obs
            if not finite(rows).all():
                print(f"the reset gave observation {obs}")
                return 1
            for number, action in enumerate(actions.copy(), 1):
                print(f"\rstep {number}", end="", file=sys.stderr, flush=True)
                obs, reward, terminated, truncated, _ = seeded.step(action)
                rows[0] = obs
                # The last observation of a terminated episode is never used, so it need not be finite.
                if not finite(reward) or not (terminated or finite(rows).all()):
                    print(f"\nstep {number} gave reward {reward}, observation {obs}")
                    return 1
                if terminated or truncated:
                    print(f"\nthe episode ended at step {number}")
                    return 0
        except EnvError as error:
            if error.raised:
                raise
            print(f"\n{error}")
            return 1
        except KeyboardInterrupt:
            traceback.print_exc()  # It shows at which line the environment hangs.
            return 130
        finally:
            print(file=sys.stderr)
            close(env)
        print(f"no failure in {len(actions)} steps; the last observation is {obs}")
        return 0
