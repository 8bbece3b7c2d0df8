"""Running statistics of observations and returns: float64, fixed during a rollout, saved with the run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

State = dict[str, NDArray[Any]]

CLIP = 10.0
"""Normalised observations and rewards are clipped to [-CLIP, CLIP]."""

DIVISOR = "divisor"
"""The array in a state of observations that are only divided; a state of statistics has none, nor has one of 0.3."""

EPSILON = 1e-8
"""Keeps what does not vary from being divided by zero."""


class RunningMoments:
    """Mean and variance of a stream of batches, in arrays that `update` changes in place.

    Reference: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances"
        (1979).
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.count = np.zeros(1)
        self.mean = np.zeros(shape)
        self.variance = np.ones(shape)

    def update(self, batch: NDArray[np.number[Any]]) -> None:
        """Takes in a batch [B, *shape], B at least 1."""
        from a2c.kernels.statistics import merge_rows  # Here: a deployed policy has no use for Numba.

        merge_rows(batch.reshape(len(batch), -1), self.count, self.mean.reshape(-1), self.variance.reshape(-1))

    def state(self) -> State:
        """Copies of the arrays, from which `restore` continues."""
        return {"count": self.count.copy(), "mean": self.mean.copy(), "variance": self.variance.copy()}

    def restore(self, state: State) -> None:
        """Continues from a `state()`.

        Raises:
            KeyError: It lacks an array.
            ValueError: An array has another shape, is not finite, or a variance is negative.
        """
        ours = {"count": self.count, "mean": self.mean, "variance": self.variance}
        for name, array in ours.items():
            given = state[name]
            if given.shape != array.shape or given.dtype != np.float64 or not np.isfinite(given).all():
                raise ValueError(f"{name} is {given.dtype} {given.shape}; it must be finite float64 {array.shape}")
        if (state["variance"] < 0).any():
            raise ValueError("a variance is negative")
        for name, array in ours.items():
            array[...] = state[name]


class ObservationNormalizer(Protocol):
    """How observations become what the network sees."""

    def __call__(self, obs: NDArray[Any]) -> NDArray[np.float32]:
        """Observations [..., *shape] as float32 [..., *shape]; the statistics stay as they are."""
        ...

    def write(self, obs: NDArray[Any], out: NDArray[np.float32]) -> None:
        """The same into an array, fast: what a rollout does at every step."""
        ...

    def update(self, obs: NDArray[Any]) -> None:
        """Takes a rollout's raw observations [B, *shape] into the statistics."""
        ...

    def state(self) -> State:
        """Arrays from which `restore` continues; empty where observations are taken as they are."""
        ...

    def restore(self, state: State) -> None:
        """Continues from a `state()`."""
        ...


def divisor_of(space: Any) -> float:
    """What observations of a space are divided by where they are not normalised: 255 for bytes that use their range.

    Numbers up to 255 would saturate every hidden unit at the start, and the policy would see nothing.
    """
    is_bytes = space.dtype == np.uint8 and (space.low == 0).all() and (space.high == 255).all()
    return 255.0 if is_bytes else 1.0


class PlainObservations:
    """Observations as they are, in float32; divided by a constant where that is not 1."""

    def __init__(self, divisor: float = 1.0) -> None:
        self._divisor = np.float32(divisor)  # Kept with the run: 0.3 and before did not divide, and such a run goes on.

    def __call__(self, obs: NDArray[Any]) -> NDArray[np.float32]:  # noqa: D102 - see the protocol
        plain = obs.astype(np.float32)
        return plain if self._divisor == 1 else plain / self._divisor

    def write(self, obs: NDArray[Any], out: NDArray[np.float32]) -> None:  # noqa: D102
        if obs.dtype == np.float64:
            with np.errstate(over="ignore"):  # What is infinite then is found and named.
                out[...] = obs
        else:
            out[...] = obs
        if self._divisor != 1:
            out /= self._divisor

    def update(self, obs: NDArray[Any]) -> None:  # noqa: D102
        pass

    def state(self) -> State:  # noqa: D102
        return {} if self._divisor == 1 else {DIVISOR: np.array([self._divisor], np.float32)}

    def restore(self, state: State) -> None:
        """Divides as whoever gave the state did.

        Raises:
            ValueError: By what nothing can be divided.
        """
        divisor = state.get(DIVISOR, np.ones(1, np.float32))
        if divisor.shape != (1,) or divisor.dtype != np.float32 or not (np.isfinite(divisor) & (divisor > 0)).all():
            raise ValueError(f"{DIVISOR} is {divisor.dtype} {divisor.shape}; it must be one float32 above 0")
        self._divisor = np.float32(divisor[0])


class NormalizedObservations:
    """(obs - mean) / std per element, clipped to [-10, 10].

    The statistics move only in `update`, between rollouts, so a state and its bootstrap are always seen through the
    same ones, and the update sees what acting saw.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.moments = RunningMoments(shape)
        self._mean, self._variance = self.moments.mean.reshape(-1), self.moments.variance.reshape(-1)  # views
        self._normalize_rows: Callable[..., None] | None = None

    def __call__(self, obs: NDArray[Any]) -> NDArray[np.float32]:  # noqa: D102
        # In float64: large observations that differ little would become equal before the mean is taken off.
        normalized = (obs - self.moments.mean) / np.sqrt(self.moments.variance + EPSILON)
        # Two plain functions: np.clip costs as much as all the rest.
        clipped: NDArray[np.float64] = np.minimum(np.maximum(normalized, -CLIP), CLIP)
        return clipped.astype(np.float32)

    def write(self, obs: NDArray[Any], out: NDArray[np.float32]) -> None:  # noqa: D102
        if self._normalize_rows is None:
            from a2c.kernels.statistics import normalize_rows  # Here: a deployed policy has no use for Numba.

            self._normalize_rows = normalize_rows
        rows = len(obs)
        obs = _known(obs)
        self._normalize_rows(obs.reshape(rows, -1), self._mean, self._variance, out.reshape(rows, -1))

    def update(self, obs: NDArray[Any]) -> None:  # noqa: D102
        self.moments.update(_known(obs))

    def state(self) -> State:  # noqa: D102
        return self.moments.state()

    def restore(self, state: State) -> None:  # noqa: D102
        self.moments.restore(state)


def has_statistics(state: State) -> bool:
    """Whether a state of observations is of `NormalizedObservations`."""
    return any(name != DIVISOR for name in state)


def _known(obs: NDArray[Any]) -> NDArray[Any]:
    """Observations in a type that machine code has: it knows no half precision."""
    return obs.astype(np.float32) if obs.dtype == np.float16 else obs


def observation_normalizer(enabled: bool, shape: tuple[int, ...], divisor: float = 1.0) -> ObservationNormalizer:
    """The normaliser of observations of this shape, or the one that only divides them."""
    return NormalizedObservations(shape) if enabled else PlainObservations(divisor)


class ReturnNormalizer:
    """Divides rewards by the standard deviation of the discounted return, so that returns are of order 1.

    Scaled rewards are clipped to [-10, 10].

    R_t = r_t + gamma * R_{t-1} within an episode, for each environment; its variance is kept over the whole run.
    Rewards are not shifted: that would change which policies are best wherever episodes can end.

    Reference: Engstrom et al., "Implementation matters in deep policy gradients" (2020), section 3.
    """

    def __init__(self, enabled: bool, num_envs: int, gamma: float) -> None:
        self._enabled = enabled
        self._gamma = gamma
        self.running = np.zeros(num_envs)  # R, [N]
        self.moments = RunningMoments(())

    def __call__(
        self, reward: NDArray[np.float64], terminated: NDArray[np.bool_], truncated: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Takes a rollout into the statistics and returns its rewards scaled by them: all [T, N]."""
        if not self._enabled:
            return reward
        from a2c.kernels.statistics import discounted, scale_rewards

        scaled = np.empty_like(reward)
        discounted(reward, terminated, truncated, self._gamma, self.running, scaled)
        self.moments.update(scaled.reshape(-1))
        scale_rewards(reward, float(self.moments.variance), scaled)
        return scaled

    def state(self) -> State:
        """Arrays from which `restore` continues."""
        return {"running": self.running.copy(), **self.moments.state()} if self._enabled else {}

    def restore(self, state: State) -> None:
        """Continues from a `state()`."""
        if self._enabled:
            self.running[...] = state["running"]
            self.moments.restore(state)
