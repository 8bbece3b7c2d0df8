"""Environments with every kind of space: the actions they get, what they return, and which actions they allow."""

import contextlib
import copy
import os
import signal

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple
from safetensors.numpy import load

import a2c
from a2c import files
from a2c.envs.masks import ActionMasks
from a2c.envs.values import WrongValueError, reward_of
from a2c.finite import finite
from a2c.masks import mask_size
from a2c.spaces import batch_of, plain, row_type, value_of

NESTED = Dict(
    camera=Dict(left=Box(0, 255, (2, 3), np.uint8), right=Box(0, 1, (), np.float16)),
    kind=Discrete(4, start=-1),
    rest=Tuple([MultiBinary((2, 2)), MultiDiscrete([3, 2], start=[1, -1])]),
)
OBSERVATIONS = {
    "discrete": Discrete(5, start=2),
    "a byte": Discrete(5, dtype=np.uint8),
    "multi-discrete": MultiDiscrete([[2, 3], [4, 5]], start=[[0, 1], [2, -3]]),
    "bits": MultiBinary(3),
    "bits in two dimensions": MultiBinary((2, 3)),
    "half precision": Box(-1, 1, (2,), np.float16),
    "big-endian": Box(-1, 1, (2,), ">f4"),
    "no dimension": Box(-1, 1, (), np.float32),
    "bools": Box(0, 1, (2,), np.bool_),
    "tuple": Tuple([Discrete(2), Box(-1, 1, (2,))]),
    "nested": NESTED,
}
ACTIONS = {
    "discrete": Discrete(5, start=2),
    "multi-discrete": MultiDiscrete([[2, 3], [4, 5]], start=[[0, 1], [2, -3]]),
    "bits": MultiBinary(3),
    "whole numbers": Box(-5, 5, (2,), np.int16),
    "bytes": Box(0, 255, (2,), np.uint8),
    "big-endian": Box(-1, 1, (2,), ">f4"),
    "big-endian whole numbers": Box(-5, 5, (2,), ">i4"),
    "no dimension": Box(-1, 1, (), np.float32),
    "tuple": Tuple([Discrete(2), Box(-1, 1, (2,))]),
    "nested": NESTED,
}


RIGHT = object()


class Sampler(gymnasium.Env):
    """Observes samples of its space; insists on actions of its own; ends after five steps.

    `mask(t)` is what is allowed after t steps, and `where` says how that is told.
    """

    def __init__(self, observation_space=None, action_space=None, mask=None, where="info", reward=1.0, step=RIGHT):
        # Copies, as each environment samples from its own.
        self.observation_space = Box(-1, 1, (2,)) if observation_space is None else copy.deepcopy(observation_space)
        self.action_space = Discrete(3) if action_space is None else copy.deepcopy(action_space)
        self._mask, self._where, self._reward, self._step = mask, where, reward, step
        if where == "method":
            self.action_masks = lambda: mask(self.t)
        self.got = []
        self.t = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.got = 0, []
        return self._seen()

    def step(self, action):
        assert self.action_space.contains(action), action
        assert not isinstance(self.action_space, Discrete) or isinstance(action, np.integer)
        self.got.append(action)
        self.t += 1
        obs, info = self._seen()
        if self._step is not RIGHT and self.t == 3:
            obs = self._step
        return obs, self._reward, self.t == 5, False, info

    def _seen(self):
        obs, info = self.observation_space.sample(), {}
        if self._mask is not None and self._where == "info":
            info = {"action_mask": self._mask(self.t)}
        if self._mask is not None and self._where == "observation":
            obs["action_mask"] = self._mask(self.t)
        return obs, info


def local(num_envs=1, seed=0, reward_weights=None, **parts):
    return a2c.make_envs(
        lambda: Sampler(**parts), num_envs, vectorization="local", seed=seed, reward_weights=reward_weights
    )


def sampled_actions(space, n, steps, seed=0):
    """Rows [steps, n]."""
    batch = gymnasium.vector.utils.batch_space(space, n)
    batch.seed(seed)
    return np.stack([batch_of(space, batch.sample(), n) for _ in range(steps)])


# -- what they get and give --


@pytest.mark.parametrize("what", OBSERVATIONS)
def test_observations_of_any_space_are_rows(what):
    space = OBSERVATIONS[what]
    with contextlib.closing(local(3, observation_space=space)) as envs:
        obs = envs.begin()
        dtype = row_type(space)
        assert (obs.dtype, obs.shape) == (dtype.base, (3, *dtype.shape))
        value = value_of(space)
        for _ in range(7):
            step = envs.advance(np.zeros(3, np.int64))
            assert all(space.contains(value(row)) for row in step.next_obs)
        assert len({row.tobytes() for row in step.obs}) > 1 or what == "bools"


@pytest.mark.parametrize("what", ACTIONS)
def test_environments_get_actions_of_their_own_space(what):
    space = ACTIONS[what]
    with contextlib.closing(local(2, action_space=space)) as envs:
        envs.begin()
        actions = sampled_actions(space, 2, 4)
        for action in actions:
            envs.advance(action)
        value = value_of(space)
        for n, got in enumerate(envs.get_attr("got")):
            for action, own in zip(actions[:, n], got, strict=True):
                assert str(own) == str(value(action))


@pytest.mark.parametrize("what", ["discrete", "multi-discrete", "nested", "big-endian"])
def test_workers_give_what_this_process_gives(what):
    obs, act = OBSERVATIONS[what], ACTIONS[what]
    seen = []
    for vectorization in ("local", "workers"):
        make = lambda: Sampler(obs, act)  # noqa: E731
        with contextlib.closing(a2c.make_envs(make, 3, vectorization=vectorization, seed=3)) as envs:
            first = envs.begin().copy()
            steps = [envs.advance(action) for action in sampled_actions(act, 3, 7)]
            seen.append((first.tobytes(), steps[-1].obs.tobytes(), steps[-1].reward.tobytes()))
    assert seen[0] == seen[1]


def test_gymnasiums_face_speaks_in_batches():
    with contextlib.closing(local(3, observation_space=NESTED, action_space=NESTED)) as envs:
        obs, _ = envs.reset(seed=1)
        assert envs.observation_space.contains(obs)
        envs.action_space.seed(0)
        for t in range(6):
            obs, _, terminated, _, infos = envs.step(envs.action_space.sample())
            assert envs.observation_space.contains(obs)
            if t == 4:
                assert terminated.all()
                assert all(NESTED.contains(final) for final in infos["final_obs"])
        one = envs.action_space.sample()
        with pytest.raises(ValueError, match=r"actions lacks 'kind'"):
            envs.step({key: value for key, value in one.items() if key != "kind"})
        with pytest.raises(ValueError, match=r"actions\['kind'\] has 7"):
            envs.step(one | {"kind": np.array([0, 7, 0])})
        right = one["camera"]["right"].copy()
        right[1] = np.nan
        with pytest.raises(ValueError, match=r"the action for 'camera\.right' of environment 1 is nan"):
            envs.step(one | {"camera": one["camera"] | {"right": right}})


@pytest.mark.parametrize(
    ("space", "action", "says"),
    [
        (MultiDiscrete([2, 3]), [[0, 3]], "environment 0 is 3 at index 1; it must be from 0 to 2"),
        (MultiBinary(2), [[0, 2]], "environment 0 is 2 at index 1; it must be from 0 to 1"),
        (Box(0, 255, (2,), np.uint8), [[0, 256]], "environment 0 is 256 at index 1; it must be from 0 to 255"),
        (Box(-5, 5, (2,), np.int16), [[0.5, 0.0]], "they must be whole numbers"),
    ],
)
def test_discrete_actions_out_of_range_are_refused(space, action, says):
    with contextlib.closing(local(1, action_space=space)) as envs:
        envs.begin()
        with pytest.raises(ValueError, match=says):
            envs.advance(np.array(action))
        with pytest.raises(ValueError, match=says):
            envs.step(action)


def test_an_environment_may_keep_and_write_its_actions():
    class Scribbles(Sampler):
        def step(self, action):
            result = super().step(action)
            action["camera"]["left"][...] = 9
            return result

    envs = a2c.make_envs(lambda: Scribbles(action_space=NESTED), 1, vectorization="local")
    with contextlib.closing(envs):
        envs.begin()
        rows = np.zeros((1,), row_type(NESTED))
        rows["rest.1"] = [1, -1]
        for _ in range(3):
            envs.advance(rows)
        assert not rows["camera.left"].any()
        assert not envs.stepper.recording_to(0).actions["camera.left"].any()
        (got,) = envs.get_attr("got")
        assert len({id(action["camera"]["left"]) for action in got}) == 3


# -- what is wrong --


@pytest.mark.parametrize(
    ("space", "wrong", "says"),
    [
        (Discrete(3), 3, "an observation with 3, its space says a whole number from 0 to 2"),
        (Discrete(3), 0.5, "an observation with 0.5"),
        (Discrete(3), None, "an observation that is None; it must be a whole number"),
        (Discrete(3), [1, 2], r"an observation of shape \(2,\), its space says \(\)"),
        (MultiDiscrete([2, 3]), [0, 3], "an observation with 3 at index 1, its space says a whole number from 0 to 2"),
        (MultiDiscrete([2, 3]), [0], r"an observation of shape \(1,\), its space says \(2,\)"),
        (MultiBinary(2), [0, -1], "an observation with -1 at index 1"),
        (MultiBinary(2), [0, float("nan")], "an observation with nan at index 1"),
        (
            Dict(a=Dict(b=Box(-1, 1, (4,)))),
            {"a": {"b": np.zeros(3)}},
            r"an observation whose 'a\.b' has shape \(3,\), its space says",
        ),
        (Dict(a=Dict(b=Box(-1, 1, (4,)))), {"a": {}}, r"an observation without 'a\.b', which its space has"),
        (
            Dict(a=Dict(b=Box(-1, 1, (4,)))),
            {"a": 1},
            "an observation whose 'a' is an int .1.; it must be a dict with 'b'",
        ),
        (Dict(a=Discrete(3)), {"a": 3}, "an observation whose 'a' has 3"),
        (Dict(a=Discrete(3)), [1], "an observation that is a list .*; it must be a dict with 'a'"),
        (
            Dict(a=Box(0, 9, (1,), np.uint8)),
            {"a": [0.5]},
            "an observation whose 'a' has 0.5 at index 0, which its space's type uint8",
        ),
        (Tuple([Discrete(3)]), (1, 2), "an observation that is a tuple .*; it must be a tuple of 1"),
        (Tuple([Discrete(3)]), (None,), "an observation whose '0' is None; it must be a whole number"),
    ],
)
def test_an_observation_outside_its_space_is_an_error_that_names_the_part(space, wrong, says):
    with contextlib.closing(local(2, observation_space=space, step=wrong)) as envs:
        envs.begin()
        envs.advance(np.zeros(2, np.int64))
        envs.advance(np.zeros(2, np.int64))
        with pytest.raises(a2c.EnvError, match=f"environment 0 gave {says}.*in step .*step 3") as refused:
            envs.advance(np.zeros(2, np.int64))
        assert "a2c/" not in str(refused.value)


@pytest.mark.parametrize("value", [2, np.int32(2), np.uint8(2), np.array(2), np.array([2]), 2.0, np.array([[2.0]])])
def test_a_whole_number_in_any_form_is_a_discrete_observation(value):
    with contextlib.closing(local(1, observation_space=Discrete(5), step=value)) as envs:
        envs.begin()
        for _ in range(3):
            step = envs.advance(np.zeros(1, np.int64))
        assert step.obs.tolist() == [2]


def test_more_keys_than_the_space_has_are_ignored():
    space = Dict(a=Discrete(3))
    with contextlib.closing(local(1, observation_space=space, step={"a": 1, "debug": "text"})) as envs:
        envs.begin()
        for _ in range(3):
            step = envs.advance(np.zeros(1, np.int64))
        assert step.obs["a"].tolist() == [1]


@pytest.mark.parametrize(
    ("space", "says"),
    [
        (Text(3), r"the action space of .* is Text\(.*, which is not supported; it must be a Discrete, a Multi"),
        (Dict(tool=Tuple([Discrete(2), Text(3)])), r"the part tool\.1 of the action space of .* is Text"),
        (spaces.Sequence(Discrete(2)), "is Sequence"),
        (spaces.OneOf([Discrete(2), Discrete(3)]), "is OneOf"),
        (Box(0, 1, (2,), np.bool_), "is Box.* use a MultiBinary for bits"),
        (Dict(), "has an empty space"),
        (
            Dict(a=Box(0, 1, (0,)), b=Discrete(2)),
            r"the part a of the action space of .* is empty; remove it from the space",
        ),
    ],
)
def test_actions_that_cannot_be_drawn_are_refused_by_name(space, says):
    with pytest.raises(a2c.UserError, match=says):
        local(action_space=space)


@pytest.mark.parametrize("space", [Text(3), Dict(mission=Text(3)), spaces.Sequence(Discrete(2))])
def test_observations_without_any_number_are_refused(space):
    with pytest.raises(a2c.UserError, match="it must have a part that is made of numbers"):
        local(observation_space=space)


# -- what is left out --


def test_parts_that_are_not_numbers_are_ignored_with_one_warning():
    space = Dict(direction=Discrete(4), mission=Text(5), rest=Tuple([Text(2), Box(-1, 1, (2,))]))
    with pytest.warns(UserWarning, match="are not numbers and are ignored") as said:
        envs = local(2, observation_space=space)
    with contextlib.closing(envs):
        (line,) = [str(warning.message) for warning in said]
        assert line.endswith("are not numbers and are ignored: mission (Text), rest.0 (Text)")
        assert envs.single_observation_space == Dict(direction=Discrete(4), rest=Tuple([Box(-1, 1, (2,))]))
        obs, _ = envs.reset()
        assert envs.observation_space.contains(obs)
        for _ in range(5):
            _, _, _, _, infos = envs.step(np.zeros(2, np.int64))
        assert all(envs.single_observation_space.contains(one) for one in infos["final_obs"])


# -- masks --


def in_turn(t):
    return np.eye(3, dtype=np.int8)[t % 3]


@pytest.mark.parametrize("where", ["info", "method", "observation"])
@pytest.mark.parametrize("vectorization", ["local", "workers"])
def test_a_mask_is_found_wherever_it_is_given(where, vectorization):
    inner = {"x": Box(-1, 1, (2,))} | ({"action_mask": MultiBinary(3)} if where == "observation" else {})
    envs = a2c.make_envs(lambda: Sampler(Dict(inner), mask=in_turn, where=where), 2, vectorization=vectorization)
    with contextlib.closing(envs):
        assert envs.single_observation_space == Dict(x=Box(-1, 1, (2,)))
        assert envs.begin().dtype.names == ("x",)
        for t in range(12):
            assert envs.mask.dtype == np.uint8
            assert envs.mask.tolist() == [in_turn(t % 5).tolist()] * 2  # Episodes are 5 steps long.
            envs.advance(np.zeros(2, np.int64))


def test_a_method_behind_wrappers_is_found():
    make = lambda: gymnasium.wrappers.TimeLimit(Sampler(mask=in_turn, where="method"), 5)  # noqa: E731
    with contextlib.closing(a2c.make_envs(make, 1, vectorization="local")) as envs:
        envs.begin()
        envs.advance(np.zeros(1, np.int64))
        assert envs.mask.tolist() == [[0, 1, 0]]


def test_a_mask_that_is_not_given_again_does_not_stay():
    mask = lambda t: [0, 1, 0] if t == 1 else None  # noqa: E731
    with contextlib.closing(local(1, mask=mask)) as envs:
        envs.begin()
        seen = [envs.mask[0].tolist()]
        for _ in range(3):
            envs.advance(np.zeros(1, np.int64))
            seen.append(envs.mask[0].tolist())
    assert seen == [[1, 1, 1], [0, 1, 0], [1, 1, 1], [1, 1, 1]]


def test_the_observed_mask_comes_before_that_of_the_info_and_the_method():
    class Three(Sampler):
        def __init__(self, observed, told):
            super().__init__(Dict(x=Discrete(2), action_mask=MultiBinary(3)))
            self.observed, self.told = observed, told

        def _seen(self):
            return {"x": 0, "action_mask": self.observed}, {"action_mask": self.told}

        def action_masks(self):
            return [0, 0, 1]

    for observed, told, right in (
        ([1, 0, 0], [0, 1, 0], [1, 0, 0]),
        (None, [0, 1, 0], [0, 1, 0]),
        (None, None, [0, 0, 1]),
    ):
        with contextlib.closing(a2c.make_envs(lambda: Three(observed, told), 1, vectorization="local")) as envs:  # noqa: B023
            envs.begin()
            assert envs.mask.tolist() == [right]


def test_a_mask_after_the_end_is_not_read():
    mask = lambda t: "nonsense" if t == 5 else [0, 1, 1]  # noqa: E731
    with contextlib.closing(local(1, mask=mask)) as envs:
        envs.begin()
        for _ in range(7):
            envs.advance(np.zeros(1, np.int64))
        assert envs.mask.tolist() == [[0, 1, 1]]


def test_an_observation_of_nothing_but_a_mask_is_learnt_from():
    space = Dict(action_mask=MultiBinary(3))
    with contextlib.closing(local(1, observation_space=space, mask=in_turn, where="observation")) as envs:
        assert envs.single_observation_space == space
        envs.begin()
        assert envs.mask.tolist() == envs.obs["action_mask"].tolist() == [[1, 0, 0]]


def test_a_mask_of_measured_actions_is_an_observation_like_any_other():
    space = Dict(x=Discrete(2), action_mask=MultiBinary(3))
    with contextlib.closing(local(1, observation_space=space, action_space=Box(-1, 1, (2,)))) as envs:
        assert envs.single_observation_space == space
        assert envs.begin().dtype.names == ("x", "action_mask")
        assert envs.mask.shape == (1, 0)


BOTH = Dict(box=Box(-1, 1, (2,)), move=Discrete(3), pair=Tuple([MultiDiscrete([2, 3]), MultiBinary(2)]))


@pytest.mark.parametrize(
    ("space", "mask", "right"),
    [
        (Discrete(3, start=5), [True, False, True], [1, 0, 1]),
        (Discrete(3), np.array([1.0, 0, 0]), [1, 0, 0]),
        (Discrete(300), np.ones(300, np.int8), [1] * 300),
        (MultiDiscrete([2, 3]), ([1, 0], [0, 1, 1]), [1, 0, 0, 1, 1]),
        (MultiDiscrete([2, 3]), [None, np.array([0, 1, 1])], [1, 1, 0, 1, 1]),
        (MultiDiscrete([2, 3]), [1, 0, 0, 1, 1], [1, 0, 0, 1, 1]),
        (MultiDiscrete([2, 2]), np.array([[1, 0], [0, 1]]), [1, 0, 0, 1]),
        (MultiDiscrete([[2], [3]]), (([1, 0],), ([0, 1, 1],)), [1, 0, 0, 1, 1]),
        (MultiBinary(3), [0, 1, 2], [1, 0, 0, 1, 1, 1]),
        (MultiBinary(3), [1, 0, 0, 1, 1, 1], [1, 0, 0, 1, 1, 1]),
        (MultiBinary((1, 2)), [[0, 1]], [1, 0, 0, 1]),
        (BOTH, [1, 0, 1, 1, 0, 0, 1, 1, 1, 0, 0, 1], [1, 0, 1, 1, 0, 0, 1, 1, 1, 0, 0, 1]),
        (BOTH, {"move": [1, 0, 1], "pair": (None, [0, 1])}, [1, 0, 1] + [1] * 5 + [1, 0, 0, 1]),
        (BOTH, {"box": None, "move": None, "pair": None}, [1] * 12),
        (Tuple([Discrete(1), Discrete(2)]), ([1], [0, 1]), [1, 0, 1]),
        (Tuple([Discrete(1), Discrete(2)]), [1, 0, 1], [1, 0, 1]),
    ],
)
def test_every_form_of_a_mask_is_read(space, mask, right):
    read = ActionMasks(Sampler(action_space=space))
    assert mask_size(space) == len(right)
    found = read(None, {"action_mask": mask})
    assert found.dtype == np.uint8
    assert found.tolist() == right


def test_masks_as_gymnasium_samples_by_them_mean_the_same():
    space = Tuple([Discrete(4), MultiDiscrete([2, 3]), MultiBinary(3), Box(-1, 1, (2,))])
    mask = (
        np.array([0, 1, 0, 1], np.int8),
        (np.array([0, 1], np.int8), np.array([1, 0, 1], np.int8)),
        np.array([0, 1, 2], np.int8),
        None,
    )
    flat = ActionMasks(Sampler(action_space=space))(None, {"action_mask": mask})
    space.seed(0)
    seen = np.zeros(len(flat), bool)
    for _ in range(200):
        one, pair, bits, _ = space.sample(mask)
        chosen = [one, 4 + pair[0], 6 + pair[1], *(9 + 2 * i + bit for i, bit in enumerate(bits))]
        seen[np.array(chosen, int)] = True
    assert seen.astype(np.uint8).tolist() == flat.tolist()


@pytest.mark.parametrize(
    ("space", "mask", "says"),
    [
        (Discrete(3), [1, 1], r"of shape \(2,\); it must be of shape \(3,\)"),
        (Discrete(3), [0, 0, 0], "that allows nothing; it must allow one"),
        (Discrete(3), [1, 2, 0], r"with 2; it must hold 0 \(may not be done\) and 1"),
        (Discrete(3), [1, float("nan"), 0], "with nan"),
        (Discrete(3), "101", "that is '101'"),
        (MultiDiscrete([2, 3]), ([1, 0], [0, 0, 0]), "that allows nothing at index 1"),
        (MultiDiscrete([2, 3]), ([1, 0], [1, 1]), r"for '1' of shape \(2,\)"),
        (MultiDiscrete([2, 3]), ([1, 0],), r"of 1 masks; it must be one mask for each of the sizes \[2, 3\]"),
        (MultiBinary(2), [0, 3], "with 3; it must hold 0, 1 and 2"),
        (MultiBinary(2), [1, 1, 0, 0], "that allows nothing at index 1"),
        (BOTH, {"move": [0, 0, 0], "pair": None}, "that allows nothing for 'move'"),
        (BOTH, {"move": [1, 0], "pair": None}, r"for 'move' of shape \(2,\)"),
        (BOTH, {"pair": None}, "without 'move'; None there allows everything"),
        (BOTH, {"move": None, "pair": None, "more": None}, "with 'more'"),
        (BOTH, {"move": None, "pair": (None,)}, "for 'pair' of 1 parts; it must be 2"),
        (BOTH, {"box": [1], "move": None, "pair": None}, "for 'box' of a Box"),
        (BOTH, [1, 0], r"of shape \(2,\); it must be 12 numbers"),
    ],
)
def test_a_mask_of_another_form_is_an_error_that_names_environment_and_step(space, mask, says):
    envs = local(1, action_space=space, mask=lambda t: mask if t == 2 else None)
    with contextlib.closing(envs):
        envs.begin()
        actions = sampled_actions(space, 1, 2)
        envs.advance(actions[0])
        with pytest.raises(a2c.EnvError, match=f"environment 0 gave an action_mask {says}.*in step .*step 2"):
            envs.advance(actions[1])


def test_a_mask_that_a_reset_gives_is_checked():
    says = r"gave an action_mask that allows nothing.*in reset"
    with contextlib.closing(local(1, mask=lambda t: [0, 0, 0])) as envs, pytest.raises(a2c.EnvError, match=says):
        envs.begin()


def test_masks_in_infos_stay_there():
    with contextlib.closing(local(2, mask=in_turn)) as envs:
        _, infos = envs.reset()
        assert infos["action_mask"].tolist() == envs.mask.tolist() == [[1, 0, 0]] * 2


def test_compiled_environments_have_no_masks():
    envs = a2c.make_envs("CartPole-v1", 2, vectorization="compiled")
    assert (envs.mask.shape, envs.mask.dtype) == ((2, 0), np.uint8)


# -- replaying --


class Counts(Sampler):
    """What it observes and allows follows from all actions of the episode; its process is at `pid`."""

    def __init__(self):
        super().__init__(Dict(sum=Box(-np.inf, np.inf, (2,), np.float64), n=Discrete(7)), BOTH)
        self.pid = os.getpid()

    def _seen(self):
        total = float(sum(action["box"].sum() + action["move"] + action["pair"][0][1] for action in self.got))
        mask = {"move": np.eye(3, dtype=np.int8)[len(self.got) % 3], "pair": None}
        return {"sum": [total, self.t], "n": len(self.got)}, {"action_mask": mask}


def test_nested_environments_survive_the_death_of_their_worker():
    actions = sampled_actions(BOTH, 2, 9)
    seen = []
    for kills in (False, True):
        envs = a2c.make_envs(Counts, 2, vectorization="workers", num_workers=1, seed=4)
        with contextlib.closing(envs):
            envs.begin()
            rows = []
            for t, action in enumerate(actions):
                if kills and t in (3, 7):
                    os.kill(envs.get_attr("pid")[1], signal.SIGKILL)
                step = envs.advance(action)
                rows.append((step.next_obs.tobytes(), envs.mask.tobytes()))
            kinds = [event.kind for event in envs.take_events()]
            assert kinds == (["worker_restarts"] * 2 if kills else [])
        seen.append(rows)
    assert seen[0] == seen[1]


def test_nested_environments_go_on_from_a_file():
    actions = sampled_actions(BOTH, 2, 9)
    with contextlib.closing(a2c.make_envs(Counts, 2, vectorization="local", seed=4)) as envs:
        envs.begin()
        for action in actions[:7]:
            envs.advance(action)
        envs.mark()
        written = files.arrays_to_bytes({**envs.state(), "obs": plain(envs.obs.copy())})
        mask = envs.mask.copy()
        right = [envs.advance(action).obs.tobytes() for action in actions[7:]]
    with contextlib.closing(a2c.make_envs(Counts, 2, vectorization="local", seed=4)) as envs:
        state = load(written)
        lost = envs.restore(state, state.pop("obs"))
        assert not lost.any()
        assert (envs.mask == mask).all()
        assert [envs.advance(action).obs.tobytes() for action in actions[7:]] == right


def test_a_state_with_actions_of_another_space_is_refused():
    with contextlib.closing(a2c.make_envs(Counts, 2, vectorization="local", seed=4)) as envs:
        envs.begin()
        state, obs = envs.state(), envs.obs.copy()
        with pytest.raises(ValueError, match="rows of"):
            envs.restore(state | {"actions": np.zeros((0, 3), np.uint8)}, obs)
        with pytest.raises(ValueError, match="rows of"):
            envs.restore(state, np.zeros((2, 3), np.uint8))


# -- rewards of several numbers --


def test_a_reward_of_several_numbers_is_weighted():
    reward = np.array([1.0, 2.0, 4.0], np.float32)
    for vectorization in ("local", "workers"):
        envs = a2c.make_envs(
            lambda: Sampler(reward=reward), 2, vectorization=vectorization, reward_weights=(1.0, 0.5, -0.25)
        )
        with contextlib.closing(envs):
            envs.begin()
            assert envs.advance(np.zeros(2, np.int64)).reward.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("reward", "weights", "says"),
    [
        (
            np.array([1.0, 2.0]),
            None,
            r"a reward of 2 numbers \(\[1.0, 2.0\]\); set reward_weights \(--reward-weights\), a weight for each",
        ),
        (np.array([1.0, 2.0]), (1.0,), r"a reward of 2 numbers \(.*\); reward_weights \(1.0,\) are for 1"),
        (1.0, (1.0, 2.0), r"a reward of 1 number \(.*\); reward_weights \(1.0, 2.0\) are for 2"),
        ([1.0, None], (1.0, 2.0), "a reward that is None"),
        (np.zeros((2, 2)), (1.0, 2.0), r"a reward of shape \(2, 2\)"),
    ],
)
def test_a_reward_that_does_not_fit_its_weights_is_refused(reward, weights, says):
    with pytest.raises(WrongValueError, match=says):
        reward_of(reward, weights)


@pytest.mark.parametrize("weights", [(), "1", [float("nan")], [[1.0]], 1.0])
def test_weights_that_are_no_numbers_are_refused(weights):
    with pytest.raises(a2c.UserError, match="reward_weights is"):
        local(reward_weights=weights)


def test_compiled_environments_take_no_weights():
    with pytest.raises(a2c.UserError, match="reward_weights is"):
        a2c.make_envs("CartPole-v1", 1, vectorization="compiled", reward_weights=[1.0])


# -- all of it at once --


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("observed", OBSERVATIONS)
@pytest.mark.parametrize("acted", ["discrete", "nested"])
def test_every_space_trains_is_resumed_and_acts(observed, acted, normalize, quick):
    def env():
        return Sampler(OBSERVATIONS[observed], ACTIONS[acted])

    settings = quick | {"vectorization": "local", "normalize_observations": normalize, "final_eval_episodes": 2}
    run = a2c.train(env, **settings)
    longer = a2c.resume(run, env=env, total_steps=2 * settings["total_steps"])
    assert longer.summary["exact"], longer.summary["inexact_because"]
    assert longer.summary["final_evaluation"]["episodes"] == 2
    policy = longer.policy("final")
    obs, _ = env().reset(seed=3)
    assert policy.act(obs) in policy.action_space
    assert policy.act(obs, greedy=False) in policy.action_space


def test_frozen_lake_and_blackjack_are_stepped():
    for name in ("FrozenLake-v1", "Blackjack-v1", "Taxi-v4"):
        with contextlib.closing(a2c.make_envs(name, 2, vectorization="local")) as envs:
            envs.begin()
            for _ in range(20):
                allowed = envs.mask.argmax(1)
                step = envs.advance(allowed)
                assert finite(step.obs).all()


class Another(Sampler):
    """The second that is made has other spaces."""

    made = 0

    def __init__(self, first, second):
        type(self).made += 1
        super().__init__(*(first if self.made == 1 else second))


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        ((Dict(a=Discrete(2)), Discrete(3)), (Dict(b=Discrete(2)), Discrete(3)), "has the observation space Dict"),
        (
            (Box(-1, 1, (2,)), Discrete(3)),
            (Box(-1, 1, (3,)), Discrete(3)),
            r"has the observation space Box.*float32 \(2,",
        ),
        ((Discrete(2), Discrete(3)), (Discrete(2), MultiDiscrete([3])), "has the action space MultiDiscrete"),
        (
            (Discrete(2), Discrete(3)),
            (Discrete(2), Discrete(4)),
            "has the action space Discrete.4.; it must have 3 choices",
        ),
    ],
)
def test_environments_that_differ_in_their_spaces_are_refused(first, second, says, monkeypatch):
    monkeypatch.setattr(Another, "made", 0)
    with pytest.raises(a2c.EnvError, match=f"environment 1 {says}"):
        a2c.make_envs(lambda: Another(first, second), 2, vectorization="local")


def test_what_an_environment_samples_from_a_nested_space_follows_from_its_episode():
    seen = []
    for _ in range(2):
        with contextlib.closing(local(2, observation_space=NESTED, seed=5)) as envs:
            envs.begin()
            seen.append([envs.advance(np.zeros(2, np.int64)).obs.tobytes() for _ in range(7)])
    assert seen[0] == seen[1]
    assert len(set(seen[0])) == 7


def test_parts_without_elements_are_left_out():
    space = Dict(x=Box(0, 1, (0,)), y=Box(0, 1, (2,)), z=Dict({}), w=Tuple([]), u=MultiDiscrete([2, 3]))
    with contextlib.closing(local(2, observation_space=space)) as envs:
        assert set(envs.single_observation_space.spaces) == {"u", "y"}
        envs.begin()


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"observation_space": Dict({b"a": Discrete(2)})}, r"the observation space of .* has the key b'a'; it must be"),
        ({"action_space": Dict({b"a": Discrete(2)})}, r"the action space of .* has the key b'a'; it must be text"),
    ],
)
def test_a_space_that_a_policy_file_cannot_hold_is_refused_before_training(parts, says):
    with pytest.raises(a2c.UserError, match=says):
        local(**parts)


def test_long_numbers_are_seen_and_given(quick):
    long = Box(-1, 1, (2,), np.longdouble)

    class Long(gymnasium.Env):
        observation_space = action_space = long

        def reset(self, *, seed=None, options=None):
            return np.zeros(2, np.longdouble), {}

        def step(self, action):
            assert action.dtype == np.longdouble
            return np.full(2, 0.1, np.longdouble), 1.0, False, True, {}

    run = a2c.train(Long, **quick)
    assert a2c.load(run.path).act(np.zeros(2, np.longdouble)).shape == (2,)


@pytest.mark.parametrize(
    ("reward", "weights", "says"),
    [
        ([1.0, "x"], (1.0, 0.5), "gave a reward that is a str \\('x'\\)"),
        ({"a": 1.0}, (1.0, 0.5), "gave a reward that is a dict .*; it must be 2 numbers in a row"),
        (np.ones((1, 2)), (1.0, 0.5), "of shape \\(1, 2\\) .*; it must be 2 numbers in a row"),
    ],
)
def test_a_wrong_vector_reward_is_named(reward, weights, says):
    with pytest.raises(WrongValueError, match=says):
        reward_of(reward, weights)
