"""Environments as strangers write them train, or are refused in one sentence that names what is wrong."""

import re
import warnings

import numpy as np
import pytest
from strangers import ODDITIES, Stranger

import a2c
from a2c.errors import NumbersError

ERRORS = {"EnvError": a2c.EnvError, "UserError": a2c.UserError, "NumbersError": NumbersError}


@pytest.mark.parametrize("what", ODDITIES)
def test_a_stranger_trains_or_is_refused_in_one_sentence(quick, what):
    oddity = ODDITIES[what]
    make = oddity.make if oddity.make is not None else Stranger()
    settings = quick | {"total_steps": 96, "vectorization": "local", "final_eval_episodes": 2} | (oddity.settings or {})
    before = np.geterr()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            if oddity.says:
                with pytest.raises(ERRORS[oddity.error]) as refused:
                    a2c.train(make, **settings)
            else:
                run = a2c.train(make, **settings)
        finally:
            np.seterr(**before)
    said = [str(warning.message) for warning in caught]
    if oddity.says:
        sentence = str(refused.value)
        for part in oddity.says:
            assert part in sentence
        assert "a2c/" not in sentence  # No traceback of ours.
        assert not re.search(r"0x[0-9a-f]{6}|\x1b", sentence)
        assert said == []
    else:
        assert run.summary["steps"] == 96
        assert run.summary["evaluation"]["episodes"] > 0
        if oddity.warns is None:
            assert said == []
        else:
            assert {oddity.warns in line for line in said} == {True}
