"""Which engine a run has."""

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
    """As many threads as are asked for, or as there are cores; more than there are chunks would only wait."""
    chunks, _ = divide(config.num_envs, config.rollout_length, architecture.num_parameters, len(architecture.images))
    return Team(min(cores() if config.num_threads == "auto" else config.num_threads, len(chunks) - 1))


def choose_engine(config: Config, architecture: Architecture, num_masks: int, team: Team) -> Engine:
    """The engine for a run, its parameters 0.

    Args:
        config: Which engine and device; loss weights; size of a rollout.
        architecture: Of the networks.
        num_masks: Columns of action masks, K.
        team: Who computes.

    Raises:
        UserError: Paddle is asked for and not installed, the device is not there, or what is asked for is not there for
            images or for a layer of the user's own.
    """
    if config.engine == "compiled" and config.device != "cpu":
        raise UserError(f"engine is 'compiled', which has no device {config.device!r}; use engine 'paddle' for that")
    images = len(architecture.images)
    if architecture.own is not None and config.engine == "compiled":
        raise UserError(
            f"engine is 'compiled', and network {architecture.own.name!r}, which PaddlePaddle computes; 'paddle' does, "
            "and 'auto' chooses it"
        )
    if architecture.num_image_features and config.actor_step == "natural":
        raise UserError(
            "actor_step is 'natural', which is not there for images that go through convolutions; 'gradient' is, and "
            "network 'mlp' takes images as numbers"
        )
    if config.engine == "compiled" and images > 1:
        raise UserError(
            f"engine is 'compiled', which takes one image, not the {images} of these observations; 'paddle' does"
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
