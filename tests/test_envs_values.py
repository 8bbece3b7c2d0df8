"""Checks of what environments return, before it is cast into a row."""

import contextlib
import decimal
import fractions

import numpy as np
import pytest
from gymnasium import spaces
from strangers import Stranger

import a2c
from a2c.envs.values import Observations, WrongValueError, flag_of, reward_of


@pytest.mark.parametrize(
    "reward",
    [
        np.ma.masked,
        np.ma.array([3.0], mask=[True]),
        10**400,
        np.array([10**400], object),
        decimal.Decimal("sNaN"),
        np.timedelta64(5, "s"),
        "1",
        1j,
        None,
        [1.0, 2.0],
    ],
)
def test_a_reward_that_is_no_real_number_is_refused_in_a_sentence(reward):
    with pytest.raises(WrongValueError, match="gave a reward"):
        reward_of(reward)


@pytest.mark.parametrize("reward", [0.5, np.float16(0.5), decimal.Decimal("0.5"), fractions.Fraction(1, 2), [0.5]])
def test_any_real_number_is_a_reward(reward):
    assert reward_of(reward) == 0.5


@pytest.mark.parametrize("given", [0.5, np.float64(0.5), np.array(0.5), [0.5], np.array([[0.5]])], ids=repr)
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_a_single_number_is_taken_in_whatever_shape_it_comes(given, shape):
    for space, obs in (
        (spaces.Box(-1, 1, shape), given),
        (spaces.Dict(a=spaces.Box(-1, 1, shape), b=spaces.Discrete(3)), {"a": given, "b": np.array([2])}),
    ):
        row = Observations(space)(obs)
        field = row if row.dtype.names is None else row[row.dtype.names[0]]
        assert field.shape == shape
        assert field == 0.5


def test_several_numbers_must_have_the_shape_of_their_space():
    for wrong in (np.zeros(3), np.zeros((3, 2)), 0.5):
        with pytest.raises(WrongValueError, match=r"shape .*, its space says \(2, 3\)"):
            Observations(spaces.Box(-1, 1, (2, 3)))(wrong)


@pytest.mark.parametrize("flag", [np.ma.masked, np.ma.array([True], mask=[True]), "True", None, 2, float("nan")])
def test_an_end_that_is_neither_true_nor_false_is_refused(flag):
    with pytest.raises(WrongValueError, match="terminated"):
        flag_of(flag, "terminated")


def test_a_type_error_inside_a_reset_is_not_taken_for_an_old_interface():
    class CallsAnother(Stranger):
        def reset(self, *, seed=None, options=None):
            self._simulator(options=options)

        def _simulator(self):
            pass

    envs = a2c.make_envs(CallsAnother, 1, vectorization="local")
    with contextlib.closing(envs), pytest.raises(a2c.EnvError) as refused:
        envs.reset()
    assert "Gym's old interface" not in str(refused.value)
    assert "self._simulator(options=options)" in str(refused.value)
