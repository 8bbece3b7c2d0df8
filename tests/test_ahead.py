"""Collecting ahead: rollouts by the parameters of one update before, learnt from with the newest."""

import copy

import numpy as np
import pytest

import a2c
from a2c.envs.make import envs_for
from a2c.learner import Learner, Update
from a2c.model.blocks import forward

SETTINGS = {
    "num_envs": 4, "rollout_length": 6, "hidden_sizes": (8,), "learning_rate": 0.01, "vectorization": "local",
    "normalize_observations": True, "collect": "ahead",
}  # fmt: skip


def learner_of(env, **settings):
    name = env if isinstance(env, str) else "none"
    config = a2c.Config(name, **SETTINGS | settings)
    return Learner(config, envs_for(config, env, compiled=False))


def values(policy, rollout):
    """V of the rollout's observations, [T+1, N], as a policy has them."""
    return np.array([policy.value(rows.astype(np.float32)) for rows in rollout.observed])


def mean_entropy(policy, rollout):
    """Of a policy that chooses one of two, in the rollout's states."""
    inputs = rollout.inputs[:-1].reshape(-1, rollout.inputs.shape[2])
    logits = forward(np, policy.architecture, "actor", policy.parameters, inputs)
    logits -= logits.max(-1, keepdims=True)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return float(-(p * np.log(p)).sum(-1).mean())


@pytest.mark.parametrize("engine", ["compiled", "paddle"])
def test_a_rollout_is_made_by_the_policy_of_one_update_before_and_learnt_from_with_the_newest(engine):
    learner = learner_of("CartPole-v1", engine=engine)
    policies = [copy.deepcopy(learner.policy())]
    for update in range(5):
        rollout = learner.collect()
        newest, behind = policies[-1], policies[max(0, update - 1)]
        np.testing.assert_allclose(rollout.value, values(behind, rollout), rtol=1e-4, atol=1e-5)
        if update:
            assert np.abs(rollout.value - values(newest, rollout)).max() > 1e-3
        entropy = mean_entropy(newest, rollout)
        row = learner.learn()
        assert row[Update._fields.index("entropy")] == pytest.approx(entropy, rel=1e-4)
        policies.append(copy.deepcopy(learner.policy()))


def test_inputs_are_those_of_the_newest_statistics():
    learner = learner_of("CartPole-v1")
    for _ in range(30):
        learner.update()
    rollout = learner.collect()
    moments = learner.policy().moments
    expected = (rollout.observed - moments.mean) / np.sqrt(moments.variance + 1e-8)
    np.testing.assert_allclose(rollout.inputs[..., :4], expected.clip(-10, 10), rtol=1e-5, atol=1e-5)
