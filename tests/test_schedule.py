"""Learning rates over time."""

import pytest

from a2c.config import Config
from a2c.schedule import learning_rate


def rates(*steps, **settings):
    config = Config("X", learning_rate=1e-3, total_steps=1000, **settings)
    return [learning_rate(config, step) for step in steps]


def test_constant():
    assert rates(0, 500, 1000) == [1e-3] * 3


def test_linear_falls_to_its_end_and_not_below():
    assert rates(0, 500, 1000, 2000, schedule="linear") == pytest.approx([1e-3, 5e-4, 0, 0])
    assert rates(0, 500, 1000, schedule="linear", final_learning_rate=2e-4) == pytest.approx([1e-3, 6e-4, 2e-4])


def test_exponential_falls_in_steps():
    settings = {"schedule": "exponential", "decay_factor": 0.92, "decay_every_steps": 16_000}
    expected = [1e-3, 1e-3, 0.92e-3, 0.92e-3, 0.92**10 * 1e-3]
    assert rates(0, 15_999, 16_000, 31_999, 160_000, **settings) == pytest.approx(expected)
