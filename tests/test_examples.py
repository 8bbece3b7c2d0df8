"""Every example runs as it stands, and shows what it says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def numbers_said_by(example, folder):
    """What an example prints, and the numbers that follow a colon there."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / example)], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, [float(number) for number in re.findall(r": (?:heat )?(-?[0-9.]+)", done.stdout)]


def keeps_the_room_warm(said, numbers):
    mean, *heat = numbers
    assert -3 < mean < 0, said
    assert 1 >= heat[0] > heat[1] > heat[2] >= 0, said


def docks_in_both_forms(said, numbers):
    assert re.search("10000 steps in [0-9]+ episodes: equal", said)
    assert numbers[-1] > 80, said


def balances_a_pole(said, numbers):
    *on_the_way, greedy = numbers
    assert len(on_the_way) == 9
    assert on_the_way[0] < 70 < 100 < max(on_the_way), said
    assert greedy > 70, said  # A short rollout and large steps: it comes and goes, see docs/tutorial.md.


SHOWN = {
    "compiled_environment.py": docks_in_both_forms,
    "own_environment.py": keeps_the_room_warm,
    "tutorial_paddle.py": balances_a_pole,
}


@pytest.mark.parametrize("example", SHOWN)
def test_an_example_runs_and_shows_what_it_says(example, tmp_path):
    SHOWN[example](*numbers_said_by(example, tmp_path))


def test_there_is_no_other_example():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(SHOWN)
