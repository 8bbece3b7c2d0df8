"""What is taken of the machine."""

import gymnasium
import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

from a2c import machine
from a2c.model import blocks
from a2c.model.architecture import architecture_for
from a2c.policy import Policy


def threads():
    return [one["num_threads"] for one in ThreadpoolController().select(user_api="blas").info()]


def policy(hidden):
    space = gymnasium.spaces.Box(-1, 1, (300,), np.float32)
    architecture = architecture_for(space, gymnasium.spaces.Discrete(3), (hidden,), "tanh", normalizes=False)
    parameters = blocks.initial_parameters(architecture, "orthogonal", 0.0, 0)
    return Policy("Any-v0", space, gymnasium.spaces.Discrete(3), architecture, parameters, None)


@pytest.mark.parametrize(("rows", "hidden", "expected"), [(1, 64, 1), (16, 64, 1), (1, 16, 2), (16, 16, 2)])
def test_wide_policies_act_on_one_blas_thread_and_give_the_others_back(monkeypatch, rows, hidden, expected):
    acting, taken, forward = policy(hidden), [], blocks.forward
    monkeypatch.setattr("a2c.policy.forward", lambda *args: (taken.append(threads()), forward(*args))[1])
    with threadpool_limits(2, user_api="blas"):
        acting.act_batch(np.ones((rows, 300), np.float32), None)
        assert taken == [[expected] * len(threads())]
        assert set(threads()) == {2}


def test_initial_parameters_are_found_on_one_blas_thread(monkeypatch):
    taken, qr = [], np.linalg.qr
    monkeypatch.setattr("numpy.linalg.qr", lambda matrix: (taken.append(set(threads())), qr(matrix))[1])
    with threadpool_limits(2, user_api="blas"):
        policy(64)
    assert {1} in taken


def test_a_thread_that_the_machine_does_not_give_is_no_error():
    class Refused:
        def start(self):
            raise RuntimeError("can't start new thread")

    assert not machine.started(Refused())
