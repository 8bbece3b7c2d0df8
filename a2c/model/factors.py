"""The distribution over actions, as independent factors: noise in, action out; log-probability and entropy.

An action is a row of float32 columns, one factor after another: the number of a choice from 0, real numbers, bits. It
is a pure function of (outputs of the actor, log_std, noise, mask). Noise has the same columns: uniforms in [0, 1) for
choices and bits, standard normals for real numbers. `Actions.to_rows` turns actions into the environment's.

`a2c.kernels.heads` does the same in machine code.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from a2c.model.architecture import Factor, factors_of
from a2c.spaces import part_of, parts, row_type

Array = Any
"""A NumPy array or a Paddle tensor."""

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)

FORBIDDEN = -1e30
"""The logit of a masked choice. Its probability is exactly 0; as it is finite, 0 times its logarithm is 0, not NaN."""


class Scaling(NamedTuple):
    """How the policy's columns become the environment's numbers, [C] each.

    The policy acts in units in which a bounded number spans [-1, 1], so one initial `log_std` fits every environment.
    Probabilities are those of the policy's own numbers, before they are scaled and clipped.
    """

    start: NDArray[np.int64]  # the environment's number for the first choice
    center: NDArray[np.float64]  # the environment's number for 0: midway between two bounds, a single bound, or 0
    half_range: NDArray[np.float64]  # the factor: half the distance of two bounds, else 1
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def of(self, columns: slice) -> Scaling:
        """The scaling of some columns."""
        return Scaling(
            self.start[columns], self.center[columns], self.half_range[columns], self.low[columns], self.high[columns]
        )


class Actions:
    """The distribution over the actions of a space, and the conversion to the environment's numbers."""

    def __init__(self, space: gymnasium.Space[Any]) -> None:
        """Derives the factors from the space.

        Raises:
            TypeError: A part of the space has no distribution here.
        """
        self.space = space
        self.factors = factors_of(space)
        self.num_columns = sum(factor.columns for factor in self.factors)
        self.num_masks = sum(
            factor.outputs * (2 if factor.kind == "bernoulli" else 1) for factor in self.factors if factor.mask >= 0
        )
        self.scaling = _scaling(space, self.num_columns)
        self._type = row_type(space)
        self._columns_to_part = _columns_to_parts(space, self.scaling)

    def draw_noise(self, rng: np.random.Generator, batch: int) -> NDArray[np.float32]:
        """Noise for `batch` actions, [batch, C]."""
        drawn = [
            rng.standard_normal((batch, factor.columns), dtype=np.float32)
            if factor.kind == "gaussian"
            else rng.random((batch, factor.columns), dtype=np.float32)
            for factor in self.factors
        ]
        return np.concatenate(drawn, axis=1)

    def sample(
        self,
        outputs: NDArray[np.float32],
        log_std: NDArray[np.float32],
        noise: NDArray[np.float32],
        mask: NDArray[np.uint8] | None = None,
    ) -> NDArray[np.float32]:
        """Turns noise into actions.

            choice   the inverse of the cumulative distribution of softmax(logits), at the uniform
            real     mean + exp(log_std) * noise
            bit      1 if the uniform is at least 1 - sigmoid(logit)

        Args:
            outputs: [B, O] of the actor.
            log_std: [A].
            noise: [B, C], as `draw_noise` gives it.
            mask: [B, K], 1 for what is allowed; None: everything is allowed.

        Returns:
            Actions [B, C].
        """
        action = np.empty(noise.shape, np.float32)
        for factor in self.factors:
            own, columns = _outputs(factor, outputs), slice(factor.column, factor.column + factor.columns)
            match factor.kind:
                case "gaussian":
                    std = np.exp(log_std[factor.log_std : factor.log_std + factor.columns])
                    action[:, columns] = own + std * noise[:, columns]
                case "categorical":
                    action[:, factor.column] = _choose(_masked(np, factor, own, mask), noise[:, factor.column])
                case "bernoulli":
                    zero = 1.0 / (1.0 + np.exp(np.minimum(own, 80.0)))
                    # A masked bit is decided by comparison: a uniform of 0 could still pick a value of probability ~0.
                    decided = _bit_logits(np, factor, np.zeros_like(own), mask)
                    action[:, columns] = ((noise[:, columns] >= zero) | (decided > 0)) & (decided >= 0)
        return action

    def mode(self, outputs: NDArray[np.float32], mask: NDArray[np.uint8] | None = None) -> NDArray[np.float32]:
        """The most probable actions: outputs [B, O], mask [B, K] -> [B, C]."""
        action = np.empty((len(outputs), self.num_columns), np.float32)
        for factor in self.factors:
            own, columns = _outputs(factor, outputs), slice(factor.column, factor.column + factor.columns)
            match factor.kind:
                case "gaussian":
                    action[:, columns] = own
                case "categorical":
                    action[:, factor.column] = _masked(np, factor, own, mask).argmax(-1)
                case "bernoulli":
                    action[:, columns] = _bit_logits(np, factor, own, mask) > 0
        return action

    def to_rows(self, action: NDArray[np.float32]) -> NDArray[Any]:
        """Actions [B, C] as rows [B] of the environment's space (`a2c.spaces`), scaled and clipped to its bounds."""
        if self._type.fields is None:
            ((_, convert),) = self._columns_to_part
            return convert(action)
        rows = np.empty(len(action), self._type)
        for name, convert in self._columns_to_part:
            part_of(rows, name)[...] = convert(action)
        return rows


def log_prob_and_entropy(
    xp: ModuleType,
    factors: tuple[Factor, ...],
    outputs: Array,
    log_std: Array,
    action: Array,
    mask: Array | None = None,
) -> tuple[Array, Array]:
    """log pi(a) and H in nats, both summed over the factors: [B, O], [A], [B, C], [B, K] -> [B], [B].

        choice   log softmax(logits)_a                                        -sum p log p
        real     -sum((a - mean)^2 / (2 std^2) + log std + log(2 pi) / 2)     sum(log std + log(2 pi e) / 2)
        bit      log sigmoid(logit) or log sigmoid(-logit)                    -sum p log p

    A masked choice has probability 0 and gets no gradient. The entropy is that of the allowed choices' distribution.

    Args:
        xp: `numpy` or `paddle`.
        factors: Of the action.
        outputs: [B, O] of the actor.
        log_std: [A].
        action: [B, C].
        mask: [B, K], 1 for what is allowed; None: everything is allowed.
    """
    log_prob = entropy = 0.0
    for factor in factors:
        own = _outputs(factor, outputs)
        taken = action[:, factor.column : factor.column + factor.columns]
        match factor.kind:
            case "gaussian":
                own_log_std = log_std[factor.log_std : factor.log_std + factor.columns]
                z = (taken - own) * xp.exp(-own_log_std)
                log_prob = log_prob - xp.sum(0.5 * z * z + own_log_std + _HALF_LOG_2PI, -1)
                entropy = entropy + xp.sum(own_log_std + (_HALF_LOG_2PI + 0.5) + xp.zeros_like(own), -1)
            case "categorical":
                logits = _masked(xp, factor, own, mask)
                shifted = logits - xp.amax(logits, -1)[:, None]
                log_p = shifted - xp.log(xp.sum(xp.exp(shifted), -1))[:, None]
                log_prob = log_prob + xp.take_along_axis(log_p, taken.astype("int64"), -1)[:, 0]
                entropy = entropy - xp.sum(xp.exp(log_p) * log_p, -1)
            case "bernoulli":
                logit = _bit_logits(xp, factor, own, mask)
                log_one, log_zero = -_softplus(xp, -logit), -_softplus(xp, logit)
                log_prob = log_prob + xp.sum(taken * log_one + (1 - taken) * log_zero, -1)
                entropy = entropy - xp.sum(xp.exp(log_one) * log_one + xp.exp(log_zero) * log_zero, -1)
    return log_prob, entropy


def fisher_at_outputs(
    xp: ModuleType,
    factors: tuple[Factor, ...],
    outputs: Array,
    log_std: Array,
    tangent: Array,
    mask: Array | None = None,
) -> Array:
    """M u for each row, [B, O]: M is the Fisher matrix of the distribution in the actor's outputs.

        choice   (diag(p) - p p^T) u        real   u / std^2        bit   p (1 - p) u

    The log standard deviations have a matrix of their own: diagonal, with 2 everywhere.

    Args:
        xp: `numpy` or `paddle`.
        factors: Of the action.
        outputs: [B, O] of the actor.
        log_std: [A].
        tangent: u [B, O].
        mask: [B, K], 1 for what is allowed; None: everything is allowed.

    Reference: Schulman et al., "Trust region policy optimization" (2015), appendix C.
    """
    products = []
    for factor in factors:
        own, u = _outputs(factor, outputs), _outputs(factor, tangent)
        match factor.kind:
            case "gaussian":
                products.append(u * xp.exp(-2 * log_std[factor.log_std : factor.log_std + factor.columns]))
            case "categorical":
                logits = _masked(xp, factor, own, mask)
                p = xp.exp(logits - xp.amax(logits, -1)[:, None])
                p = p / xp.sum(p, -1)[:, None]
                products.append(p * (u - xp.sum(p * u, -1)[:, None]))
            case "bernoulli":
                logit = _bit_logits(xp, factor, own, mask)
                products.append(u * xp.exp(-_softplus(xp, logit) - _softplus(xp, -logit)))
    return xp.concatenate(products, -1) if xp is np else xp.concat(products, -1)


_CERTAIN = 1e4
"""A mask that decides a bit sets its logit to plus or minus this: exp(-1e4) is 0, and 0 times 1e4 is 0, not NaN."""


def _outputs(factor: Factor, outputs: Array) -> Array:
    return outputs[:, factor.output : factor.output + factor.outputs]


def _masked(xp: ModuleType, factor: Factor, logits: Array, mask: Array | None) -> Array:
    if mask is None or factor.mask < 0:
        return logits
    allowed = mask[:, factor.mask : factor.mask + factor.outputs] > 0
    return xp.where(allowed, logits, xp.full_like(logits, FORBIDDEN))


def _bit_logits(xp: ModuleType, factor: Factor, logits: Array, mask: Array | None) -> Array:
    if mask is None or factor.mask < 0:
        return logits
    may_be = mask[:, factor.mask : factor.mask + 2 * factor.outputs] > 0
    logits = xp.where(may_be[:, 0::2], logits, xp.full_like(logits, _CERTAIN))
    return xp.where(may_be[:, 1::2], logits, xp.full_like(logits, -_CERTAIN))


def _softplus(xp: ModuleType, x: Array) -> Array:
    """log(1 + exp(x)), without overflow."""
    size = xp.abs(x)
    return 0.5 * (x + size) + xp.log1p(xp.exp(-size))


def _choose(logits: NDArray[np.float32], uniform: NDArray[np.float32]) -> NDArray[np.int64]:
    """Samples choices: logits [B, n], uniforms [B] -> numbers of choices [B]."""
    cumulative = np.exp(logits - logits.max(-1, keepdims=True)).cumsum(-1)
    threshold = uniform * cumulative[:, -1]
    # The choice whose boundary is the first above the threshold. If rounding finds none, the last allowed choice.
    choice = (cumulative <= threshold[:, None]).sum(-1)
    last = logits.shape[1] - 1 - (logits[:, ::-1] > FORBIDDEN).argmax(-1)
    within: NDArray[np.int64] = np.minimum(choice, last)
    return within


def _scaling(space: gymnasium.Space[Any], columns: int) -> Scaling:
    start = np.zeros(columns, np.int64)
    center, half_range = np.zeros(columns), np.ones(columns)
    low, high = np.full(columns, -np.inf), np.full(columns, np.inf)
    column = 0
    for part in parts(space):
        own: Any = part.space
        count = int(np.prod(own.shape or (), dtype=np.int64))
        here = slice(column, column + count)
        match own:
            case spaces.Discrete() | spaces.MultiDiscrete():
                start[here] = np.broadcast_to(own.start, own.shape or ()).ravel()
            case spaces.Box():
                low[here], high[here], center[here], half_range[here] = _bounds(own)
        column += count
    return Scaling(start, center, half_range, low, high)


def _bounds(box: Any) -> tuple[Any, Any, Any, Any]:
    """Lowest, highest, center and half range of each number of a Box."""
    dtype = np.dtype(box.dtype)
    low, high = box.low.ravel().astype(np.float64), box.high.ravel().astype(np.float64)
    # The largest number of a type does not count as a bound: actions spread over that range would be of no use.
    if dtype.kind == "f":
        of_type = float(np.finfo(dtype).max)
        largest = min(of_type, float(np.finfo(np.float32).max))
        has_low, has_high = low > -largest, high < largest
        low, high = np.maximum(low, -of_type), np.minimum(high, of_type)  # Beyond it, a cast would give infinity.
    else:
        limits = np.iinfo(dtype)
        is_wide = dtype.itemsize >= 4
        has_low = ~((low <= float(limits.min)) & is_wide & (limits.min < 0))
        has_high = ~((high >= float(limits.max)) & is_wide)
        high = np.where(high.astype(object) > limits.max, np.nextafter(float(limits.max), 0), high).astype(np.float64)
    bottom = np.where(has_low, low, np.where(has_high, high, 0.0))
    top = np.where(has_high, high, np.where(has_low, low, 0.0))
    center = bottom / 2 + top / 2
    return low, high, center, np.where(has_low & has_high, top - center, 1.0)


Convert = Callable[[NDArray[np.float32]], NDArray[Any]]


def _columns_to_parts(space: gymnasium.Space[Any], scaling: Scaling) -> list[tuple[str, Convert]]:
    found: list[tuple[str, Convert]] = []
    column = 0
    for part in parts(space):
        count = int(np.prod(part.space.shape or (), dtype=np.int64))
        found.append((part.name, _converter(part.space, column, count, scaling)))
        column += count
    return found


def _converter(space: gymnasium.Space[Any], column: int, count: int, scaling: Scaling) -> Convert:
    """The function that turns actions [B, C] into the numbers of one part [B, *shape]."""
    dtype, shape = np.dtype(space.dtype).newbyteorder("="), tuple(space.shape or ())
    here = slice(column, column + count)
    if isinstance(space, spaces.Box):
        low, high = scaling.low[here], scaling.high[here]
        center, half_range = scaling.center[here], scaling.half_range[here]
        is_whole, lowest, highest = dtype.kind in "iu", space.low.ravel(), space.high.ravel()

        def scale(action: NDArray[np.float32]) -> NDArray[Any]:
            # In place and without np.clip, which takes as long as all the rest: this runs at every step.
            scaled = np.multiply(action[:, here], half_range)
            scaled += center
            np.maximum(scaled, low, out=scaled)
            np.minimum(scaled, high, out=scaled)
            if not is_whole:
                return scaled.astype(dtype).reshape(len(action), *shape)
            whole = np.rint(scaled, out=scaled).astype(dtype)
            if dtype.itemsize == 8:  # As float64, bounds beyond 2^53 are rounded: clip to the exact ones.
                np.minimum(np.maximum(whole, lowest, out=whole), highest, out=whole)
            return whole.reshape(len(action), *shape)

        return scale
    start = scaling.start[here]
    if not shape:
        first = int(start[0])

        def choose(action: NDArray[np.float32]) -> NDArray[Any]:
            choice = action[:, column].astype(dtype)
            return choice + first if first else choice

        return choose

    def number(action: NDArray[np.float32]) -> NDArray[Any]:
        return (action[:, here].astype(np.int64) + start).astype(dtype).reshape(len(action), *shape)

    return number
