"""a2c: Advantage Actor-Critic for any Gymnasium environment.

a2c.train("CartPole-v1") -> Run        train
a2c.resume(run)                        continue a run that was interrupted, or train it further
a2c.Training("CartPole-v1")            train in your own loop: `for row in training`
run.evaluate() -> Evaluation           whole episodes in new environments
a2c.load(run).act(obs)                 the policy, ready to use
a2c.make_envs("CartPole-v1", 8)        environments in worker processes, a gymnasium.vector.VectorEnv
a2c.CompiledEnv(...)                   an environment of your own as compiled functions
a2c.Config                             every setting
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from a2c.version import __version__ as __version__

# If colorama is installed, Numba colours its own error messages: importing it then replaces standard output and error,
# and ends every program with an escape sequence. Nobody sees these messages here.
os.environ.setdefault("NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING", "1")

if TYPE_CHECKING:
    from a2c.config import Config as Config
    from a2c.envs import Envs as Envs
    from a2c.envs import make_envs as make_envs
    from a2c.envs.compiled.form import CompiledEnv as CompiledEnv
    from a2c.errors import EnvError as EnvError
    from a2c.errors import UserError as UserError
    from a2c.errors import WorkerError as WorkerError
    from a2c.policy import Policy as Policy
    from a2c.run.folder import Run as Run
    from a2c.run.folder import load as load
    from a2c.stepwise import Training as Training
    from a2c.training import resume as resume
    from a2c.training import train as train


_HOMES = {
    "CompiledEnv": "a2c.envs.compiled.form",
    "Config": "a2c.config",
    "Envs": "a2c.envs",
    "make_envs": "a2c.envs",
    "EnvError": "a2c.errors",
    "UserError": "a2c.errors",
    "WorkerError": "a2c.errors",
    "Policy": "a2c.policy",
    "Run": "a2c.run.folder",
    "load": "a2c.run.folder",
    "Training": "a2c.stepwise",
    "resume": "a2c.training",
    "train": "a2c.training",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used: a worker process must not pay for the trainer."""
    if name not in _HOMES:
        raise AttributeError(f"module 'a2c' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
