"""Chooses the engine of a run, and its threads."""

from __future__ import annotations

from typing import Any

from a2c.config import Config
from a2c.engines import Engine
from a2c.engines.compiled import CompiledEngine
from a2c.errors import UserError
from a2c.imports import importing
from a2c.kernels.gradient import divide
from a2c.machine import cores
from a2c.model.architecture import Architecture
from a2c.team import Team


def team_for(config: Config, architecture: Architecture) -> Team:
    """As many threads as `num_threads` asks for, or as there are cores; but no more than chunks, as they would idle."""
    chunks, _ = divide(config.num_envs, config.rollout_length, architecture.num_parameters, len(architecture.images))
    return Team(min(cores() if config.num_threads == "auto" else config.num_threads, len(chunks) - 1))


def choose_engine(config: Config, architecture: Architecture, num_masks: int, team: Team) -> Engine:
    """The engine for a run; its parameters are 0.

    Args:
        config: Which engine and device; loss weights; size of a rollout.
        architecture: Of the networks.
        num_masks: K, the columns of action masks.
        team: The threads that compute.

    Raises:
        UserError: Paddle is needed and not installed, the device is missing, or the engine or the actor's step does not
            work with these images or with the user's own layer.
    """
    if config.engine == "compiled" and config.device != "cpu":
        raise UserError(f"engine is 'compiled', which has no device {config.device!r}; use engine 'paddle' for that")
    images = len(architecture.images)
    if architecture.own is not None and config.engine == "compiled":
        raise UserError(
            f"engine is 'compiled', which cannot compute network {architecture.own.name!r}, a layer of PaddlePaddle; "
            "use engine 'paddle' or 'auto'"
        )
    if architecture.num_image_features and config.actor_step == "natural":
        raise UserError(
            "actor_step is 'natural', which does not work with images that go through convolutions; use actor_step "
            "'gradient', or network 'mlp', which takes images as plain numbers"
        )
    if config.engine == "compiled" and images > 1:
        raise UserError(
            f"engine is 'compiled', which takes one image, and these observations have {images}; use engine 'paddle'"
        )
    is_simple = config.device == "cpu" and images < 2 and architecture.own is None
    if config.engine == "compiled" or (config.engine == "auto" and is_simple):
        return CompiledEngine(config, architecture, num_masks, team)
    with importing():
        try:
            from a2c.engines.paddle import PaddleEngine  # Importing Paddle takes over a second.
        except ModuleNotFoundError as error:
            why = (
                "engine is 'paddle'" if config.engine == "paddle"
                else f"device is {config.device!r}" if config.device != "cpu"
                else f"observations have {images} images, of which the compiled engine takes one"
            )  # fmt: skip
            raise UserError(f"{why}, and PaddlePaddle is not installed; pip install 'a2c[paddle]'") from error
    engine: Any = PaddleEngine(config, architecture)
    return engine  # type: ignore[no-any-return]  # its module is typed; the variable keeps mypy from wanting Paddle
