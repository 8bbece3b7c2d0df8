"""Any space as rows and back, to files and back: properties over generated spaces."""

import copy
import json

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector.utils import batch_space
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from a2c import files
from a2c.envs.values import Observations
from a2c.finite import bounds_to_check, brief, finite, finite_rows, outside
from a2c.space_files import describe, from_description, to_arrays
from a2c.spaces import (
    batch_of,
    batch_size,
    batched,
    left_out,
    numbers_only,
    parts,
    plain,
    row_type,
    rows_of,
    same,
    unplain,
    value_of,
)

TYPES = ["<f4", ">f4", "<f8", "<f2", "|u1", "|i1", "<i4", ">i8", "<u2", "<u8", "|b1"]
shapes = st.lists(st.integers(1, 3), max_size=3).map(tuple)


@st.composite
def boxes(draw):
    kind, shape = np.dtype(draw(st.sampled_from(TYPES))), draw(shapes)
    low, high = (0, 1) if kind.kind in "bu" else (-2, 3)
    if kind.kind == "f" and draw(st.booleans()):
        low, high = -np.inf, np.inf
    return spaces.Box(np.full(shape, low, kind), np.full(shape, high, kind), shape, kind)


@st.composite
def multi_discretes(draw):
    nvec = np.array(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    if len(nvec) % 2 == 0 and draw(st.booleans()):
        nvec = nvec.reshape(2, -1)
    start = np.full(nvec.shape, draw(st.integers(-3, 3)))
    return spaces.MultiDiscrete(nvec, start=start, dtype=draw(st.sampled_from([np.int64, np.int32, np.int8])))


leaves = st.one_of(
    boxes(),
    st.builds(lambda n, start: spaces.Discrete(n, start=start), st.integers(1, 9), st.integers(-5, 5)),
    multi_discretes(),
    st.builds(spaces.MultiBinary, st.one_of(st.integers(1, 4), st.just([2, 3]))),
)
keys = st.one_of(st.text(max_size=3), st.sampled_from(["a", "a.b", "b", "low", "_"]))


def nested_in(inner):
    return st.one_of(
        st.dictionaries(keys, inner, min_size=1, max_size=3).map(spaces.Dict),
        st.lists(inner, min_size=1, max_size=3).map(spaces.Tuple),
    )


every_space = st.recursive(leaves, nested_in, max_leaves=6)
quickly = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def sampled(space, seed=0):
    space = copy.deepcopy(space)
    space.seed(seed)
    return space.sample()


def equal(a, b):
    if isinstance(a, dict):
        return list(a) == list(b) and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    # Gymnasium samples a Box of no dimension as a scalar, which has no byte order.
    types = [np.asarray(one).dtype.newbyteorder("=") for one in (a, b)]
    return np.array_equal(a, b) and types[0] == types[1]


@quickly
@given(every_space, st.integers(0, 1000))
def test_a_value_becomes_a_row_and_again_that_value(space, seed):
    value = sampled(space, seed)
    row = rows_of(space, value)
    assert row.dtype == row_type(space).base
    again = value_of(space)(row)
    assert space.contains(again)
    assert equal(dict(value) if isinstance(value, dict) else value, again)


@quickly
@given(every_space, st.integers(0, 1000))
def test_what_an_environment_gives_becomes_the_same_row(space, seed):
    value = sampled(space, seed)
    row, known = Observations(space)(value), rows_of(space, value)
    assert np.asarray(row, known.dtype).tobytes() == known.tobytes()


@quickly
@given(every_space, st.integers(1, 3))
def test_rows_become_gymnasiums_batches_and_again_those_rows(space, n):
    rows = np.zeros(n, row_type(space))
    for i in range(n):
        rows[i] = rows_of(space, sampled(space, i))
    values = batched(space, rows)
    assert batch_space(space, n).contains(values)
    assert batch_size(space, values) == n
    assert batch_size(space, value_of(space)(rows[0])) is None
    again = batch_of(space, values, n)
    assert again.dtype == rows.dtype
    assert again.tobytes() == rows.tobytes()


@quickly
@given(every_space)
def test_rows_go_into_a_file_and_come_back(space):
    rows = np.zeros((2, 3), row_type(space))
    rows[1, 2] = rows_of(space, sampled(space))
    written = files.arrays_to_bytes({"rows": plain(rows)})
    from safetensors.numpy import load

    again = unplain(load(written)["rows"], row_type(space).base)
    assert again.dtype == rows.dtype
    assert again.tobytes() == rows.tobytes()


@quickly
@given(every_space)
def test_a_space_goes_into_files_and_comes_back(space):
    description, arrays = describe(space), to_arrays(space, "obs")
    again = from_description(json.loads(json.dumps(description)), arrays, "obs")
    assert again == space
    assert same(again, space)
    assert row_type(again) == row_type(space)
    assert {name.partition(".")[0] for name in arrays} <= {"obs"}


@quickly
@given(every_space, every_space)
def test_spaces_are_the_same_where_gymnasium_says_so(one, another):
    assert same(one, one)
    assert same(one, another) == same(another, one)
    if one == another:
        assert same(one, another)


@quickly
@given(every_space)
def test_finiteness_and_bounds_can_be_asked_of_any_rows(space):
    rows = np.zeros((2, 3), row_type(space))
    rows[...] = rows_of(space, sampled(space))
    assert finite_rows(rows, 2).all()
    assert finite(rows).all()
    assert isinstance(brief(rows[0, 0]), str)
    bounds = bounds_to_check(space)
    assert bounds is None or outside(rows, *bounds) is None


def test_one_bad_number_makes_its_row_bad():
    space = spaces.Dict(a=spaces.Box(-np.inf, np.inf, (2,)), n=spaces.Discrete(3))
    rows = np.zeros((2, 3), row_type(space))
    rows["a"][1, 2, 0] = np.nan
    assert np.argwhere(~finite_rows(rows, 2)).tolist() == [[1, 2]]
    assert brief(rows[1, 2]) == "{a: [nan, 0], n: 0}"


def test_a_part_outside_its_bounds_is_named():
    space = spaces.Dict(a=spaces.Box(-1, 1, (2,)), n=spaces.Discrete(3))
    rows = np.zeros((2, 3), row_type(space))
    rows["a"][1, 2, 1] = 7
    found = outside(rows, *bounds_to_check(space))
    assert found == (
        "environment 2 gave an observation whose 'a' has 7.0 at index 1, outside its space's bounds -1.0 to 1.0"
    )


def test_a_plain_box_has_the_array_names_of_earlier_policies():
    assert list(to_arrays(spaces.Box(-1, 1, (2,)), "observation")) == ["observation.low", "observation.high"]
    nested = spaces.Dict(camera=spaces.Dict(left=spaces.Box(0, 255, (2,), np.uint8)))
    assert list(to_arrays(nested, "observation")) == ["observation.camera.left.low", "observation.camera.left.high"]


def test_what_is_no_number_is_left_out_wherever_it_is():
    text, box = spaces.Text(5), spaces.Box(-1, 1, (2,))
    space = spaces.Dict(mission=text, inner=spaces.Tuple([text, box, spaces.Sequence(box)]), empty=spaces.Dict(t=text))
    assert numbers_only(space) == spaces.Dict(inner=spaces.Tuple([box]))
    assert [path for path, _ in left_out(space)] == [("mission",), ("inner", 0), ("inner", 2), ("empty", "t")]
    assert numbers_only(text) is None
    assert numbers_only(box) is box


def test_values_share_no_memory_with_rows():
    space = spaces.Dict(a=spaces.Box(-1, 1, (2,)), b=spaces.MultiBinary(3))
    row = rows_of(space, sampled(space))
    value = value_of(space)(row)
    assert not any(np.shares_memory(row, part) for part in value.values())
    assert all(part.flags.aligned for part in value.values())


SPACE = spaces.Dict(
    camera=spaces.Dict(left=spaces.Box(0, 255, (4,), np.uint8)),
    n=spaces.Discrete(3, start=1),
    pair=spaces.Tuple([spaces.MultiBinary(2), spaces.Box(-1, 1, (2,))]),
)
RIGHT = {"camera": {"left": [1, 2, 3, 4]}, "n": 2, "pair": ([0, 1], [0.5, 0.5])}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"camera": {"left": [1, 2, 3]}}, r"obs\['camera'\]\['left'\] has shape \(3,\); it must be \(4,\)"),
        ({"camera": {"left": [1, 2, 3, 0.5]}}, r"\['left'\] has 0.5; it must be what uint8 can hold"),
        ({"camera": {"left": [1, 2, 3, 256]}}, r"\['left'\] has 256"),
        ({"camera": {}}, r"obs\['camera'\] lacks 'left'; it must have 'left'"),
        ({"camera": 1}, r"obs\['camera'\] is 1; it must be a dict with 'left'"),
        ({"n": 4}, r"obs\['n'\] has 4; it must be whole numbers of Discrete\(3, start=1\)"),
        ({"n": 1.5}, r"obs\['n'\] has 1.5"),
        ({"n": float("nan")}, r"obs\['n'\] has nan"),
        ({"n": "2"}, r"obs\['n'\] is '2'; it must be numbers"),
        ({"pair": [[0, 1]]}, r"obs\['pair'\] is .* it must be a tuple of 2"),
        ({"pair": ([0, 2], [0, 0])}, r"obs\['pair'\]\[0\] has 2"),
    ],
)
def test_what_is_none_of_the_space_is_refused_by_name(wrong, says):
    with pytest.raises(ValueError, match=says):
        rows_of(SPACE, RIGHT | wrong)
    rows_of(SPACE, RIGHT | {"more": 1})


@pytest.mark.parametrize(
    "description",
    [
        None,
        [],
        {"kind": "graph"},
        {"kind": "box"},
        {"kind": "box", "type": "O"},
        {"kind": "box", "type": "<f4,<f4"},
        {"kind": "box", "type": "<f8"},
        {"kind": "discrete", "n": 0, "start": 0, "type": "<i8"},
        {"kind": "discrete", "n": 2**63, "start": 1, "type": "<i8"},
        {"kind": "discrete", "n": 300, "start": 0, "type": "|u1"},
        {"kind": "discrete", "n": 3, "start": 0, "type": "<f4"},
        {"kind": "discrete", "n": 3.0, "start": 0, "type": "<i8"},
        {"kind": "multi_discrete", "nvec": [2, [3]], "start": [0, 0], "type": "<i8"},
        {"kind": "multi_discrete", "nvec": [2, 3], "start": [0], "type": "<i8"},
        {"kind": "multi_discrete", "nvec": ["2"], "start": [0], "type": "<i8"},
        {"kind": "multi_binary", "shape": []},
        {"kind": "multi_binary", "shape": [2**40]},
        {"kind": "multi_binary", "shape": [-1]},
        {"kind": "dict", "parts": [["a"]]},
        {"kind": "dict", "parts": [[{"a": 1}, {"kind": "multi_binary", "shape": [1]}]]},
        {"kind": "dict", "parts": [[[["a"], True], {"kind": "multi_binary", "shape": [1]}]]},
        {"kind": "tuple", "parts": [{"kind": "multi_binary", "shape": [1]}], "positions": [3], "length": 2},
        {"kind": "tuple", "parts": [{"kind": "multi_binary", "shape": [1]}], "positions": [0, 1], "length": 2},
        {"kind": "tuple", "parts": [{"kind": "multi_binary", "shape": [1]}] * 2, "positions": [1, 0], "length": 2},
        {"kind": "dict", "parts": [["a", {"kind": "multi_binary", "shape": [1]}]] * 2},
        {"kind": "tuple", "parts": {}},
        {"kind": "dict", "parts": None},
    ],
)
def test_a_malformed_description_is_refused(description):
    arrays = {"x.low": np.zeros(2, np.float32), "x.high": np.ones(2, np.float32)}
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        from_description(description, arrays, "x")


def test_a_description_nested_too_deep_is_refused():
    description = {"kind": "multi_binary", "shape": [1]}
    for _ in range(100):
        description = {"kind": "tuple", "parts": [description]}
    with pytest.raises(ValueError, match="nested"):
        from_description(description, {}, "x")


def test_bounds_that_are_missing_or_turned_round_are_refused():
    description = {"kind": "box", "type": "<f4"}
    with pytest.raises(KeyError, match=r"x\.low"):
        from_description(description, {}, "x")
    arrays = {"x.low": np.ones(2, np.float32), "x.high": np.zeros(2, np.float32)}
    with pytest.raises(ValueError, match="limits"):
        from_description(description, arrays, "x")


def test_other_spaces_are_not_the_same():
    box = spaces.Box(-1, 1, (2,))
    assert not same(box, spaces.Box(-1, 2, (2,)))
    assert same(box, spaces.Box(-1, 2, (2,)), bounds=False)
    assert not same(box, spaces.Box(-1, 1, (3,)), bounds=False)
    assert same(box, spaces.Box(-1, 1, (2,), np.float64))
    assert not same(spaces.Discrete(3), spaces.Discrete(3, start=1))
    assert not same(spaces.MultiDiscrete([2, 3]), spaces.MultiDiscrete([3, 2]))
    assert not same(spaces.Dict(a=box), spaces.Dict(b=box))
    assert not same(spaces.Tuple([box]), spaces.Tuple([box, box]))
    assert not same(spaces.Dict(a=box), box)


def test_a_stranger_of_a_space_has_no_parts():
    assert parts(gymnasium.Space()) == ()


def test_a_description_is_read_by_a_gymnasium_whose_discrete_spaces_have_no_type(monkeypatch):
    class Older(spaces.Discrete):
        """As before Gymnasium 1.3."""

        def __init__(self, n, seed=None, start=0):
            super().__init__(n, seed, start)

    description = describe(spaces.Discrete(3, start=1))
    monkeypatch.setattr(spaces, "Discrete", Older)
    assert same(from_description(description, {}, ""), Older(3, start=1))


@pytest.mark.parametrize(
    "space",
    [
        spaces.Dict({(0, 1): spaces.Discrete(3), (0, ("a", None)): spaces.Box(-1, 1, (2,))}),
        spaces.Dict({1.5: spaces.Discrete(3), None: spaces.Discrete(2), "1.5": spaces.Discrete(4)}),
        spaces.Dict({np.int64(3): spaces.Discrete(3), True: spaces.Discrete(2)}),
    ],
)
def test_any_key_that_json_can_tell_apart_can_be_written(space):
    again = from_description(json.loads(json.dumps(describe(space))), to_arrays(space, "x"), "x")
    assert same(space, again)
    assert [space[key] for key in again.spaces] == list(space.spaces.values())


@pytest.mark.parametrize("key", [frozenset([1]), b"a", float("nan"), (1, b"a")], ids=repr)
def test_other_keys_are_refused_by_name(key):
    with pytest.raises(TypeError, match=r"has the key .*; it must be text, a number, None, or a tuple of these"):
        describe(spaces.Dict({key: spaces.Discrete(2)}))


def test_what_can_be_written_can_be_read_and_no_deeper():
    space = spaces.Discrete(2)
    for _ in range(32):
        space = spaces.Tuple([space])
    assert same(space, from_description(describe(space), {}, "x"))
    with pytest.raises(TypeError, match="nested more than 32 deep"):
        describe(spaces.Tuple([space]))


def test_long_numbers_are_written_as_float64():
    space = spaces.Box(-1, 1, (2,), np.longdouble)
    again = from_description(describe(space), to_arrays(space, "x"), "x")
    assert again.dtype == np.float64
    assert same(space, again)


def test_values_of_a_tuple_are_read_with_what_was_left_out_of_it_and_without():
    whole = spaces.Tuple([spaces.Text(3), spaces.Discrete(3), spaces.Tuple([spaces.Text(3), spaces.Box(-1, 1, (2,))])])
    left = numbers_only(whole)
    left = from_description(json.loads(json.dumps(describe(left))), to_arrays(left, "x"), "x")
    numbers = np.array([0.5, 0.25], np.float32)
    rows = [rows_of(left, value) for value in (("ab", 2, ("c", numbers)), (2, (numbers,)))]
    assert rows[0].tobytes() == rows[1].tobytes()
    batch = ("ab", "cd"), np.array([2, 1]), (("c", "d"), np.stack([numbers, numbers]))
    assert batch_size(left, batch) == 2
    assert batch_of(left, batch, 2)[0].tobytes() == rows[0].tobytes()


def test_a_batch_is_one_only_if_all_parts_say_so():
    space = spaces.Dict(a=spaces.Discrete(3), b=spaces.Box(-1, 1, (2,)))
    assert batch_size(space, {"a": np.array([2]), "b": np.zeros((1, 2))}) == 1
    assert batch_size(space, {"a": np.array([2]), "b": np.zeros(2)}) is None
    assert batch_size(space, {"a": np.array([2, 1]), "b": np.zeros((1, 2))}) is None
