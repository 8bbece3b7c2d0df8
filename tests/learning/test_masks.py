"""An environment that raises on any disallowed action trains for 100,000 steps, in every way masks can be given."""

import pytest
from forbidding import CASES, LENGTH, making

import a2c


@pytest.mark.learning
@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_nothing_forbidden_is_done_in_100_000_steps(tmp_path, case):
    make = making(case)
    run = a2c.train(make, run_dir=str(tmp_path), total_steps=100_000, vectorization="local", learning_rate=3e-3)
    assert run.summary["steps"] >= 100_000
    assert run.summary["events"] == {}
    sampled = run.evaluate(episodes=100, greedy=False, env=make)
    print(f"{' '.join(case)}: {sampled.mean:.2f} of {LENGTH}, sampled")
    assert run.summary["evaluation"]["mean"] > 0.95 * LENGTH
