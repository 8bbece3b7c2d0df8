"""Running statistics of observations and returns: float64, fixed during a rollout, saved with the run."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

State = dict[str, NDArray[Any]]

_CLIP = 10.0
_EPSILON = 1e-8


class RunningMoments:
    """Mean and variance of a stream of batches.

    Reference: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances"
        (1979).
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.count = 0.0
        self.mean = np.zeros(shape)
        self.variance = np.ones(shape)

    def update(self, batch: NDArray[np.floating[Any]]) -> None:
        """Takes in a batch [B, *shape], B at least 1."""
        batch = batch.astype(np.float64)
        n = float(len(batch))
        delta = batch.mean(0) - self.mean
        total = self.count + n
        squares = self.variance * self.count + batch.var(0) * n + delta**2 * self.count * n / total
        self.mean = self.mean + delta * n / total
        self.variance = squares / total
        self.count = total

    def state(self) -> State:
        """Arrays from which `restore` continues."""
        return {"count": np.array(self.count), "mean": self.mean, "variance": self.variance}

    def restore(self, state: State) -> None:
        """Continues from a `state()`.

        Raises:
            KeyError: It lacks an array.
            ValueError: An array has another shape, is not finite, or a variance is negative.
        """
        expected = {"count": (), "mean": self.mean.shape, "variance": self.variance.shape}
        for name, shape in expected.items():
            array = state[name]
            if array.shape != shape or array.dtype != np.float64 or not np.isfinite(array).all():
                raise ValueError(f"{name} is {array.dtype} {array.shape}; it must be finite float64 {shape}")
        if (state["variance"] < 0).any():
            raise ValueError("a variance is negative")
        self.count, self.mean, self.variance = float(state["count"]), state["mean"], state["variance"]


class ObservationNormalizer(Protocol):
    """How observations become what the network sees."""

    def __call__(self, obs: NDArray[Any]) -> NDArray[np.float32]:
        """Observations [..., *shape] as float32 [..., *shape]; the statistics stay as they are."""
        ...

    def update(self, obs: NDArray[Any]) -> None:
        """Takes a rollout's raw observations [B, *shape] into the statistics."""
        ...

    def state(self) -> State:
        """Arrays from which `restore` continues; empty where there are no statistics."""
        ...

    def restore(self, state: State) -> None:
        """Continues from a `state()`."""
        ...


class PlainObservations:
    """Observations as they are, in float32."""

    def __call__(self, obs: NDArray[Any]) -> NDArray[np.float32]:  # noqa: D102 - see the protocol
        return obs.astype(np.float32)

    def update(self, obs: NDArray[Any]) -> None:  # noqa: D102
        pass

    def state(self) -> State:  # noqa: D102
        return {}

    def restore(self, state: State) -> None:  # noqa: D102
        pass


class NormalizedObservations:
    """(obs - mean) / std per element, clipped to [-10, 10].

    The statistics move only in `update`, between rollouts, so a state and its bootstrap are always seen through the
    same ones, and the update sees what acting saw.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._moments = RunningMoments(shape)
        self._refresh()

    def __call__(self, obs: NDArray[Any]) -> NDArray[np.float32]:  # noqa: D102
        # In float64: large observations that differ little would become equal before the mean is taken off.
        normalized: NDArray[np.float64] = (obs - self._moments.mean) * self._scale
        return np.clip(normalized, -_CLIP, _CLIP).astype(np.float32)

    def update(self, obs: NDArray[Any]) -> None:  # noqa: D102
        self._moments.update(obs)
        self._refresh()

    def state(self) -> State:  # noqa: D102
        return self._moments.state()

    def restore(self, state: State) -> None:  # noqa: D102
        self._moments.restore(state)
        self._refresh()

    def _refresh(self) -> None:
        self._scale = 1.0 / np.sqrt(self._moments.variance + _EPSILON)


def observation_normalizer(enabled: bool, shape: tuple[int, ...]) -> ObservationNormalizer:
    """The normaliser of observations of this shape, or the one that leaves them alone."""
    return NormalizedObservations(shape) if enabled else PlainObservations()


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
        self._running = np.zeros(num_envs)  # R, [N]
        self._moments = RunningMoments(())

    def __call__(self, reward: NDArray[np.float64], done: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Takes a rollout into the statistics and returns its rewards scaled by them: [T, N] -> [T, N]."""
        if not self._enabled:
            return reward
        discounted = np.empty_like(reward)
        for t in range(len(reward)):
            self._running = reward[t] + self._gamma * self._running
            discounted[t] = self._running
            self._running = np.where(done[t], 0.0, self._running)
        self._moments.update(discounted.ravel())
        return np.clip(reward / np.sqrt(self._moments.variance + _EPSILON), -_CLIP, _CLIP)

    def state(self) -> State:
        """Arrays from which `restore` continues."""
        return {"running": self._running, **self._moments.state()} if self._enabled else {}

    def restore(self, state: State) -> None:
        """Continues from a `state()`."""
        if self._enabled:
            self._running = state["running"]
            self._moments.restore(state)
