"""A checkpoint that a run goes on from: whether it is of that run, and what is not as it was."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

from a2c.config import Config
from a2c.errors import UserError, shown
from a2c.model.own import is_own
from a2c.run import checkpoint
from a2c.run.checkpoint import Checkpoint
from a2c.run.folder import Run
from a2c.run.versions import made_with


def newest(run: Run, config: Config) -> Checkpoint | None:
    """The newest checkpoint of a run that is to go on with these settings; None: it never came to its first.

    Raises:
        UserError: There is none that is whole, or it is not of this run.
    """
    if checkpoint.is_empty(run.checkpoints):
        warnings.warn(f"{run.path} has no checkpoint yet: it begins at the start", stacklevel=2)
        return None
    saved = checkpoint.newest(run.checkpoints)
    if saved.notes.get("config") != run.config.identity():
        raise UserError(f"{run.config_path} is not what {saved.path} was made with; a run keeps its settings")
    if saved.counters["updates"] > config.num_updates:
        raise UserError(
            f"total_steps is {config.total_steps}, and the run has made {saved.counters['steps']} steps; "
            "it must be at least those"
        )
    with fitting(saved):
        if saved.counters["steps"] != saved.counters["updates"] * config.steps_per_update:
            raise ValueError(f"{saved.counters} are not steps and updates of {config.steps_per_update} steps each")
        # What is about to be made is as large as the settings say: look whether the arrays are, too.
        layers = 0 if is_own(config.network) else len(config.hidden_sizes)  # There are none beside the user's own.
        sizes = [saved.arrays[f"actor.{i}.weight"].shape[1] for i in range(layers)]
        if sizes != list(config.hidden_sizes)[:layers]:
            raise ValueError(f"its hidden layers have {sizes} units; the settings say {list(config.hidden_sizes)}")
        if saved.arrays["collector.lengths"].shape != (config.num_envs,):
            raise ValueError(f"it is not of {config.num_envs} environments")
        if config.memory_size and saved.arrays["collector.carry"].shape != (config.num_envs, config.memory_size):
            raise ValueError(f"it does not remember {config.memory_size} numbers of each environment")
        if not all(isinstance(saved.notes[name], dict) for name in ("session", "logs", "made_with")):
            raise ValueError("its notes are no JSON objects")
    return saved


@contextlib.contextmanager
def fitting(saved: Checkpoint) -> Iterator[None]:
    """Around whatever reads a checkpoint that is whole, and may yet not be what this run could have written.

    Raises:
        UserError: Naming it and the fault.
    """
    try:
        yield
    except KeyError as error:
        raise UserError(f"{saved.path} does not fit this run: it lacks {error}") from error
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise UserError(f"{saved.path} does not fit this run: {error}") from error


def why_inexact(saved: Checkpoint, config: Config, engine_name: str) -> list[str]:
    """Why a run that goes on from a checkpoint may end in other bits than one that was never interrupted."""
    then, now = saved.notes["made_with"], made_with(engine_name)
    reasons = [
        f"{name} is {now.get(name)}, it was {shown(then.get(name))}" for name in now if now[name] != then.get(name)
    ]
    before = saved.notes.get("total_steps")
    if before != config.total_steps and config.schedule == "linear":
        reasons.append(f"total_steps is {config.total_steps}, it was {before}, and the linear schedule depends on it")
    return reasons
