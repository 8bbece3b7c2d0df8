"""Checks the checkpoint that a run is to be resumed from: whether it fits the run, and whether results stay exact."""

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
    """The newest checkpoint of a run that is to go on with these settings; None if it has none yet.

    Raises:
        UserError: None is intact, or it does not fit the run or the settings.
    """
    if checkpoint.is_empty(run.checkpoints):
        warnings.warn(f"{run.path} has no checkpoint yet; it starts from step 0", stacklevel=2)
        return None
    saved = checkpoint.newest(run.checkpoints)
    if saved.notes.get("config") != run.config.identity():
        raise UserError(
            f"{run.config_path} has other settings than {saved.path} was made with; a run cannot change its settings, "
            "so undo the edit of config.json"
        )
    if saved.counters["updates"] > config.num_updates:
        raise UserError(
            f"total_steps is {config.total_steps}, but the run has made {saved.counters['steps']} steps; it must be at "
            "least that"
        )
    with fitting(saved):
        if saved.counters["steps"] != saved.counters["updates"] * config.steps_per_update:
            raise ValueError(f"{saved.counters} are not steps and updates of {config.steps_per_update} steps each")
        # Compare sizes before anything is allocated as large as the settings say.
        layers = 0 if is_own(config.network) else len(config.hidden_sizes)  # The user's own layer replaces them.
        sizes = [saved.arrays[f"actor.{i}.weight"].shape[1] for i in range(layers)]
        if sizes != list(config.hidden_sizes)[:layers]:
            raise ValueError(f"its hidden layers have {sizes} units; the settings say {list(config.hidden_sizes)}")
        if saved.arrays["collector.lengths"].shape != (config.num_envs,):
            raise ValueError(f"it is not of {config.num_envs} environments")
        if config.memory_size and saved.arrays["collector.carry"].shape != (config.num_envs, config.memory_size):
            raise ValueError(f"it does not have {config.memory_size} numbers of memory for each environment")
        if not all(isinstance(saved.notes[name], dict) for name in ("session", "logs", "made_with")):
            raise ValueError("its notes are not JSON objects")
    return saved


@contextlib.contextmanager
def fitting(saved: Checkpoint) -> Iterator[None]:
    """Turns errors while reading an intact checkpoint into a UserError: it may belong to another run.

    Raises:
        UserError: The block raised; the error names the checkpoint and the fault.
    """
    try:
        yield
    except KeyError as error:
        raise UserError(f"{saved.path} does not fit this run: it lacks {error}") from error
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise UserError(f"{saved.path} does not fit this run: {error}") from error


def why_inexact(saved: Checkpoint, config: Config, engine_name: str) -> list[str]:
    """Why a resumed run may end in other bits than one that was never interrupted; empty if it will not."""
    then, now = saved.notes["made_with"], made_with(engine_name)
    reasons = [
        f"{name} is {now.get(name)}, it was {shown(then.get(name))}" for name in now if now[name] != then.get(name)
    ]
    before = saved.notes.get("total_steps")
    if before != config.total_steps and config.schedule == "linear":
        reasons.append(f"total_steps is {config.total_steps}, it was {before}, and the linear schedule depends on it")
    return reasons
