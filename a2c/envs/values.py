"""Checks what environments return before it is cast into a row; a cast that would lose information is refused."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from numpy.typing import NDArray

from a2c.errors import shown, with_article
from a2c.spaces import Path, is_nested, is_numbers, limits, named, native, numbers_only, parts, row_type


class WrongValueError(ValueError):
    """An environment returned a wrong value. The text continues a sentence that begins "environment 3 ..."."""


Outcome = tuple[NDArray[Any], float, bool, bool, dict[str, Any]]
"""The result of a step in our types: obs, reward, terminated, truncated, info. Not a NamedTuple: most environments
return exactly such a tuple, and making another would cost as much as all the checks."""


class Feedback(NamedTuple):
    """How rewards, lives and infos of a step are read."""

    reward_weights: tuple[float, ...] | None = None
    """The weight of each number of a vector reward; None: rewards are scalars."""
    notes_lives: bool = False
    """Whether to note that a life was lost, by `info["lives"]`."""
    info_keys: tuple[str, ...] = ()
    """The numbers to note from the info of an episode's last step, by name (`a2c.envs.notes`)."""


class Observations:
    """Checks and casts observations of one space; the parts of it that are not numbers are ignored.

    Attributes:
        dtype: The type of the result: the space's, or that of a row if the space is nested.
        are_right: Whether an observation can be used as it is: an array of the space's shape and type, or a number in
            the range of a Discrete. Called at every step, so it must be fast.
    """

    def __init__(self, space: gymnasium.Space[Any]) -> None:
        """Prepares the checks: structure, shapes and types as the space declares them.

        Raises:
            WrongValueError: No part of the space is made of numbers.
        """
        left = numbers_only(space)
        if left is None:
            raise WrongValueError(f"has the observation space {shown(space)}, in which there are no numbers")
        self.dtype = row_type(left).base
        self._take, self._fill = None, None
        self.are_right: Callable[[Any], bool] = _never
        if is_nested(space):
            # Errors name a part by its path in the environment's own space; rows have only the parts that are numbers.
            fields = [part.name for part in parts(left)]
            takers = [_Numbers(part.space, part.name) for part in parts(space)]
            self._fill = _filler(space, (), iter(zip(fields, takers, strict=True)))
        else:
            self._take = _Numbers(space, "")
            self.are_right = self._take.is_right

    def __call__(self, obs: Any) -> NDArray[Any]:
        """An observation as an array of the space's type, or as a row of shape () if the space is nested.

        Numbers stay the same, except that float64 is rounded if the space is float32.

        Raises:
            WrongValueError: It has another structure or shape, is not made of numbers, one of them does not fit into
                the type, or one is out of the range of a Discrete, MultiDiscrete or MultiBinary.
        """
        if self._take is not None:
            return self._take(obs)
        row: NDArray[Any] = np.empty((), self.dtype)
        if self._fill is not None:
            self._fill(obs, row)
        return row


def _never(obs: Any) -> bool:
    """Observations of a nested space always have to be packed into a row."""
    return False


_Fill = Callable[[Any, NDArray[Any]], None]


def _filler(space: gymnasium.Space[Any], path: Path, takers: Iterator[tuple[str, _Numbers]]) -> _Fill | None:
    """A function that writes a value of a (part of a) space into a row; None if there are no numbers in it."""
    if isinstance(space, gymnasium.spaces.Dict):
        made = [(key, _filler(inner, (*path, key), takers)) for key, inner in space.spaces.items()]
        named_fills = [(key, fill) for key, fill in made if fill is not None]
        keys = ", ".join(repr(key) for key, _ in named_fills)

        def fill_from_dict(value: Any, row: NDArray[Any]) -> None:
            if not isinstance(value, Mapping):
                raise WrongValueError(
                    f"{_gave(named(path), 'that is', 'is')} {_a(value)}; it must be a dict with {keys}"
                )
            for key, fill in named_fills:
                if key not in value:
                    raise WrongValueError(f"gave an observation without {named((*path, key))!r}, which its space has")
                fill(value[key], row)

        return fill_from_dict if named_fills else None
    if isinstance(space, gymnasium.spaces.Tuple):
        fills = [_filler(inner, (*path, number), takers) for number, inner in enumerate(space.spaces)]

        def fill_from_tuple(value: Any, row: NDArray[Any]) -> None:
            if not isinstance(value, tuple | list) or len(value) != len(fills):
                raise WrongValueError(
                    f"{_gave(named(path), 'that is', 'is')} {_a(value)}; it must be a tuple of {len(fills)}"
                )
            for fill, item in zip(fills, value, strict=True):
                if fill is not None:
                    fill(item, row)

        return fill_from_tuple if any(fills) else None
    if not is_numbers(space):
        return None
    field, take = next(takers)

    def fill_part(value: Any, row: NDArray[Any]) -> None:
        row[field] = take(value)

    return fill_part


def _gave(name: str, of: str, has: str) -> str:
    """The beginning of a sentence about an observation, or about the part of it that has a name."""
    return f"gave an observation whose {name!r} {has}" if name else f"gave an observation {of}"


_LONG = 64
"""Up to this many numbers, comparing one by one in Python takes a third of the time that NumPy takes."""


class _Numbers:
    """Checks and casts observations of a space that is neither Dict nor Tuple, or one such part of a nested space."""

    def __init__(self, space: gymnasium.Space[Any], name: str) -> None:
        """Prepares the checks; `name` is what errors call the part, "" for a whole observation."""
        self._shape, self._dtype, self._name = tuple(space.shape or ()), native(space.dtype), name
        # If the squares of float64 numbers sum up to no more than this, each of them fits into the type.
        self._most = float(np.finfo(self._dtype).max) ** 2 if self._dtype in (np.float16, np.float32) else -1.0
        self._limits = limits(space)
        self._size = math.prod(self._shape)
        self._is_discrete = isinstance(space, gymnasium.spaces.Discrete)
        self._first, self._last = 0, 0
        self.is_right = self.is_array
        if self._is_discrete and self._limits is not None:
            self._first, self._last = int(self._limits[0]), int(self._limits[1])
            self.is_right = self.is_number
        elif self._limits is not None:
            self.is_right = self.is_array_within
            self._lowest, self._highest = (limit.reshape(-1).tolist() for limit in self._limits)

    def __call__(self, obs: Any) -> NDArray[Any]:
        """The numbers of an observation, as `Observations` gives them."""
        if self.is_right(obs):
            return obs  # type: ignore[no-any-return]  # it is an array, or a number, which assigns to a row likewise
        array = obs if type(obs) is np.ndarray and obs.dtype.kind in "biuf" else self._array(obs)
        if array.size == self._size == 1:  # A single number is unambiguous, whatever its shape.
            array = array.reshape(self._shape)
        if array.shape != self._shape:
            shape = f"shape {array.shape}, its space says {self._shape}"
            raise WrongValueError(f"{_gave(self._name, 'of', 'has')} {shape}")
        if self._limits is not None:
            self._require_within(array, *self._limits)
            return array.astype(self._dtype)
        if array.dtype == self._dtype:
            return array
        # A shortcut for ordinary numbers, which takes a tenth of the time of what follows.
        if array.dtype.char == "d" and array.dtype.isnative and self._most >= 0:
            flat = array.reshape(-1)
            if flat.dot(flat) <= self._most:  # False if there is a NaN.
                return array.astype(self._dtype)
        with np.errstate(all="ignore"):
            cast = array.astype(self._dtype)
            if self._dtype.kind == "f":
                lost = np.isfinite(array) & ~np.isfinite(cast)
            else:
                lost = cast != array
                if array.dtype.kind == "f":  # Beyond the type's range, the result of a cast is undefined.
                    lost |= ~np.isfinite(array) | (np.abs(array) >= 2.0**63)
        if lost.any():
            raise self._loses(array, lost)
        return cast

    def is_array(self, obs: Any) -> bool:
        """Whether an observation is an array of the space's shape and type."""
        return type(obs) is np.ndarray and obs.dtype == self._dtype and obs.shape == self._shape

    def is_array_within(self, obs: Any) -> bool:
        """Whether it is an array of the space's shape and type, and all numbers are in range."""
        if not self.is_array(obs) or self._limits is None:
            return False
        low, high = self._limits
        if obs.size > _LONG:
            return bool(((obs >= low) & (obs <= high)).all())
        counted = obs.reshape(-1).tolist()
        return all(map(operator.le, self._lowest, counted)) and all(map(operator.ge, self._highest, counted))

    def is_number(self, obs: Any) -> bool:
        """Whether it is a whole number in the range of the Discrete."""
        return (type(obs) is int or type(obs) is np.int64) and bool(self._first <= obs <= self._last)

    def _array(self, obs: Any) -> NDArray[Any]:
        kind = type(obs).__name__
        if obs is None or isinstance(obs, Mapping):
            raise WrongValueError(f"{_gave(self._name, 'that is', 'is')} {_a(obs)}; it must be {self._right()}")
        try:
            array = np.asarray(obs)
        except Exception as error:
            raise WrongValueError(
                f"{_gave(self._name, 'that is', 'is')} no array ({kind}: {shown(obs)}); it must be one of {self._dtype}"
            ) from error
        if array.dtype.kind not in "biuf":
            raise WrongValueError(
                f"{_gave(self._name, 'of', 'is of')} type {array.dtype} ({shown(obs)}); it must be {self._right()}"
            )
        if _is_masked(obs):
            raise WrongValueError(
                f"{_gave(self._name, 'with', 'has')} masked elements ({shown(obs)}); none may be missing"
            )
        return array

    def _right(self) -> str:
        return "a whole number" if self._is_discrete else f"an array of {self._dtype}"

    def _require_within(self, array: NDArray[Any], low: NDArray[Any], high: NDArray[Any]) -> None:
        """Refuses numbers out of the space's range: used as an index, they would read past the end of a table."""
        wrong = ~((array >= low) & (array <= high))
        if array.dtype.kind == "f" and not wrong.any():
            wrong = array != np.trunc(array)
        if wrong.any():
            index = tuple(np.argwhere(wrong)[0].tolist())
            right = f"a whole number from {low[index]} to {high[index]}"
            raise WrongValueError(
                f"{_gave(self._name, 'with', 'has')} {array[index].item()}{_place(index)}, its space says {right}"
            )

    def _loses(self, array: NDArray[Any], lost: NDArray[np.bool_]) -> WrongValueError:
        index = tuple(np.argwhere(lost)[0].tolist())
        value = array[index].item()
        if self._dtype.kind == "f":
            right = "numbers that it can hold"
        elif self._dtype.kind == "b":
            right = "True or False"
        else:
            held = np.iinfo(self._dtype)
            right = f"whole numbers from {held.min} to {held.max}, or the space must have a larger type"
        return WrongValueError(
            f"{_gave(self._name, 'with', 'has')} {value}{_place(index)}, which its space's type {self._dtype} cannot "
            f"hold; it must be {right}"
        )


def _place(index: tuple[int, ...]) -> str:
    """The place of a number in an array, in words."""
    return f" at index {index[0] if len(index) == 1 else index}" if index else ""


def reward_of(reward: Any, weights: tuple[float, ...] | None = None) -> float:
    """A reward as a float: from any real number, or from an array or tensor.

    Args:
        reward: What the environment returned.
        weights: The weight of each number of a vector reward; None: rewards are scalars.

    Raises:
        WrongValueError: It is something else, or does not have as many numbers as there are weights.
    """
    if isinstance(reward, float) and weights is None:
        return float(reward)  # It may be a subclass, e.g. np.float64.
    if not isinstance(reward, numbers.Number | np.bool_) and (
        isinstance(reward, list | tuple) or hasattr(reward, "__array__")
    ):
        array = _small(reward, "reward")
        if isinstance(reward, list | tuple) and array.dtype.kind in "US":
            array = np.array(reward, object)  # NumPy has turned numbers beside a string into strings.
        if array.ndim == 1 and (weights is not None or array.size > 1):
            return _weighted(array, weights)
        if array.size != 1:
            right = "one number" if weights is None else f"{len(weights)} numbers in a row"
            raise WrongValueError(f"gave a reward of shape {array.shape} ({shown(reward)}); it must be {right}")
        reward = array.reshape(()).item()
    not_real = complex | np.complexfloating | np.timedelta64  # These are instances of numbers.Number, too.
    if not isinstance(reward, numbers.Number | np.bool_) or isinstance(reward, not_real):
        right = "a number" if weights is None or len(weights) == 1 else f"{len(weights)} numbers in a row"
        raise WrongValueError(f"gave a reward that is {_a(reward)}; it must be {right}")
    number: Any = reward
    try:
        value = float(number)
    except Exception as error:  # e.g. 10**400
        raise WrongValueError(f"gave a reward that is {_a(reward)}; it must be a number that fits float64") from error
    return value if weights is None else _weighted(np.array([value]), weights)


def _weighted(array: NDArray[Any], weights: tuple[float, ...] | None) -> float:
    """The weighted sum of a vector reward."""
    given = f"{array.size} number{'' if array.size == 1 else 's'} ({shown(array.tolist())})"
    if weights is None:
        raise WrongValueError(f"gave a reward of {given}; set reward_weights (--reward-weights), a weight for each")
    if array.size != len(weights):
        raise WrongValueError(f"gave a reward of {given}; reward_weights {shown(weights)} are for {len(weights)}")
    terms = [weight * reward_of(one) for weight, one in zip(weights, array.tolist(), strict=True)]
    return float(sum(terms))


def flag_of(flag: Any, name: str) -> bool:
    """`terminated` or `truncated` as a bool: from a bool, 0 or 1, or an array of one of these.

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
    raise WrongValueError(f"gave an info that is {_a(info)}; it must be a dict, {{}} if there is nothing to tell")


def lives_in(info: Mapping[str, Any]) -> int:
    """How many lives are left, from an info.

    Raises:
        WrongValueError: `info["lives"]` is missing or not a whole number.
    """
    lives = info.get("lives")
    if not isinstance(lives, int | np.integer):
        fault = f'an info["lives"] of {shown(lives)}' if "lives" in info else 'an info without "lives"'
        raise WrongValueError(
            f"gave {fault}; with terminal_on_life_loss True, it must be the number of lives left, a whole number"
        )
    return int(lives)


def outcome(result: Any, observations: Observations, weights: tuple[float, ...] | None = None) -> Outcome:
    """Checks and casts what `step` returned; `weights` as in `reward_of`.

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
            and weights is None
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
        reward_of(reward, weights),
        flag_of(terminated, "terminated"),
        flag_of(truncated, "truncated"),
        info_of(info),
    )


def first(result: Any, observations: Observations) -> tuple[NDArray[Any], dict[str, Any]]:
    """Checks and casts what `reset` returned.

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
    except Exception as error:  # Converting a foreign array may raise anything.
        raise WrongValueError(f"gave a {name} that is {_a(values)}; it must be one value") from error
    if _is_masked(values):
        raise WrongValueError(f"gave a {name} that is a masked element; it must have a value")
    return array


def _is_masked(values: Any) -> bool:
    """Whether an element is masked; np.asarray would put in its place whatever lies under the mask."""
    return isinstance(values, np.ma.MaskedArray) and bool(np.ma.getmaskarray(values).any())


def _a(value: Any) -> str:
    """The type of a value, with an article, and the value."""
    if value is None:
        return "None"
    return f"{with_article(type(value).__name__)} ({shown(value)})"
