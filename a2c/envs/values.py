"""What environments return, checked before it is cast into its row: a cast that loses is refused."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from a2c.errors import shown


class WrongValueError(ValueError):
    """An environment returned what it must not. Its text goes on from "environment 3 ..."."""


Outcome = tuple[NDArray[Any], float, bool, bool, dict[str, Any]]
"""What a step gave, in our types: obs, reward, terminated, truncated, info. Not a NamedTuple, as most environments give
this very tuple already, and to make another would cost as much as all the checks."""


class Observations:
    """Takes observations of one space."""

    def __init__(self, space: gymnasium.Space[Any]) -> None:
        """What is right: the shape and the type that the space declares."""
        self._shape, self._dtype = tuple(space.shape or ()), native(space.dtype)
        # Numbers of float64 whose squares sum up to no more than this can be held, each of them.
        self._most = float(np.finfo(self._dtype).max) ** 2 if self._dtype in (np.float16, np.float32) else -1.0

    def __call__(self, obs: Any) -> NDArray[Any]:
        """An observation as an array of the space's type, the same numbers; float64 is rounded where that is float32.

        Raises:
            WrongValueError: It has another shape, is of no numbers, or the type cannot hold one of them.
        """
        if self.are_right(obs):
            return obs  # type: ignore[no-any-return]  # it is an array
        array = obs if type(obs) is np.ndarray and obs.dtype.kind in "biuf" else self._array(obs)
        if array.shape != self._shape:
            raise WrongValueError(f"gave an observation of shape {array.shape}, its space says {self._shape}")
        if array.dtype == self._dtype:
            return array
        # What is ordinary costs a tenth of what follows.
        if array.dtype.char == "d" and array.dtype.isnative and self._most >= 0:
            flat = array.reshape(-1)
            if flat.dot(flat) <= self._most:  # Not where there is a NaN.
                return array.astype(self._dtype)
        with np.errstate(all="ignore"):
            cast = array.astype(self._dtype)
            if self._dtype.kind == "f":
                lost = np.isfinite(array) & ~np.isfinite(cast)
            else:
                lost = cast != array
                if array.dtype.kind == "f":  # Beyond the type's range, what a cast gives is anybody's guess.
                    lost |= ~np.isfinite(array) | (np.abs(array) >= 2.0**63)
        if lost.any():
            raise self._loses(array, lost)
        return cast

    def are_right(self, obs: Any) -> bool:
        """Whether an observation is an array of the space's shape and type; what every step asks."""
        return type(obs) is np.ndarray and obs.dtype == self._dtype and obs.shape == self._shape

    def _array(self, obs: Any) -> NDArray[Any]:
        kind = type(obs).__name__
        if obs is None or isinstance(obs, Mapping):
            raise WrongValueError(f"gave an observation that is {_a(obs)}; it must be an array of {self._dtype}")
        try:
            array = np.asarray(obs)
        except Exception as error:
            raise WrongValueError(
                f"gave an observation that is no array ({kind}: {shown(obs)}); it must be one of {self._dtype}"
            ) from error
        if array.dtype.kind not in "biuf":
            raise WrongValueError(
                f"gave an observation of type {array.dtype} ({shown(obs)}); it must be an array of {self._dtype}"
            )
        if _is_masked(obs):
            raise WrongValueError(f"gave an observation with masked elements ({shown(obs)}); none may be missing")
        return array

    def _loses(self, array: NDArray[Any], lost: NDArray[np.bool_]) -> WrongValueError:
        index = tuple(np.argwhere(lost)[0].tolist())
        value = array[index].item()
        where = "" if not index else f" at index {index[0] if len(index) == 1 else index}"
        if self._dtype.kind == "f":
            right = "numbers that it can hold"
        elif self._dtype.kind == "b":
            right = "True or False"
        else:
            limits = np.iinfo(self._dtype)
            right = f"whole numbers from {limits.min} to {limits.max}, or the space of a type that holds it"
        return WrongValueError(
            f"gave an observation with {value}{where}, which its space's type {self._dtype} cannot hold; it must be "
            f"{right}"
        )


def native(dtype: Any) -> np.dtype[Any]:
    """The type in this machine's byte order."""
    found: np.dtype[Any] = np.dtype(dtype).newbyteorder("=")
    return found


def reward_of(reward: Any) -> float:
    """A reward as a float: any real number, or an array of one, a tensor included.

    Raises:
        WrongValueError: It is something else.
    """
    if isinstance(reward, float):
        return float(reward)  # Of a subclass, np.float64 say, too.
    if not isinstance(reward, numbers.Number | np.bool_) and (
        isinstance(reward, list | tuple) or hasattr(reward, "__array__")
    ):
        array = _small(reward, "reward")
        if array.size != 1:
            raise WrongValueError(f"gave a reward of shape {array.shape} ({shown(reward)}); it must be one number")
        reward = array.reshape(()).item()
    not_real = complex | np.complexfloating | np.timedelta64  # Numbers to Python's `numbers`, all the same.
    if not isinstance(reward, numbers.Number | np.bool_) or isinstance(reward, not_real):
        raise WrongValueError(f"gave a reward that is {_a(reward)}; it must be a number")
    number: Any = reward
    try:
        return float(number)
    except Exception as error:  # 10**400, say.
        raise WrongValueError(f"gave a reward that is {_a(reward)}; it must be a number that float64 holds") from error


def flag_of(flag: Any, name: str) -> bool:
    """`terminated` or `truncated` as a bool: one, or 0 or 1, or an array of one of those.

    Raises:
        WrongValueError: It is something else.
    """
    if flag is True or flag is False:
        return flag
    if type(flag) is np.bool_:
        return bool(flag)
    value = flag
    if not isinstance(flag, np.generic) and hasattr(flag, "__array__"):
        array = _small(flag, name)
        value = array.reshape(()).item() if array.size == 1 else None
    if isinstance(value, bool | int | np.integer | float | np.floating) and value in (0, 1):
        return bool(value)
    raise WrongValueError(f"gave {name} {shown(flag)}; it must be True or False")


def info_of(info: Any) -> dict[str, Any]:
    """An info as a dict.

    Raises:
        WrongValueError: It is something else.
    """
    if type(info) is dict:
        return info
    if isinstance(info, Mapping):
        return dict(info)
    raise WrongValueError(f"gave an info that is {_a(info)}; it must be a dict, {{}} at least")


def outcome(result: Any, observations: Observations) -> Outcome:
    """What `step` returned.

    Raises:
        WrongValueError: It is not (observation, reward, terminated, truncated, info), or one of them is wrong.
    """
    try:
        obs, reward, terminated, truncated, info = result
        if (
            type(result) is tuple
            and type(reward) is float
            and type(terminated) is type(truncated) is bool
            and type(info) is dict
            and observations.are_right(obs)
        ):
            return result
    except (TypeError, ValueError) as error:
        what = f"{len(result)} things" if isinstance(result, tuple | list) else _a(result)
        old = ", which is Gym's old interface" if isinstance(result, tuple) and len(result) == 4 else ""
        raise WrongValueError(
            f"gave {what} from step{old}; it must be 5: observation, reward, terminated, truncated, info"
        ) from error
    return (
        observations(obs),
        reward_of(reward),
        flag_of(terminated, "terminated"),
        flag_of(truncated, "truncated"),
        info_of(info),
    )


def first(result: Any, observations: Observations) -> tuple[NDArray[Any], dict[str, Any]]:
    """What `reset` returned.

    Raises:
        WrongValueError: It is not (observation, info), or one of them is wrong.
    """
    if not isinstance(result, tuple) or len(result) != 2:
        what = f"{len(result)} things" if isinstance(result, tuple) else _a(result)
        old = "; an observation alone is Gym's old interface" if isinstance(result, np.ndarray | list | Mapping) else ""
        raise WrongValueError(f"gave {what} from reset; it must be 2: observation and info{old}")
    obs, info = result
    return observations(obs), info_of(info)


def _small(values: Any, name: str) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except Exception as error:  # Whatever the conversion of a foreign array raises.
        raise WrongValueError(f"gave a {name} that is {_a(values)}; it must be one value") from error
    if _is_masked(values):
        raise WrongValueError(f"gave a {name} that is masked; it must be there")
    return array


def _is_masked(values: Any) -> bool:
    """Whether an element is missing, for which NumPy would put what happens to lie under the mask."""
    return isinstance(values, np.ma.MaskedArray) and bool(np.ma.getmaskarray(values).any())


def _a(value: Any) -> str:
    """What something is, with its value."""
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name} ({shown(value)})"
