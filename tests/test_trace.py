"""What the end of a run's evaluations keeps of episodes: actions, the critic's value beside the return that came."""

import dataclasses

import gymnasium
import numpy as np
import pytest
from analytic import ConstantReward, HitTheTarget, MatchTheCue

import a2c
from a2c import trace
from a2c.envs.make import kind_of
from a2c.evaluation import Evaluator, Layout
from a2c.learner import Learner
from a2c.run import checkpoint
from a2c.run.evaluations import Evaluations
from a2c.trace import Critic, Trace, actions_in_numbers, discounted_returns, explained_variance

GAMMA = 0.5


def policy_for(env, value=0.0):
    """A policy whose critic says the same of everything."""
    config = a2c.Config("analytic", num_envs=1, hidden_sizes=(4,), initialization="xavier")
    envs = a2c.make_envs(env, 1)
    policy = Learner(config, envs).policy()
    envs.close()
    last = max(name for name in policy.parameters if name.startswith("critic.") and name.endswith("weight"))
    policy.parameters[last][...] = 0.0
    policy.parameters[last.replace("weight", "bias")][...] = value
    return policy


def traced(env, critic, value=0.0, episodes=3, **kwargs):
    policy = policy_for(lambda: env(**kwargs), value)
    trace = Trace(policy, critic)
    evaluator = Evaluator(kind_of(env, kwargs, 0), Layout(2))
    try:
        evaluation = evaluator.evaluate(policy, episodes, True, trace=trace)
    finally:
        evaluator.close()
    return evaluation, trace.summary()


def test_what_came_is_discounted_backwards_and_ends_with_what_is_expected_then():
    rewards = np.array([[1.0, 2.0], [1.0, 4.0], [1.0, np.nan]])
    returns = discounted_returns(rewards, np.array([0.0, 8.0]), GAMMA)
    # 1 + .5 (1 + .5 * 1); and 2 + .5 (4 + .5 * 8), whose episode was over a step sooner.
    np.testing.assert_array_equal(returns, [[1.75, 6.0], [1.5, 8.0], [1.0, np.nan]])


def test_after_a_death_nothing_is_expected_and_after_a_time_limit_the_critics_value():
    _, summary = traced(ConstantReward, Critic(GAMMA, 1.0), value=3.0, length=3, terminates=True)
    for episode in summary["critic"]["episodes"]:
        assert episode == {"step": [0, 1, 2], "value": [3.0, 3.0, 3.0], "return": [1.75, 1.5, 1.0]}
    _, summary = traced(ConstantReward, Critic(GAMMA, 1.0), value=3.0, length=3, terminates=False)
    # 1 + .5 * 3 = 2.5, 1 + .5 * 2.5 = 2.25, 1 + .5 * 2.25 = 2.125
    assert summary["critic"]["episodes"][0]["return"] == [2.125, 2.25, 2.5]
    assert summary["critic"]["mean_error"] == pytest.approx(3 - (2.125 + 2.25 + 2.5) / 3)
    assert len(summary["critic"]["episodes"]) == 2  # The first of each environment.


def test_values_are_in_the_environments_units_and_clipped_rewards_are_signs():
    _, scaled = traced(ConstantReward, Critic(GAMMA, 10.0), value=0.5, length=2, terminates=True)
    assert scaled["critic"]["episodes"][0]["value"] == [5.0, 5.0]
    _, signs = traced(HitTheTarget, Critic(GAMMA, 1.0, "signs"), value=0.0, length=2)
    assert set(signs["critic"]["episodes"][0]["return"]) <= {-1.0, -1.5}


def test_looking_on_changes_no_episode():
    policy = policy_for(MatchTheCue)
    evaluator = Evaluator(kind_of(MatchTheCue, {}, 0), Layout(4))
    for greedy in (True, False):
        plain = evaluator.evaluate(policy, 10, greedy)
        assert evaluator.evaluate(policy, 10, greedy, trace=Trace(policy, Critic(GAMMA, 1.0))) == plain
    evaluator.close()


def test_actions_are_those_of_the_first_episodes():
    evaluation, summary = traced(MatchTheCue, None, episodes=2)
    (part,) = summary["actions"]
    assert "critic" not in summary
    assert part["values"] == [0, 1, 2]
    assert sum(part["counts"]) == sum(evaluation.lengths) == 16


def test_choices_are_counted_and_real_numbers_put_in_bins_between_their_bounds():
    space = gymnasium.spaces.Discrete(3, start=5)
    (part,) = actions_in_numbers(space, [np.array([5, 7]), np.array([7])])
    assert (part["values"], part["counts"]) == ([5, 6, 7], [1, 0, 2])
    space = gymnasium.spaces.Dict(
        {"go": gymnasium.spaces.Box(-1, 1, (2,), np.float32), "bits": gymnasium.spaces.MultiBinary(2)}
    )
    rows = np.zeros(4, [("bits", "i1", (2,)), ("go", "f4", (2,))])
    rows["go"], rows["bits"] = [[-1, 0.5]] * 4, [[1, 0]] * 4
    found = {part["name"]: part for part in actions_in_numbers(space, [rows])}
    assert found["bits[0]"]["counts"] == [0, 4]
    assert found["bits[1]"]["counts"] == [4, 0]
    assert (found["go[0]"]["edges"][0], found["go[0]"]["edges"][-1]) == (-1, 1)
    assert found["go[0]"]["counts"][0] == 4
    assert found["go[1]"]["mean"] == 0.5
    (many,) = actions_in_numbers(gymnasium.spaces.Discrete(1_000), [np.arange(100)])
    assert len(many["counts"]) == 64
    assert many["of"] == 1_000
    (wide,) = actions_in_numbers(gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32), [np.full((3, 1), 2.0)])
    assert sum(wide["counts"]) == 3


def test_explained_variance_is_1_where_the_critic_knows_and_0_where_it_knows_the_mean():
    came = np.array([1.0, 2.0, 3.0])
    assert explained_variance(came, came) == 1
    assert explained_variance(np.full(3, 2.0), came) == 0
    assert explained_variance(came, np.ones(3)) is None


def test_a_run_keeps_the_episodes_of_its_last_evaluations_and_a_resumed_one_the_same(quick, monkeypatch):
    config = quick | {"final_eval_episodes": 5, "eval_every_steps": 64, "normalize_returns": True, "total_steps": 512}
    run = a2c.train("CartPole-v1", **config)
    for name, key in (("best", "evaluation"), ("final", "final_evaluation")):
        assert np.mean(run.episodes[name]["returns"]) == run.summary[key]["mean"]
        assert sum(run.episodes[name]["lengths"]) == 5 * run.summary[key]["mean_length"]
    assert run.episodes["final"]["critic"]["gamma"] == 0.99
    shorter = a2c.train("CartPole-v1", **config | {"total_steps": 256})
    assert shorter.episodes != run.episodes
    longer = a2c.resume(shorter.path, total_steps=512)
    assert (longer.path / "evaluation.json").read_bytes() == (run.path / "evaluation.json").read_bytes()


def test_the_critic_that_is_shown_is_that_of_the_final_policy_in_the_environments_units(quick):
    config = quick | {"final_eval_episodes": 2, "normalize_returns": True, "total_steps": 4_000, "seed": 3}
    run = a2c.train(lambda: ConstantReward(20), **config)
    critic = run.episodes["final"]["critic"]
    # Worth 1 / (1 - .99) = 100 for ever; a critic of so few steps is on its way there, and no unit's 1 / 30 of it.
    obs = np.ones((1, 1), np.float32)
    value = float(run.policy("final").value(obs)[0])
    scale = critic["episodes"][0]["value"][0] / value
    arrays = checkpoint.newest(run.path / "checkpoints").arrays
    assert scale == pytest.approx(np.sqrt(arrays["return_normalizer.variance"][0] + 1e-8), rel=1e-4)


def test_lives_that_are_taken_for_episodes_leave_the_critic_out(quick):
    run = a2c.train("CartPole-v1", **quick)

    asked = object.__new__(Evaluations)
    asked._config = dataclasses.replace(run.config, terminal_on_life_loss=True)
    assert asked._critic() is None


@pytest.mark.parametrize(
    "values", [[1e20] * 3, [1e20, np.nextafter(1e20, 2e20)], [0.0], [-1e308, 1e308], [5.0, 5.0 + 1e-12], [-3e38, -3e38]]
)
def test_actions_of_any_size_have_a_histogram(values):
    found = trace._reals("a", np.array(values), -np.inf, np.inf)
    assert sum(found["counts"]) == len(values)
    assert found["edges"] == sorted(found["edges"])
    assert len(set(found["edges"])) == len(found["edges"])
