"""Finds NaN and infinity before anything is learnt from them, and reports where they came from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from a2c.errors import NumbersError
from a2c.randomness import episode_seed
from a2c.spaces import is_nested, parts, plain

if TYPE_CHECKING:
    from a2c.envs.stepper import Stepper


_LARGEST = float(np.finfo(np.float32).max)


def finite(values: Any) -> NDArray[np.bool_]:
    """Which numbers are finite in float32, in which the networks compute: 1e39 is not.

    For rows of a nested space: which rows hold only such numbers.
    """
    values = np.asarray(values)
    if values.dtype.names is not None:
        return finite_rows(values, values.ndim)
    if values.dtype != np.float64:
        known: NDArray[np.bool_] = np.isfinite(values)
        return known
    within: NDArray[np.bool_] = np.abs(values) <= _LARGEST
    return within


def finite_rows(rows: Any, dimensions: int = 1) -> NDArray[np.bool_]:
    """Which rows hold only numbers that are finite in float32.

    Args:
        rows: [N, ...], of any space.
        dimensions: How many leading dimensions number the rows: 2 for [T, N, ...].

    Returns:
        [N], or an array of as many dimensions.
    """
    rows = np.asarray(rows)
    fields = [rows] if rows.dtype.names is None else [rows[name] for name in rows.dtype.names]
    within = [finite(field).all(tuple(range(dimensions, field.ndim))) for field in fields]
    found: NDArray[np.bool_] = np.logical_and.reduce(within)
    return found


def report(
    bad: NDArray[np.bool_],
    stepper: Stepper,
    seed: int,
    steps: int,
    lengths: NDArray[np.int64],
    rollout: dict[str, NDArray[Any]],
) -> NumbersError:
    """Makes the error for a rollout with numbers that are not finite.

    Args:
        bad: [T, N] which steps gave such a number.
        stepper: The environments, as they are after the rollout.
        seed: The run's seed.
        steps: The run's steps before the rollout.
        lengths: [N] steps of the running episodes before the rollout.
        rollout: `obs` [T, N, ...] as the environments gave them, `action` [T, N, ...], `reward`, `terminated` and
            `truncated` [T, N], `last_obs` [N, ...] after the last step.
    """
    t, n = np.argwhere(bad)[0].tolist()
    obs, reward = rollout["obs"], rollout["reward"][t, n]
    done = rollout["terminated"] | rollout["truncated"]
    episode = int(stepper.numbers()[n]) - int(done[t:, n].sum())
    gave = obs[t + 1, n] if t + 1 < len(obs) else rollout["last_obs"][n]
    ended = np.flatnonzero(done[:t, n])
    length = t - int(ended[-1]) if len(ended) else int(lengths[n]) + t + 1  # of the episode, this step included
    if not finite(reward):
        what = f"a reward of {reward}"
    elif not finite(obs[t, n]).all():
        what = f"a first observation of {brief(obs[t, n])}"
    elif done[t, n] and finite(gave).all():
        what = "a last observation of its episode that is not finite"
    elif done[t, n]:
        what = f"a first observation of {brief(gave)} for its next episode"
    else:
        what = f"an observation of {brief(gave)}"
    error = NumbersError(
        f"after {steps} steps environment {n} gave {what}; it must be finite in float32; in step (episode {episode}, "
        f"episode seed {episode_seed(seed, n, episode)}, step {length}, action {brief(rollout['action'][t, n])}, "
        f"observation before {brief(obs[t, n])})",
        {name: plain(array) for name, array in rollout.items()},
        n,
    )
    steps_ago = len(obs) - 1 - t
    begins_next = done[t, n] and finite(reward) and not finite(gave).all()
    if begins_next:
        episode, length = episode + 1, 0
    error.failed_episode = stepper.episode_up_to(n, episode, length, steps_ago)
    return error


def brief(values: NDArray[Any]) -> str:
    """Numbers as a message shows them: the first few, and the first that is not finite."""
    values = np.asarray(values)
    if values.dtype.names is not None:
        named = {name: values[name] for name in values.dtype.names}
        bad_parts = [name for name, part in named.items() if not finite(part).all()]
        first = list(dict.fromkeys([*list(named)[:8], *bad_parts[:1]]))
        return (
            f"{{{', '.join(f'{name}: {brief(named[name])}' for name in first)}{', ...' * (len(first) < len(named))}}}"
        )
    flat = values.reshape(-1)
    if flat.size == 1:
        return f"{flat[0]}"
    shown = ", ".join(f"{value:.6g}" for value in flat[:8])
    bad = np.flatnonzero(~finite(flat))
    hidden = f", ... ({flat[bad[0]]} at index {bad[0]})" if len(bad) and bad[0] >= 8 else ", ..."
    return f"[{shown}{hidden if flat.size > 8 else ''}]"


Bounds = tuple[NDArray[Any], NDArray[Any]]


def bounds_to_check(space: Any) -> Bounds | None:
    """The bounds of each number of an observation; None if no number can lie outside.

    For a nested space both are rows, with only the parts that need a check. A Discrete, for instance, does not, since
    `Observations` already refuses other values.
    """
    if not is_nested(space):
        return _bounds_of(space)
    found = {part.name: _bounds_of(part.space) for part in parts(space)}
    kept = {name: bounds for name, bounds in found.items() if bounds is not None}
    if not kept:
        return None
    dtype = np.dtype([(name, low.dtype, low.shape) for name, (low, _) in kept.items()])
    lows, highs = np.empty((), dtype), np.empty((), dtype)
    for name, (low, high) in kept.items():
        lows[name], highs[name] = low, high
    return lows, highs


def _bounds_of(space: Any) -> Bounds | None:
    if not isinstance(space, gymnasium.spaces.Box):
        return None
    low, high = space.low, space.high
    kind = np.dtype(space.dtype).kind
    if kind == "f":
        return (low, high) if np.isfinite(low).any() or np.isfinite(high).any() else None
    if kind == "b":
        return None
    limits = np.iinfo(space.dtype)
    return (low, high) if (low > limits.min).any() or (high < limits.max).any() else None


def outside(obs: NDArray[Any], low: NDArray[Any], high: NDArray[Any]) -> str | None:
    """A sentence on the first of observations [T, N, *shape] outside its bounds; None if there is none."""
    if low.dtype.names is None:
        return _outside(obs, low, high, "an observation with")
    return next(
        filter(
            None,
            (_outside(obs[n], low[n], high[n], f"an observation whose {n!r} has") for n in low.dtype.names),
        ),
        None,
    )


def _outside(obs: NDArray[Any], low: NDArray[Any], high: NDArray[Any], what: str) -> str | None:
    beyond = (obs < low) | (obs > high)
    if not beyond.any():
        return None
    t, n, *index = np.argwhere(beyond)[0].tolist()
    place = tuple(index)
    where = f" at index {index[0] if len(index) == 1 else place}" if index else ""
    return (
        f"environment {n} gave {what} {obs[(t, n, *place)]}{where}, outside its space's bounds "
        f"{low[place]} to {high[place]}"
    )


def finite_or_none(number: float | None) -> float | None:
    """The number, or None, which JSON has, for NaN and infinity, which it has not."""
    return number if number is not None and math.isfinite(number) else None
