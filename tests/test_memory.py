"""Policies that remember: what a step makes of the last one, in both engines alike, exactly, and learnt from."""

import json

import gymnasium
import numpy as np
import pytest
from compiled_envs import DICE, drift
from engine_cases import Case, finite_differences
from generated import ACTIONS, OBSERVATIONS
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from test_engines_parity import Pair, check
from test_fused import check as check_fused
from test_images import BrightHalf

import a2c
import a2c.stage
from a2c.commands.export import write_pdparams
from a2c.errors import UserError
from a2c.learner import Learner
from a2c.model.blocks import forward, joined, remember
from a2c.policy import Policy

NUMBERS = spaces.Box(-1, 1, (5,))
MIXED = spaces.Dict(a=spaces.Discrete(5), b=spaces.Box(-1, 1, (3,)), c=spaces.MultiBinary(2))


class Recall(gymnasium.Env):
    """The first observation says which action is right in the last step, `length` steps later; all others are alike."""

    action_space = spaces.Discrete(2)

    def __init__(self, length=4, truncates=False):
        self.observation_space = spaces.Box(-1, 1, (2,))
        self._length, self._truncates = length, truncates

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._right, self._steps = int(self.np_random.integers(2)), 0
        return np.array([2 * self._right - 1, 0], np.float32), {}

    def step(self, action):
        self._steps += 1
        over = self._steps == self._length
        reward = float(action == self._right) if over else 0.0
        obs = np.array([0, self._steps / self._length], np.float32)
        return obs, reward, over and not self._truncates, over and self._truncates, {}


SETTINGS = {
    "preset": "none",
    "num_envs": 6,
    "rollout_length": 10,
    "hidden_sizes": (8,),
    "memory_size": 16,
    "learning_rate": 1e-2,
    "final_eval_episodes": 12,
    "eval_every_steps": 0,
    "vectorization": "local",
}


def trained(folder, env=Recall, **settings):
    return a2c.train(env, **{"total_steps": 600, "run_dir": str(folder), **SETTINGS, **settings})


def final(run):
    return run.policy("final").parameters


def learner_on(env, **settings):
    config = a2c.Config("none", **{name: value for name, value in (SETTINGS | settings).items() if name != "preset"})
    return Learner(config, a2c.make_envs(env, config.num_envs, vectorization="local", seed=0))


# -- the engines --


@pytest.mark.parametrize("hidden_sizes", [(), (7,), (16, 33)], ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (4, 3), (9, 5), (33, 40), (256, 1)], ids=str)
def test_gradients_of_both_engines_agree(shape, hidden_sizes):
    check(Pair(spaces.Discrete(5), shape, hidden_sizes=hidden_sizes, memory_size=16, num_threads=2))


@settings(max_examples=40)
@given(
    observations=OBSERVATIONS,
    actions=ACTIONS,
    memory_size=st.sampled_from((16, 48)),
    seed=st.integers(0, 2**32 - 1),
)
def test_engines_agree_on_every_pair_of_spaces(observations, actions, memory_size, seed):
    check(Pair(actions, (5, 3), seed=seed, observations=observations, masked=True, memory_size=memory_size))


def test_gradients_through_images_and_memory_agree():
    space = spaces.Dict(a=spaces.Discrete(5), camera=spaces.Box(0, 255, (36, 36), np.uint8))
    check(Pair(spaces.Discrete(3), (6, 3), observations=space, memory_size=16))


@pytest.mark.parametrize("observations", [NUMBERS, MIXED], ids=["numbers", "mixed"])
def test_the_gradient_is_that_of_finite_differences(observations):
    case = Case(
        "compiled", observations, spaces.Discrete(3), (6, 3), hidden_sizes=(5,), entropy_coef=0.1, memory_size=16
    )
    assert case.rollout.terminated.any()
    assert case.rollout.truncated.any()
    gradient, _ = case.gradient()
    for name, expected in finite_differences(case).items():
        np.testing.assert_allclose(gradient[name], expected, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("change", ["nothing", "an input", "an end", "carry", "parameters", "values asked for"])
@pytest.mark.parametrize("hidden_sizes", [(7,), (2000,)], ids=["kept", "not kept"])
def test_the_gradient_is_a_function_of_parameters_and_rollout_alone(change, hidden_sizes):
    chosen = {"hidden_sizes": hidden_sizes, "memory_size": 16}
    case, fresh = (Case("compiled", NUMBERS, spaces.Discrete(3), (5, 9), **chosen) for _ in range(2))
    for one in (case, fresh):
        match change:
            case "an input":
                one.rollout.inputs[2, 3, 1] += 1
            case "an end":
                one.rollout.terminated[1, 4] ^= True
            case "carry":
                one.rollout.carry[0, 2, 5] += 1
            case "parameters":
                one.set_parameters({name: array / 2 for name, array in case.initial.items()})
    if change == "values asked for":
        case.engine.value(case.rollout.inputs[0] + 1, case.rollout.pixels[0], case.rollout.carry[0] - 1)
    fresh.begin(fresh.parameters())
    ours, theirs = case.gradient()[0], fresh.gradient()[0]
    for name, array in theirs.items():
        np.testing.assert_array_equal(ours[name], array)


def test_nothing_flows_through_an_end():
    """By hand: two steps, the episode ends at the first; its gradient is that of two steps by themselves."""
    whole = Case("compiled", NUMBERS, spaces.Discrete(3), (2, 1), memory_size=16, entropy_coef=0.1)
    whole.rollout.terminated[...], whole.rollout.truncated[...] = [[False], [False]], [[True], [False]]
    total = {name: np.zeros(array.shape) for name, array in whole.initial.items()}
    for t in range(2):
        single = Case("compiled", NUMBERS, spaces.Discrete(3), (1, 1), memory_size=16, entropy_coef=0.1)
        single.set_parameters(whole.initial)
        for name in ("inputs", "action", "advantage", "returns", "mask"):
            getattr(single.rollout, name)[0] = getattr(whole.rollout, name)[t]
        single.rollout.carry[0] = whole.rollout.carry[0] if t == 0 else 0
        single.rollout.terminated[...] = single.rollout.truncated[...] = False
        for name, array in single.gradient()[0].items():
            total[name] += array / 2
    for name, array in whole.gradient()[0].items():
        np.testing.assert_allclose(array, total[name], rtol=1e-5, atol=1e-7, err_msg=name)


def test_the_unit_is_paddles():
    paddle = pytest.importorskip("paddle")
    case = Case("compiled", NUMBERS, spaces.Discrete(2), (1, 4), memory_size=16)
    cell, ours = paddle.nn.GRUCell(5, 16), case.initial
    # Paddle's update gate comes second, too, and weighs what was remembered.
    for theirs, name in ((cell.weight_ih, "memory.weight"), (cell.weight_hh, "memory.carry.weight")):
        theirs.set_value(paddle.to_tensor(ours[name].T.copy()))
    for theirs, name in ((cell.bias_ih, "memory.bias"), (cell.bias_hh, "memory.carry.bias")):
        theirs.set_value(paddle.to_tensor(ours[name]))
    inputs, carry = case.rollout.inputs[0], case.rollout.carry[0]
    expected, _ = cell(paddle.to_tensor(inputs), paddle.to_tensor(carry))
    found = remember(np, case.architecture, ours, inputs, None, carry)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-6)
    case.rollout.truncated[...] = case.rollout.terminated[...] = False
    case.act()
    np.testing.assert_allclose(case.rollout.carry[1], found, rtol=1e-5, atol=1e-6)


def test_any_number_of_threads_gives_the_same_bits():
    one, two = (
        Case("compiled", MIXED, spaces.Discrete(3), (20, 16), memory_size=32, num_threads=threads) for threads in (1, 2)
    )
    assert "2 threads" in two.engine.name
    for _ in range(2):
        one.update(), two.update()
    for name, array in one.state().items():
        np.testing.assert_array_equal(two.state()[name], array)


def test_natural_steps_with_memory_are_refused():
    with pytest.raises(UserError, match="actor_step is 'natural', which policies with memory do not have"):
        a2c.Config("CartPole-v1", actor_step="natural", memory_size=16)


@pytest.mark.parametrize("size", [-16, 8, 17, 8192])
def test_memory_has_whole_vectors(size):
    with pytest.raises(UserError, match=f"memory_size is {size}; it must be a multiple of 16 from 0 to 4,096"):
        a2c.Config("CartPole-v1", memory_size=size)


# -- what is remembered --


@pytest.mark.parametrize("truncates", [False, True])
def test_what_is_remembered_is_zero_where_an_episode_begins_and_a_cut_one_is_valued_by_what_led_there(truncates):
    learner = learner_on(lambda: Recall(truncates=truncates), gamma=0.9)
    parameters = learner.policy().parameters
    before = learner._collector.carry.copy()
    learner.update()
    rollout, architecture = learner._rollout, learner.policy().architecture
    ended = rollout.truncated | rollout.terminated
    assert ended.any(axis=0).all()
    np.testing.assert_array_equal(rollout.carry[0], before)
    for t in range(len(ended)):
        remembered = remember(np, architecture, parameters, rollout.inputs[t], None, rollout.carry[t])
        np.testing.assert_allclose(
            rollout.carry[t + 1], np.where(ended[t][:, None], 0, remembered), rtol=1e-5, atol=1e-6
        )
        if truncates and ended[t].any():
            last = np.array([[0, 1]] * 6, np.float32)
            seen = joined(np, None, remember(np, architecture, parameters, last, None, remembered))
            value = forward(np, architecture, "critic", parameters, last, seen)[:, 0]
            np.testing.assert_allclose(rollout.next_value[t][ended[t]], value[ended[t]], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(learner._collector.carry, rollout.carry[-1])


@pytest.mark.parametrize("env", [DICE, drift(max_episode_steps=7)], ids=["dice", "drift"])
def test_fused_training_is_training_step_by_step_to_the_bit(env):
    check_fused(env, memory_size=16, normalize_observations=True, at_once=[3, 7, 20])


@pytest.mark.parametrize("engine", ["compiled", "paddle"])
def test_networks_say_the_same_when_statistics_move(engine):
    learner = learner_on(
        lambda: Recall(length=50), engine=engine, normalize_observations=True, num_envs=100, rollout_length=2000,
        learning_rate=1e-12,
    )  # fmt: skip
    learner.update()  # Statistics settle.
    rows, rng = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32), np.random.default_rng(1)
    carry = rng.uniform(-1, 1, (4, 16)).astype(np.float32)
    policy = learner.policy()
    before = [policy._network(which, rows, carry) for which in ("actor", "critic")]
    old = {name: array.copy() for name, array in policy.parameters.items()}
    learner.update()
    policy = learner.policy()
    assert (policy.parameters["memory.weight"] != old["memory.weight"]).any()
    for which, (said, remembered) in zip(("actor", "critic"), before, strict=True):
        again, remembers = policy._network(which, rows, carry)
        np.testing.assert_allclose(again, said, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(remembers, remembered, rtol=1e-4, atol=1e-5)


# -- training --


def test_workers_and_threads_change_no_bit(tmp_path):
    expected = final(trained(tmp_path / "a", num_threads=1))
    for layout in ({"num_workers": 2}, {"isolate_envs": True, "num_workers": 1, "num_threads": 2}):
        for name, array in final(trained(tmp_path / "b", vectorization="workers", **layout)).items():
            np.testing.assert_array_equal(array, expected[name])


@pytest.mark.parametrize("env", ["Recall", "compiled"])
def test_a_run_that_was_stopped_in_the_middle_of_episodes_goes_on_to_the_same_bits(tmp_path, env):
    env = Recall if env == "Recall" else drift(max_episode_steps=7)
    where = {} if env is Recall else {"vectorization": "compiled"}
    chosen = {"rollout_length": 5, **where}
    expected = trained(tmp_path / "whole", env, total_steps=600, **chosen)
    short = trained(tmp_path / "parts", env, total_steps=330, **chosen)
    whole = a2c.resume(short, total_steps=600, env=env)
    for name, array in final(expected).items():
        np.testing.assert_array_equal(final(whole)[name], array)


def test_what_has_to_be_remembered_is_learnt_with_memory_and_not_without(tmp_path):
    chosen = {"total_steps": 12_000, "num_envs": 8, "rollout_length": 16, "final_eval_episodes": 64}
    with_memory = trained(tmp_path / "a", **chosen)
    without = trained(tmp_path / "b", memory_size=0, **chosen)
    assert with_memory.summary["final_evaluation"]["mean"] == 1
    assert without.summary["final_evaluation"]["mean"] < 0.8
    # Evaluation from the folder remembers, too, and forgets where episodes begin.
    assert with_memory.evaluate(episodes=40, env=Recall).mean == 1


def test_a_policy_remembers_by_itself_or_is_told(tmp_path):
    policy = Policy.load(trained(tmp_path, total_steps=12_000, num_envs=8, rollout_length=16).path / "policy")
    env = Recall()
    for seed in range(10):
        obs, _ = env.reset(seed=seed)
        policy.start()
        carry, done = policy.begin(1), False
        while not done:
            action, carry = policy.act(obs, carry=carry)
            assert policy.act(obs) == action
            obs, reward, done, _, _ = env.step(action)
        assert reward == 1
    policy.start()
    assert policy.act(np.zeros((3, 2), np.float32)).shape == (3,)
    with pytest.raises(UserError, match=r"got 1 observations, and the policy's memory is of 3; call start\(\)"):
        policy.act(np.zeros(2, np.float32))
    policy.start()
    policy.act(np.zeros(2, np.float32))
    with pytest.raises(UserError, match=r"carry has shape \(2, 16\); it must have \(1, 16\)"):
        policy.act(np.zeros(2, np.float32), carry=policy.begin(2))
    for carry in (np.full((1, 16), np.nan), np.full((1, 16), 1e300), np.full((1, 16), 2), np.ones((1, 16), int)):
        with pytest.raises(UserError, match="it must be numbers from -1 to 1"):
            policy.act(np.zeros(2, np.float32), carry=carry)
    with pytest.raises(UserError, match="which is not an array"):
        policy.act(np.zeros(2, np.float32), carry=[[1.0], [1.0, 2.0]])
    with pytest.raises(UserError, match="--to pdparams cannot hold the recurrent unit"):
        write_pdparams(policy, tmp_path / "x")


def test_predict_remembers_what_it_is_given_and_forgets_where_episodes_begin(tmp_path):
    policy = Policy.load(trained(tmp_path, total_steps=12_000, num_envs=8, rollout_length=16).path / "policy")
    rng = np.random.default_rng(0)
    state, carry, starts = None, policy.begin(3), np.ones(3, bool)
    for _ in range(8):
        obs = rng.normal(size=(3, 2)).astype(np.float32)
        carry[starts] = 0
        given = None if state is None else state.copy()
        actions, after = policy.predict(obs, state=state, episode_start=starts, deterministic=True)
        expected, carry = policy.act(obs, carry=carry)
        np.testing.assert_array_equal(actions, expected)
        np.testing.assert_array_equal(after, carry)
        if state is not None:
            np.testing.assert_array_equal(state, given)
        state, starts = after, rng.random(3) < 0.4
    for wrong in (np.ones(2, bool), [0.5, 0.5, 0.5], "yes"):
        with pytest.raises(UserError, match="it must be True or False for each of the 3 observations"):
            policy.predict(obs, state, wrong)
    with pytest.raises(UserError, match=r"carry has shape \(2, 16\); it must have \(3, 16\)"):
        policy.predict(obs, state[:2])


def test_a_policy_without_memory_takes_batches_of_any_size_one_after_another(tmp_path):
    policy = trained(tmp_path, memory_size=0).policy("final")
    assert policy.begin(2).shape == (2, 0)
    for n in (1, 3, 2):
        assert policy.act(np.zeros((n, 2), np.float32)).shape == (n,)


@pytest.mark.parametrize("env", [Recall, BrightHalf])
def test_a_run_starts_from_networks_with_memory_and_images(tmp_path, env):
    first = trained(tmp_path / "a", env, total_steps=60)
    second = trained(tmp_path / "b", env, total_steps=60, start_from=str(first.path), learning_rate=1e-12)
    for name, array in first.policy("best").parameters.items():
        np.testing.assert_allclose(final(second)[name], array, atol=1e-6)
    with pytest.raises(UserError, match=r"which also has 'memory\.bias'"):
        trained(tmp_path / "c", env, memory_size=0, start_from=str(first.path))
    with pytest.raises(UserError, match=r"actor\.0\.weight has shape .*memory_size 32"):
        trained(tmp_path / "d", env, memory_size=32, start_from=str(first.path))


class Drawn(Recall):
    """Draws nothing much."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012 - as Gymnasium has it

    def __init__(self, render_mode=None):
        super().__init__()
        self.render_mode = render_mode

    def render(self):
        return np.zeros((8, 8, 3), np.uint8)


def test_a_policy_remembers_while_it_is_shown(tmp_path):
    run = trained(tmp_path, Drawn, total_steps=12_000, num_envs=8, rollout_length=16)
    for seed in range(8):
        with a2c.stage.play(run, "final", True, seed, "rgb_array", Drawn) as episode:
            assert sum(reward for reward, _ in episode.steps()) == 1


@pytest.mark.parametrize("size", [True, "16", -16, 24, 5000, None])
def test_a_policy_of_a_size_that_cannot_be_is_refused(tmp_path, size):
    for name, data in trained(tmp_path / "run", total_steps=60).policy("final").to_files().items():
        (tmp_path / name).write_bytes(data)
    description = json.loads((tmp_path / "policy.json").read_text())
    (tmp_path / "policy.json").write_text(json.dumps(description | {"memory_size": size}))
    with pytest.raises(UserError, match="it must be a multiple of 16 from 0 to 4,096"):
        Policy.load(tmp_path)


def test_a_state_that_remembers_what_cannot_be_is_refused():
    learner = learner_on(Recall)
    learner.update()
    state = learner.state()
    state["collector.carry"][0, 0] = np.nan
    with pytest.raises(ValueError, match="carry is not all from -1 to 1"):
        learner.restore(state, 1)
