"""Values that environments return, wherever they go: workers, replays, pictures, compiled forms, policies."""

import json
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from strangers import BYTES, HALF, NAN, Stranger, at

import a2c
from a2c import files
from a2c.cli import main
from a2c.envs.episode import SeededEnv
from a2c.envs.values import Observations, WrongValueError, flag_of, reward_of
from a2c.errors import NumbersError, UserError
from a2c.learner import Learner
from a2c.model.architecture import architecture_for
from a2c.model.factors import Actions
from a2c.policy import POLICY_FILES, Policy
from a2c.stage import Episode


class Loose(Stranger):
    """Bytes, of which one is 0.7 from the third step on."""

    def __init__(self):
        super().__init__(observation_space=BYTES, obs=at(3, [0.7, 0], [0, 1]))


class Unstable(Stranger):
    """Ends its episodes with NaN, as simulators that explode do."""

    def __init__(self, cut=False):
        ends = {"terminated": lambda t: t == 5 and not cut, "truncated": lambda t: t == 5 and cut}
        super().__init__(obs=at(5, np.full(2, NAN, np.float32)), **ends)


class Outside(Stranger):
    def __init__(self):
        super().__init__(obs=at(3, np.array([500, 0], np.float32)))


gymnasium.register("Loose-v0", entry_point=Loose)
gymnasium.register("Outside-v0", entry_point=Outside)


class BrightHalf(gymnasium.Env):
    """An image of bytes whose left or right half is bright; reward 1 for the action that says which. Best: 8."""

    def __init__(self, size=8):
        self.observation_space = Box(0, 255, (size, size), np.uint8)
        self.action_space = Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        return self._next(), {}

    def step(self, action):
        reward = float(action == self._side)
        self._steps += 1
        return self._next(), reward, self._steps == 8, False, {}

    def _next(self):
        self._side = int(self.np_random.integers(2))
        image = self.np_random.integers(180, 210, self.observation_space.shape, dtype=np.uint8)
        np.hsplit(image, 2)[self._side][...] += 45
        return image


# -- one value


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64, np.uint64, np.bool_])
@pytest.mark.parametrize("value", [0.5, -0.5, 1e300, -1e300, NAN, float("inf"), 2.0**64, -(2.0**63) - 2048])
def test_no_cast_to_whole_numbers_loses_anything(dtype, value):
    with pytest.raises(WrongValueError, match=r"which its space's type .* cannot hold; it must be "):
        Observations(Box(0, 1, (1,), dtype))(np.array([value]))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, np.float32, np.float64, np.bool_])
def test_whole_numbers_are_the_same_in_every_type(dtype):
    """1.0 is 1, in whichever type it is given: nothing is lost."""
    take = Observations(Box(0, 1, (2,), dtype))
    for given in ([1, 0], [1.0, 0.0], np.array([1, 0], np.int8), np.array([True, False]), np.array([1, 0], np.uint64)):
        taken = take(given)
        assert taken.dtype == dtype
        assert taken.tolist() == [1, 0]


def test_an_array_of_the_right_type_is_passed_on_as_it_is():
    obs = np.zeros(2, np.float32)
    assert Observations(Box(-1, 1, (2,), np.float32))(obs) is obs


class Tensor:
    """A number as other libraries hold it."""

    def __init__(self, value):
        self._value = value

    def __array__(self, dtype=None, copy=None):
        return np.array(self._value, dtype)


def test_tensors_of_one_number_are_rewards_and_ends():
    assert reward_of(Tensor(0.5)) == reward_of(Tensor([0.5])) == 0.5
    assert flag_of(Tensor(True), "terminated") is True
    assert flag_of(Tensor([0]), "terminated") is False


@pytest.mark.parametrize("reward", [10**400, np.ma.masked, Tensor(None), Tensor("1"), Tensor([1.0, 2.0]), b"1", [[]]])
def test_what_is_no_number_is_no_reward(reward):
    with pytest.raises(WrongValueError, match="gave a reward"):
        reward_of(reward)


# -- where it goes


@pytest.mark.parametrize("layout", [{"vectorization": "local"}, {"num_workers": 1}, {"isolate_envs": True}])
def test_the_sentence_is_the_same_in_this_process_and_from_a_worker(layout):
    envs = a2c.make_envs(Loose, 2, seed=3, **layout)
    envs.reset()
    said = r"^environment \d gave an observation with 0.7 at index 0, which its space's type uint8 cannot hold; it "
    where = r"must be .*; in step \(episode 0, episode seed \d+, step 3\)$"
    with pytest.raises(a2c.EnvError, match=said + where) as error:
        for _ in range(3):
            envs.step(np.zeros(2, np.int64))
    assert "Traceback" not in str(error.value)
    envs.close()


def test_replay_refuses_what_training_refused(quick, capsys):
    with pytest.raises(a2c.EnvError):
        a2c.train("Loose-v0", **quick, vectorization="local")
    (path,) = Path(quick["run_dir"]).glob("*/*")
    capsys.readouterr()
    assert main(["replay", str(path)]) == 1
    said = capsys.readouterr()
    assert "gave an observation with 0.7 at index 0" in said.out
    assert "step 3)" in said.out
    assert "Traceback" not in said.err


def test_what_trains_is_played_alike(quick):
    """Rewards and ends as arrays of one are numbers before somebody's eyes, too."""

    def make():
        return Stranger(
            obs=lambda t: [0.25, -0.5],
            reward=lambda t: np.array([0.5]),
            terminated=lambda t: np.array([t == 5]),
            truncated=lambda t: 0,
        )

    policy = a2c.train(make, **quick).policy("best")

    def played(env):
        env.render = lambda: None
        seeded = SeededEnv(lambda: env, 0, 0)
        obs, _ = seeded.reset(0)
        return [reward for reward, _ in Episode(seeded, policy, True, obs).steps()]

    assert played(make()) == [0.5] * 5
    with pytest.raises(a2c.EnvError, match=r"environment 0 gave an observation with 0\.7"):
        played(Loose())


# -- numbers that are none


@pytest.mark.parametrize("engine", ["compiled", "paddle"])
@pytest.mark.parametrize("normalized", [False, True])
def test_nan_after_a_termination_enters_nothing(quick, engine, normalized):
    settings = quick | {
        "engine": engine,
        "normalize_observations": normalized,
        "normalize_returns": normalized,
        "eval_every_steps": 64,
        "final_eval_episodes": 2,
    }
    run, same = (a2c.train(make, **settings) for make in (Unstable, lambda: Stranger()))
    for name, array in run.policy("final").parameters.items():
        np.testing.assert_array_equal(array, same.policy("final").parameters[name])
    assert run.summary["evaluation"] == same.summary["evaluation"]


def test_nan_after_a_truncation_is_named(quick):
    with pytest.raises(NumbersError, match="environment 0 gave a last observation of its episode that is not finite"):
        a2c.train(lambda: Unstable(cut=True), **quick)


def _step_of(reward, last):
    def step(state, action, random):
        state[1] += 1
        if state[1] == 3:
            state[0] = last
            return reward, True
        return 1.0, False

    return step


def compiled(reward=1.0, last=1.0):
    def reset(state, random):
        state[0], state[1] = 0.5, 0.0

    def observe(state, obs):
        obs[0] = state[0]

    space = Box(0, 1, (1,), np.float32)
    name, actions = f"Ends{reward}{last}", Discrete(2)
    return a2c.CompiledEnv(
        name,
        reset,
        _step_of(reward, last),
        observe,
        state_size=2,
        observation_space=space,
        action_space=actions,
        max_episode_steps=None,
    )


@pytest.mark.parametrize("engine", ["compiled", "paddle"])  # whole updates in machine code, and step by step
def test_machine_code_takes_the_same_numbers_for_none(quick, engine):
    settings = quick | {"engine": engine, "total_steps": 32, "eval_episodes": 1}
    with pytest.raises(NumbersError, match=r"environment 0 gave a reward of 1e\+39"):
        a2c.train(compiled(reward=1e39), **settings)
    run, same = (a2c.train(compiled(last=last), **settings) for last in (NAN, 1.0))
    for name, array in run.policy("final").parameters.items():
        np.testing.assert_array_equal(array, same.policy("final").parameters[name])


# -- bounds


def test_values_outside_the_bounds_are_said_once_a_run_though_it_is_resumed(quick):
    with pytest.warns(UserWarning, match="environment 0 gave an observation with 500.0 at index 0, outside") as said:
        run = a2c.train("Outside-v0", **quick, vectorization="local")
    assert len(said) == 1
    run = a2c.resume(run, total_steps=2 * quick["total_steps"])  # a warning would be an error
    events = [json.loads(line)["event"] for line in (run.path / "events.jsonl").read_text().splitlines()]
    assert events.count("outside_bounds") == 1
    assert run.summary["events"]["outside_bounds"] == 1


# -- images


def test_images_are_learnt_from(quick, monkeypatch):
    """Bytes as they are saturate every unit, and the policy is blind: half of its choices are right."""
    settings = {"num_envs": 8, "total_steps": 10_000, "hidden_sizes": (16,), "learning_rate": 1e-3, "rollout_length": 8}

    def mean():
        with pytest.warns(UserWarning, match=r"images \(32, 32\), and the network sees them as numbers"):
            run = a2c.train(lambda: BrightHalf(32), **quick | settings | {"final_eval_episodes": 50})
        return run.summary["evaluation"]["mean"]

    assert mean() > 7
    monkeypatch.setattr("a2c.model.architecture.is_bytes", lambda space: False)
    assert mean() < 5


def image_bits(quick, **settings):
    return a2c.train(BrightHalf, **quick | {"num_threads": 1} | settings).policy("final")


def test_images_give_the_same_bits_in_every_layout(quick):
    here = image_bits(quick, vectorization="local")
    elsewhere = image_bits(quick, num_workers=1, num_threads=2)
    for name, array in here.parameters.items():
        np.testing.assert_array_equal(array, elsewhere.parameters[name])


def test_a_policy_sees_images_as_training_did(quick, tmp_path):
    policy = image_bits(quick, total_steps=8)
    image = np.random.default_rng(0).integers(0, 256, (5, 8, 8), dtype=np.uint8)
    inputs = image.reshape(5, 64).astype(np.float32) / np.float32(255)
    space = Box(0, 1, (64,), np.float32)
    architecture = architecture_for(space, policy.action_space, (8,), "tanh", False)
    plain = Policy(policy.env_id, space, policy.action_space, architecture, policy.parameters, None)
    assert policy.architecture.shapes() == architecture.shapes()
    np.testing.assert_array_equal(policy.value(image), plain.value(inputs))
    for name, data in policy.to_files().items():
        files.write_bytes(tmp_path / name, data)
    np.testing.assert_array_equal(Policy.load(tmp_path).value(image), policy.value(image))


def written_in_format_1(policy, folder, **said):
    """A policy of images as 0.3 and 0.4 wrote it."""
    array_file, description = (folder / name for name in POLICY_FILES)
    space = policy.observation_space
    arrays = {
        **policy.parameters,
        "observation.low": space.low,
        "observation.high": space.high,
        "action.n_and_start": np.array([2, 0]),
    }
    files.write_arrays(array_file, arrays)
    kept = {"format": 1, "env_id": policy.env_id, "hidden_sizes": [8], "activation": policy.architecture.activation}
    description.write_text(json.dumps(kept | said))


def test_a_policy_of_0_4_sees_images_as_it_was_trained(quick, tmp_path):
    policy = image_bits(quick, total_steps=8)
    written_in_format_1(policy, tmp_path, scales_bytes=True)
    image = np.random.default_rng(0).integers(0, 256, (5, 8, 8), dtype=np.uint8)
    np.testing.assert_array_equal(Policy.load(tmp_path).value(image), policy.value(image))


@pytest.mark.parametrize("said", [{}, {"scales_bytes": False}], ids=str)
def test_a_policy_of_0_3_that_saw_bytes_as_they_were_is_refused(quick, tmp_path, said):
    """There, bytes went into the networks as they were; now it would act as another policy."""
    policy = image_bits(quick, total_steps=8)
    written_in_format_1(policy, tmp_path, **said)
    with pytest.raises(UserError, match=r"trained on bytes that were not scaled, as 0.3 did; train it again"):
        Policy.load(tmp_path)


# -- policies


@pytest.fixture(scope="module")
def policy():
    config = a2c.Config("values", num_envs=1, hidden_sizes=(4,))
    envs = a2c.make_envs(Stranger, 1)
    learner = Learner(config, envs)
    envs.close()
    return learner.policy()


@pytest.mark.parametrize(
    "obs",
    [
        [NAN, 0], [0, float("inf")], [1e39, 0], ["a", "b"], ["0.1", "0.2"], None, [None, None], {"x": 1}, [1j, 0],
        [[0.0], [0.0, 1.0]], np.ma.masked_array(HALF, mask=[True, False]), object(), [[0, 0], [0, NAN]], [2**70, 0],
    ],
    ids=lambda obs: "object()" if type(obs) is object else repr(obs),  # Without an address: names stay the same.
)  # fmt: skip
def test_a_policy_acts_on_finite_numbers_only(policy, obs):
    with pytest.raises(UserError, match=r"^obs (is|holds|has) .*; (it|every number) must be"):
        policy.act(obs)


def with_spaces(policy, observation_space, action_space):
    return Policy(policy.env_id, observation_space, action_space, policy.architecture, policy.parameters, None)


OBS, TWO, REAL = Box(-1, 1, (2,), np.float32), Discrete(2), Box(-1, 1, (2,), np.float32)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ((OBS, TWO), (OBS, Discrete(2, dtype=np.int32))),
        ((OBS, Discrete(3, start=-1)), (OBS, Discrete(3, start=-1, dtype=np.int8))),
        ((OBS, TWO), (Box(-1, 1, (2,), np.float64), TWO)),
        ((OBS, REAL), (OBS, Box(-1, 1, (2,), np.float64))),
        ((OBS, Box(-0.1, 0.1, (2,), np.float32)), (OBS, Box(-0.1, 0.1, (2,), np.float64))),
    ],
)
def test_types_are_nothing_that_a_policy_depends_on(policy, ours, theirs):
    with_spaces(policy, *ours).check_spaces(*theirs)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ((OBS, TWO), (OBS, Discrete(3))),
        ((OBS, TWO), (OBS, Discrete(2, start=1))),
        ((OBS, TWO), (OBS, REAL)),
        ((OBS, TWO), (Box(-1, 1, (3,), np.float32), TWO)),
        ((OBS, TWO), (Discrete(2), TWO)),
        ((OBS, REAL), (OBS, Box(-1, 2, (2,), np.float32))),
        ((OBS, REAL), (OBS, Box(-1, np.inf, (2,), np.float32))),
    ],
)
def test_what_a_policy_depends_on_must_be_the_same(policy, ours, theirs):
    with pytest.raises(UserError, match="must be the same"):
        with_spaces(policy, *ours).check_spaces(*theirs)


def test_other_bounds_of_observations_are_a_warning(policy):
    with pytest.warns(UserWarning, match="bounds of this environment's observations"):
        with_spaces(policy, OBS, TWO).check_spaces(Box(-2, 2, (2,), np.float32), TWO)


def test_actions_of_half_precision_come_in_it():
    scaled = Actions(Box(-1, 3, (2,), np.float16)).to_rows(np.array([[0.5, -9.0]], np.float32))
    assert scaled.dtype == np.float16
    assert scaled.tolist() == [[2.0, -1.0]]


@pytest.mark.parametrize(
    ("setting", "instead"), [({"normalize_advantage": True}, "False"), ({"actor_step": "natural"}, "'gradient'")]
)
def test_steps_without_an_observed_return_cannot_be_shifted(setting, instead):
    name, value = next(iter(setting.items()))
    told = f"critic is 'baseline' and {name} is {value!r}.*take {name} {instead}, or critic 'bootstrap'"
    with pytest.raises(UserError, match=told):
        a2c.Config("x", critic="baseline", **setting)


@pytest.mark.parametrize(
    ("setting", "instead"), [({"normalize_advantage": True}, "False"), ({"actor_step": "natural"}, "'gradient'")]
)
def test_one_row_has_no_advantage_to_shift(setting, instead):
    name, value = next(iter(setting.items()))
    told = f"{name} is {value!r} with num_envs 1 and rollout_length 1.*take {instead}, or at least 2"
    with pytest.raises(UserError, match=told):
        a2c.Config("x", num_envs=1, rollout_length=1, **setting)
    assert a2c.Config("x", num_envs=2, rollout_length=1, normalize_advantage=True).steps_per_update == 2
