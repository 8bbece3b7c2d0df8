"""A training in a loop of the caller's is the same run, until he takes a hand in it."""

import os
import signal

import numpy as np
import pytest
from test_resume import content

import a2c
from a2c.errors import UserError

WAYS = [{}, {"vectorization": "local"}, {"actor_step": "natural"}, {"engine": "paddle", "vectorization": "local"}]


def settings(quick, **others):
    return quick | {"total_steps": 800, "log_every_steps": 48, "eval_every_steps": 200, "eval_episodes": 2} | others


def untimed(rows):
    return [{name: value for name, value in row.items() if name != "steps_per_second"} for row in rows]


@pytest.mark.parametrize("others", WAYS, ids=str)
def test_rows_are_those_of_the_record_and_the_bits_those_of_a_run_without_a_loop(quick, others):
    config = settings(quick, **others)
    whole = a2c.train("CartPole-v1", **config)
    training = a2c.Training("CartPole-v1", **config)
    rows = list(training)
    assert untimed(rows) == untimed(training.run.metrics())
    assert [row["steps"] for row in rows if "evaluation_return" in row] == [200, 400, 600, 800]
    assert content(training.run) == content(whole)
    assert training.run.is_finished


@pytest.mark.parametrize("others", WAYS, ids=str)
def test_rollouts_that_are_only_looked_at_change_nothing(quick, others):
    config = settings(quick, **others)
    whole = a2c.train("CartPole-v1", **config)
    training = a2c.Training("CartPole-v1", **config)
    rewards = [rollout.reward.sum() for rollout in training.rollouts()]
    assert rewards == [8.0] * 100  # T N steps, 1 for each
    assert content(training.run) == content(whole)


@pytest.mark.parametrize("halves", [False, True])
def test_one_that_is_left_is_saved_and_goes_on_to_the_same_bits(quick, halves):
    config = settings(quick)
    whole = a2c.train("CartPole-v1", **config)
    training = a2c.Training("CartPole-v1", **config)
    for number, _ in enumerate(training.rollouts() if halves else training):
        if number == 4:
            break
    run = training.run
    assert run.summary["stopped_by"] == "caller"
    assert run.summary["steps"] == (40 if halves else 200)  # Whoever leaves in mid-update leaves a whole one.
    assert not run.is_finished
    again = a2c.Training.resume(run)
    rows = list(again)
    assert rows[0]["steps"] == (48 if halves else 240)
    assert content(again.run) == content(whole)
    assert list(a2c.Training.resume(run)) == []


def test_the_last_row_is_given_however_short_a_run_is(quick):
    (row,) = a2c.Training("CartPole-v1", **quick)
    assert row["steps"] == 256


def test_one_that_is_stopped_is_evaluated_and_may_go_on_from_there(quick):
    config = settings(quick, final_eval_episodes=3)
    whole = a2c.train("CartPole-v1", **config)
    training = a2c.Training("CartPole-v1", **config)
    for row in training:
        if row["steps"] >= 400:
            training.stop()
    assert training.run.summary["steps"] == 400
    assert training.run.summary["stopped_by"] is None
    assert training.run.summary["evaluation"]["episodes"] == 3
    assert content(a2c.resume(training.run)) == content(whole)


def parameters(run):
    return content(run)[0]


@pytest.mark.parametrize("others", WAYS[:3], ids=str)
def test_a_learning_rate_that_is_set_counts_from_there_is_saved_and_noted(quick, others):
    config = settings(quick, schedule="linear", **others)

    def slowed(leaves_at):
        training = a2c.Training("CartPole-v1", **config)
        for row in training:
            if row["steps"] == 192:
                before = training.learning_rate
                training.learning_rate = before / 2
                assert training.learning_rate == pytest.approx(before / 2)
            if row["steps"] == leaves_at:
                break
        return training.run

    whole, run = slowed(None), slowed(384)
    assert parameters(a2c.resume(run)) == parameters(whole)
    rates = {row["steps"]: row["learning_rate"] for row in whole.metrics() if "learning_rate" in row}
    usual = {
        row["steps"]: row["learning_rate"]
        for row in a2c.train("CartPole-v1", **config).metrics()
        if "learning_rate" in row
    }
    assert {steps: rate / usual[steps] for steps, rate in rates.items()} == {
        steps: pytest.approx(1.0 if steps <= 192 else 0.5) for steps in rates
    }
    assert whole.summary["exact"] is False
    assert whole.summary["inexact_because"] == ["the learning rate was changed by hand"]
    assert whole.summary["events"] == {"changes_by_hand": 1}


def test_a_learning_rate_that_stays_what_it_is_is_no_change(quick):
    training = a2c.Training("CartPole-v1", **settings(quick, learning_rate=3e-4))
    for row in training:
        if row["steps"] < 800:
            training.learning_rate = 3e-4
    assert training.run.summary["exact"] is True


@pytest.mark.parametrize("rate", [-1.0, float("nan"), float("inf"), "fast", True, None])
def test_a_learning_rate_that_is_none_is_refused(quick, rate):
    training = a2c.Training("CartPole-v1", **settings(quick))
    loop = iter(training)
    next(loop)
    with pytest.raises(UserError, match="it must be a finite number of at least 0"):
        training.learning_rate = rate
    loop.close()


def test_rewards_that_are_changed_are_what_is_learnt_from(quick):
    config = settings(quick, total_steps=8_000, eval_every_steps=0, learning_rate=0.01)
    training = a2c.Training("CartPole-v1", **config)
    for rollout in training.rollouts():
        rollout.reward[:] = rollout.action[..., 0]  # 1 for a push to the right, whatever becomes of the pole.
    policy = training.run.policy("final")
    actions = policy.act(np.random.default_rng(0).uniform(-0.05, 0.05, (100, 4)))
    assert actions.mean() > 0.95
    assert training.run.summary["inexact_because"] == ["rewards were changed by hand"]
    assert training.run.summary["events"] == {"changes_by_hand": 1}


def test_the_policy_under_way_is_a_copy(quick):
    training = a2c.Training("CartPole-v1", **settings(quick))
    policies = [training.policy for row in training if row["steps"] < 800]
    obs = np.array([[0.1, 0.2, -0.1, 0.0]], np.float32)
    values = [float(policy.value(obs)[0]) for policy in policies]
    assert len(set(values)) > 5
    assert float(training.run.policy("final").value(obs)[0]) not in values


def test_what_only_a_loop_has_is_refused_outside_of_it(quick):
    training = a2c.Training("CartPole-v1", **quick)
    with pytest.raises(UserError, match="there is no run yet"):
        _ = training.run
    list(training)
    for use in (lambda: training.policy, lambda: training.learning_rate):
        with pytest.raises(UserError, match="no training is running"):
            use()
    with pytest.raises(UserError, match="has begun before"):
        list(training)
    with pytest.raises(UserError, match="no_such"):
        a2c.Training("CartPole-v1", no_such=1)
    with pytest.raises(UserError, match="decides results"):
        a2c.Training.resume(training.run, gamma=0.5)


def test_an_error_in_the_loop_is_the_callers_and_loses_nothing(quick):
    config = settings(quick)
    whole = a2c.train("CartPole-v1", **config)
    training = a2c.Training("CartPole-v1", **config)
    with pytest.raises(ZeroDivisionError):
        for row in training:
            _ = 1 / (row["steps"] - 200)
    assert training.run.summary["steps"] == 200
    assert content(a2c.resume(training.run)) == content(whole)


def test_ctrl_c_in_the_loop_ends_the_run_and_is_raised_when_it_is_saved(quick):
    training = a2c.Training("CartPole-v1", **settings(quick))
    with pytest.raises(KeyboardInterrupt):
        for row in training:
            if row["steps"] == 192:
                os.kill(os.getpid(), signal.SIGINT)
    assert training.run.stopped_by == signal.SIGINT
    assert training.run.summary["steps"] == 192
