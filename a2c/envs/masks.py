"""Finds the action mask of an environment.

An environment can give a mask in three places: under the key "action_mask" of a dict observation, under that key of an
info, or by a method `action_masks()`. The first one found counts. `a2c.masks` reads it.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
from gymnasium import spaces

from a2c.envs.values import WrongValueError
from a2c.errors import shown
from a2c.masks import KEY, Mask, MaskReader, mask_size
from a2c.spaces import parts


def observes_mask(observation_space: gymnasium.Space[Any], action_space: gymnasium.Space[Any]) -> bool:
    """Whether masks come with the observations."""
    return (
        isinstance(observation_space, spaces.Dict) and KEY in observation_space.spaces and mask_size(action_space) > 0
    )


def without_mask(observation_space: gymnasium.Space[Any], action_space: gymnasium.Space[Any]) -> gymnasium.Space[Any]:
    """The space without the mask, which is obeyed but not learnt from; the space itself if nothing else is in it."""
    if not observes_mask(observation_space, action_space):
        return observation_space
    assert isinstance(observation_space, spaces.Dict)  # noqa: S101 - for mypy: it observes a mask
    rest = spaces.Dict([(key, space) for key, space in observation_space.spaces.items() if key != KEY])
    return rest if parts(rest) else observation_space


class ActionMasks:
    """Finds and reads the masks of one environment.

    Attributes:
        is_always: Whether there may be a mask even if the info is empty.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        """Looks up the environment's `action_masks`, once.

        Raises:
            WrongValueError: It is not a method, or needs arguments.
        """
        self._read = MaskReader(env.action_space)
        self._is_observed = observes_mask(env.observation_space, env.action_space)
        method: Any = None
        with contextlib.suppress(Exception):  # Most have none, and some are proxies that raise what they like.
            method = env.get_wrapper_attr("action_masks")
        if method is not None and not callable(method):
            raise WrongValueError(f"has action_masks that is {shown(method)}; it must be a method")
        if method is not None and (lacking := _lacking(method)):
            raise WrongValueError(f"has a method action_masks that takes arguments ({lacking}); it must take none")
        self._method: Callable[[], Any] | None = method
        self.is_always = self._is_observed or self._method is not None

    def __call__(self, obs: Any, info: Mapping[str, Any]) -> Mask | None:
        """The mask [K] that belongs to an observation and its info; None: every action is allowed.

        Raises:
            WrongValueError: It has another shape, holds something other than 0 and 1, or allows no action.
        """
        mask = None
        if self._is_observed and isinstance(obs, Mapping):
            if KEY not in obs:
                raise WrongValueError(f"gave an observation without {KEY!r}, which its space has")
            mask = obs[KEY]
        if mask is None and info:
            mask = info.get(KEY)
        if mask is None and self._method is not None:
            mask = self._method()
        if mask is None:
            return None
        try:
            return self._read(mask)
        except ValueError as error:
            raise WrongValueError(f"gave an {error}") from error


def _lacking(method: Callable[..., Any]) -> str:
    """Why a method cannot be called without arguments; empty if it can, or its signature is not known."""
    try:
        inspect.signature(method).bind()
    except TypeError as error:
        return str(error)
    except ValueError:  # A method written in C may have no signature.
        pass
    return ""
