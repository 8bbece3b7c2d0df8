"""Streams of random numbers."""

import numpy as np
import pytest

from a2c.randomness import episode_seed, generator


def test_a_stream_is_a_pure_function_of_seed_name_and_index():
    assert generator(3, "policy", 5).random(4).tolist() == generator(3, "policy", 5).random(4).tolist()


@pytest.mark.parametrize("other", [(4, "policy", 5), (3, "evaluation", 5), (3, "policy", 6)])
def test_another_seed_name_or_index_gives_other_numbers(other):
    ours, theirs = generator(3, "policy", 5).random(1000), generator(*other).random(1000)
    assert not np.isin(ours, theirs).any()
    assert abs(np.corrcoef(ours, theirs)[0, 1]) < 0.15


def test_streams_do_not_run_into_the_next_index():
    # Each index has 2**192 blocks of counter to itself.
    assert not np.isin(generator(0, "policy", 0).random(100_000), generator(0, "policy", 1).random(100_000)).any()


def test_episode_seeds_of_evaluations_are_not_those_of_training():
    training = {episode_seed(7, i, k) for i in range(64) for k in range(200)}
    evaluation = {
        episode_seed(episode_seed(7, -1 - e, 0), i, k) for e in range(50) for i in range(16) for k in range(7)
    }
    # Drawn from 2**31 numbers, these 12,800 and 5,600 would share 0.03 on average.
    assert len(training & evaluation) <= 1


def test_episode_seeds_look_uniform():
    seeds = np.array([episode_seed(0, i, k) for i in range(100) for k in range(100)])
    assert np.bincount(seeds >> 27, minlength=16) == pytest.approx(625, rel=0.2)
