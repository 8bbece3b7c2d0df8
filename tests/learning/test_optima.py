"""What dynamic programming knows the optimum of is learnt to it, or to within what 1,000 episodes can tell."""

import pytest

import a2c
from benchmarks.optima import STEPS, greedy, optimum, table, worth

NEAR = {"FrozenLake-v1": 0.02, "FrozenLake8x8-v1": 0.05, "CliffWalking-v1": 0.5, "Taxi-v4": 0.1, "Blackjack-v1": 0.01}
"""How much less than the optimum a best policy may be worth, exactly."""


@pytest.mark.learning
@pytest.mark.parametrize("env", STEPS)
@pytest.mark.parametrize("seed", [10, 11])
def test_the_best_policy_is_worth_what_dynamic_programming_finds(tmp_path, env, seed):
    of = table(env)
    run = a2c.train(env, seed=seed, total_steps=STEPS[env], run_dir=str(tmp_path), final_eval_episodes=100)
    reached = worth(of, greedy(run.policy("best"), of))
    print(f"{env}, seed {seed}: {reached:.4f} of {optimum(of):.4f}")
    assert reached > optimum(of) - NEAR[env]
