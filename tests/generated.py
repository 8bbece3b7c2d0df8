"""Generates spaces of every kind, and values of them."""

import numpy as np
from gymnasium import spaces as gym_spaces
from hypothesis import strategies as st

from a2c.spaces import parts, row_type

WHOLE = (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64)
SHAPES = ((), (1,), (3,), (2, 2))


def _arrays(shape, of, dtype):
    size = int(np.prod(shape))
    return st.lists(of, min_size=size, max_size=size).map(lambda items: np.array(items, dtype).reshape(shape))


@st.composite
def whole_boxes(draw):
    """Boxes of whole numbers with any bounds, often at the ends of their type."""
    dtype, shape = np.dtype(draw(st.sampled_from(WHOLE))), draw(st.sampled_from(SHAPES))
    limits = np.iinfo(dtype)
    bound = st.one_of(st.integers(limits.min, limits.max), st.sampled_from((limits.min, limits.max)))
    low, high = (draw(_arrays(shape, bound, dtype)) for _ in range(2))
    return gym_spaces.Box(np.minimum(low, high), np.maximum(low, high), shape, dtype.type)


@st.composite
def real_boxes(draw):
    """Boxes of real numbers: with bounds, without, with one, or with the type's largest number."""
    dtype, shape = np.dtype(draw(st.sampled_from((np.float16, np.float32, np.float64)))), draw(st.sampled_from(SHAPES))
    largest = float(np.finfo(dtype).max)
    bound = st.one_of(
        st.floats(-100, 100, width=16), st.sampled_from((-np.inf, -largest, largest, np.inf)),
        st.floats(-largest, largest, width=8 * dtype.itemsize),
    )  # fmt: skip
    low, high = (draw(_arrays(shape, bound, dtype)) for _ in range(2))
    low, high = np.minimum(low, high), np.maximum(low, high)
    # Between two infinities of the same sign there is no number.
    low, high = np.where(low == np.inf, dtype.type(0), low), np.where(high == -np.inf, dtype.type(0), high)
    return gym_spaces.Box(low.astype(dtype), high.astype(dtype), shape, dtype.type)


def small_boxes():
    """Ordinary boxes: a few real numbers."""
    return st.sampled_from(SHAPES).map(lambda shape: gym_spaces.Box(-1, 1, shape, np.float32))


def discretes():
    return st.builds(lambda n, start: gym_spaces.Discrete(n, start=start), st.integers(1, 6), st.integers(-3, 3))


@st.composite
def multi_discretes(draw):
    shape = draw(st.sampled_from(((1,), (3,), (2, 2))))
    nvec = draw(_arrays(shape, st.integers(1, 5), np.int64))
    return gym_spaces.MultiDiscrete(nvec, start=draw(_arrays(shape, st.integers(-3, 3), np.int64)))


def multi_binaries():
    return st.sampled_from((1, 3, (2, 2))).map(gym_spaces.MultiBinary)


def nested(leaves):
    """Spaces that are one of the leaves, or a Dict or a Tuple of such spaces."""
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map(gym_spaces.Tuple),
            st.dictionaries(st.sampled_from("abc"), inner, min_size=1, max_size=3).map(gym_spaces.Dict),
        ),
        max_leaves=4,
    )


ACTIONS = nested(st.one_of(discretes(), multi_discretes(), multi_binaries(), real_boxes(), whole_boxes()))
OBSERVATIONS = nested(st.one_of(discretes(), multi_discretes(), multi_binaries(), small_boxes()))


def rows_of(space, count, seed=0):
    """Random values of a space, as rows."""
    rows = np.empty(count, row_type(space)) if isinstance(space, gym_spaces.Dict | gym_spaces.Tuple) else None
    found = {}
    for number, part in enumerate(parts(space)):
        part.space.seed(seed + number)
        found[part.name] = np.stack([np.asarray(part.space.sample()) for _ in range(count)])
        if rows is not None:
            rows[part.name] = found[part.name]
    return rows if rows is not None else found[""].astype(row_type(space).base)
