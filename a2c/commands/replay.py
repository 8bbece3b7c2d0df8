"""`a2c replay RUN`: repeats the steps that led to an environment's failure, in one process, for a debugger."""

from __future__ import annotations

import dataclasses
import sys
import traceback
from typing import Annotated, Any, Literal, NamedTuple

import gymnasium
import numpy as np
import tyro
from numpy.typing import NDArray

from a2c.envs.construction import traits
from a2c.envs.episode import SeededEnv, close
from a2c.envs.make import make_env
from a2c.envs.values import Feedback
from a2c.envs.wrapping import Wrapping
from a2c.errors import EnvError, FailedEpisode, UserError, shown
from a2c.finite import finite
from a2c.output import print_json
from a2c.run.folder import Run
from a2c.spaces import row_type, unplain, value_of


@dataclasses.dataclass(frozen=True)
class Replay:
    """Repeat the steps that led to an environment's failure: one environment in one process, without training."""

    folder: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """The run's folder, with failure.json in it."""
    env: str | None = None
    """Make this environment instead of the run's; needed if the run's would import a module."""
    json: bool = False
    """Print one JSON object: the episode, and what came of its steps."""

    def run(self) -> int:
        """Returns the exit code. An exception of the environment is raised; a crash ends this process."""
        run = Run(self.folder)
        failed = run.failed_episode()
        env = make_env(run.environment(self.env), run.config.env_kwargs, None, Wrapping.of(run.config))
        try:
            actions = _actions(run, failed, env.action_space)
            print(
                f"environment {failed.env_index}, episode {failed.episode}: reset with seed {failed.episode_seed}, "
                f"then {len(actions)} steps",
                file=sys.stderr,
            )
            found = _replayed(run, failed, actions, env)
        finally:
            close(env)
        if self.json:
            episode = {name: value for name, value in failed._asdict().items() if name != "actions"}
            outcome = {"outcome": found.outcome, "step": found.step, "message": found.text}
            print_json({"run": self.folder, **episode, "recorded_steps": len(actions), **outcome})
        elif found.error is None:
            print(found.text)
        if found.error is not None:
            raise found.error
        return _CODES[found.outcome]


Outcome = Literal["raised", "invalid", "not finite", "interrupted", "ended", "no failure"]
_CODES: dict[Outcome, int] = {
    "invalid": 1,
    "not finite": 1,
    "interrupted": 130,
    "ended": 0,
    "no failure": 0,
}
"""The exit code of each outcome but "raised": there, the error is raised."""


class _Found(NamedTuple):
    """What came of the steps of an episode."""

    outcome: Outcome
    step: int
    """The last step that was taken, from 1; 0: the reset."""
    text: str
    """The same in words."""
    error: EnvError | None = None
    """What the environment raised."""


def _actions(run: Run, failed: FailedEpisode, space: gymnasium.Space[Any]) -> NDArray[Any]:
    """The recorded actions as the environment takes them.

    Raises:
        UserError: It has no such actions.
    """
    path, right = run.path / "failure.safetensors", row_type(space)
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
    return actions


def _replayed(run: Run, failed: FailedEpisode, actions: NDArray[Any], env: gymnasium.Env[Any, Any]) -> _Found:
    """Takes the steps as in training: with the same seeds, and the same checks of what the environment returns."""
    seeded = SeededEnv(lambda: env, run.config.seed, failed.env_index, env, Feedback(run.config.reward_weights))
    seeded.episode = failed.episode - 1
    number = 0
    try:
        obs, _ = seeded.reset(failed.episode_seed)
        rows = np.zeros(1, row_type(traits(env).observation_space))
        rows[0] = obs
        if not finite(rows).all():
            return _Found("not finite", 0, f"the reset gave observation {obs}")
        for number, action in enumerate(actions.copy(), 1):
            print(f"\rstep {number}", end="", file=sys.stderr, flush=True)
            obs, reward, terminated, truncated, _ = seeded.step(action)
            rows[0] = obs
            # The last observation of a terminated episode is never used, so it need not be finite.
            if not finite(reward) or not (terminated or finite(rows).all()):
                return _Found("not finite", number, f"step {number} gave reward {reward}, observation {obs}")
            if terminated or truncated:
                return _Found("ended", number, f"the episode ended at step {number}")
    except EnvError as error:
        return _Found("raised", number, str(error), error) if error.raised else _Found("invalid", number, str(error))
    except KeyboardInterrupt:
        traceback.print_exc()  # It shows at which line the environment hangs.
        return _Found("interrupted", number, f"interrupted in step {number}")
    finally:
        print(file=sys.stderr)
    return _Found("no failure", number, f"no failure in {len(actions)} steps; the last observation is {obs}")
