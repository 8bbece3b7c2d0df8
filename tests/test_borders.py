"""A run is not lost by what is not its fault: files that go, folders that change, damaged caches, other types."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from analytic import ConstantReward, MatchTheCue

import a2c
from a2c.cli import main
from a2c.envs.make import kind_of
from a2c.evaluation import evaluate
from a2c.exports.layer import paddle


class Wanders(MatchTheCue):
    """Changes the working directory at every step."""

    def step(self, action):
        os.chdir("/")
        return super().step(action)


def test_an_environment_that_changes_the_working_directory_loses_nothing(quick, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = a2c.train(Wanders, **quick | {"run_dir": "runs", "vectorization": "local", "final_eval_episodes": 2})
    monkeypatch.chdir(tmp_path)
    assert run.path.is_relative_to(tmp_path / "runs")
    assert run.summary["steps"] == 256
    assert a2c.load(run).act([1.0, 0.0, 0.0]) in (0, 1, 2)


def test_a_tilde_is_a_home(quick, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    run = a2c.train("CartPole-v1", **quick | {"run_dir": Path("~/mine")})
    assert run.path.is_relative_to(tmp_path / "mine")
    assert a2c.Run("~" + str(run.path).removeprefix(str(tmp_path))).path == run.path


def test_numpys_numbers_paths_and_lists_are_settings(tmp_path):
    config = a2c.Config(
        "X", seed=np.int64(1), learning_rate=np.float32(0.5), run_dir=tmp_path, hidden_sizes=np.array([3, 4]),
        normalize_returns=np.bool_(True), total_steps=np.uint8(7),
    )  # fmt: skip
    assert config == a2c.Config(
        "X",
        seed=1,
        learning_rate=0.5,
        run_dir=str(tmp_path),
        hidden_sizes=(3, 4),
        normalize_returns=True,
        total_steps=7,
    )
    assert a2c.Config.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_a_run_goes_on_without_its_metrics_and_says_so(quick):
    run = a2c.train("CartPole-v1", **quick | {"log_every_steps": 64})
    whole = run.policy("final").parameters
    (run.path / "metrics.jsonl").unlink()
    with pytest.warns(UserWarning, match=r"metrics\.jsonl has 0 bytes of \d+ when the checkpoint was written"):
        further = a2c.resume(run.path, total_steps=512)
    assert further.summary["steps"] == 512
    assert not further.summary["exact"]
    assert min(row["steps"] for row in further.metrics()) > 256
    assert whole.keys() == further.policy("final").parameters.keys()


def test_metrics_that_are_removed_meanwhile_are_missed_at_once(quick):
    class Removes(MatchTheCue):
        def step(self, action):
            self.count = getattr(self, "count", 0) + 1
            if self.count == 40:
                for path in Path(quick["run_dir"]).rglob("metrics.jsonl"):
                    path.unlink()
            return super().step(action)

    with pytest.warns(UserWarning, match="was removed or replaced; rows before this are not in it"):
        run = a2c.train(Removes, **quick | {"log_every_steps": 32, "vectorization": "local"})
    assert run.metrics()[-1]["steps"] == 256


def test_a_policy_that_was_removed_is_put_back_from_the_checkpoint(quick):
    run = a2c.train("CartPole-v1", **quick | {"eval_every_steps": 64})
    expected = run.policy("best").parameters
    shutil.rmtree(run.path / "policy")
    # The checkpoint before the end knows the best one.
    with pytest.warns(UserWarning, match="was missing; it was restored from the newest checkpoint"):
        found = run.policy("best").parameters
    assert all((found[name] == expected[name]).all() for name in expected)


@pytest.mark.skipif(os.name != "posix", reason="another user's rights")
def test_a_folder_that_cannot_be_read_gets_a_sentence(quick, capsys):
    run = a2c.train("CartPole-v1", **quick)
    run.path.chmod(0)
    if os.getuid() == 0:
        os.seteuid(65534)  # Root may read everything.
    try:
        code = main(["evaluate", str(run.path)])
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        run.path.chmod(0o755)
    said = capsys.readouterr()
    assert (code, said.out) == (2, "")
    assert said.err == f"a2c: cannot use {run.path}: Permission denied\n"


@pytest.mark.parametrize("damage", [b"", b"nonsense", None], ids=["empty", "nonsense", "cut in half"])
def test_damaged_machine_code_is_said_removed_and_compiled_again(tmp_path, damage):
    script = (
        "import sys, numpy as np\n"
        "from a2c.kernels.compiler import instance\n"
        "def double(x):\n"
        "    for i in range(len(x)):\n"
        "        x[i] *= 2\n"
        "x = np.ones(3)\n"
        "instance(double, globals())(x)\n"
        "print(x.tolist())\n"
    )
    (tmp_path / "doubling.py").write_text(script)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def run():
        command = [sys.executable, "-c", "import doubling"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, "[2.0, 2.0, 2.0]\n"), done.stderr
        return done.stderr

    assert run() == ""
    kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert len(kept) == 2
    for path in kept:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if damage is None else damage)
    said = run()
    assert f"machine code in {kept[0].parent} is damaged" in said
    assert run() == ""  # Not for ever.


def test_a_process_that_may_not_compile_is_told_why(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "a2c", "train", "CartPole-v1", "--run-dir", str(tmp_path)],
        capture_output=True, text=True, timeout=60, env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "a2c: NUMBA_DISABLE_JIT is set, and nothing here runs uncompiled; unset it\n"


def test_paddles_default_type_may_be_any(quick):
    expected = a2c.train("CartPole-v1", **quick | {"engine": "paddle"}).policy("final").parameters
    default = paddle.get_default_dtype()
    paddle.set_default_dtype("float64")
    try:
        found = a2c.train("CartPole-v1", **quick | {"engine": "paddle"}).policy("final").parameters
        assert paddle.get_default_dtype() == "float64"
    finally:
        paddle.set_default_dtype(default)
    assert all((found[name] == expected[name]).all() for name in expected)


BAD = {
    "NaN": [0.0, float("nan"), 0.0, 0.0],
    "infinity": [0.0, 0.0, float("inf"), 0.0],
    "more than float32 holds": [1e39, 0.0, 0.0, 0.0],
    "text": ["a", "b", "c", "d"],
    "None": None,
    "ragged": [[1.0], [1.0, 2.0], [3.0], [4.0]],
}


@pytest.mark.parametrize("what", BAD)
def test_a_policy_refuses_what_is_no_observation(quick, what):
    policy = a2c.load(a2c.train("CartPole-v1", **quick))
    with pytest.raises(a2c.UserError, match="obs "):
        policy.act(BAD[what])


class BrightHalf(gymnasium.Env):
    """An image whose bright half says which action is right. Best return: 8."""

    observation_space = gymnasium.spaces.Box(0, 255, (6, 6), np.uint8)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        return self._next(), {}

    def step(self, action):
        reward = float(action == self._right)
        self._steps += 1
        return self._next(), reward, self._steps == 8, False, {}

    def _next(self):
        self._right = int(self.np_random.integers(2))
        image = self.np_random.integers(80, 120, (6, 6), dtype=np.uint8)
        image[:, 3 * self._right : 3 * self._right + 3] += 135
        return image


@pytest.mark.parametrize("engine", ["compiled", "paddle"])
def test_small_images_are_scaled_and_learnt_from(quick, engine):
    settings = {"total_steps": 6_000, "num_envs": 8, "hidden_sizes": (32,), "learning_rate": 3e-3, "engine": engine}
    run = a2c.train(BrightHalf, **quick | settings | {"final_eval_episodes": 20, "vectorization": "local"})
    assert run.summary["evaluation"]["mean"] > 7.0


def test_a_policy_fits_the_same_actions_in_another_type(quick):
    class Small(ConstantReward):
        def __init__(self):
            super().__init__()
            self.action_space = gymnasium.spaces.Discrete(2, dtype=np.int32)

    run = a2c.train(Small, **quick | {"final_eval_episodes": 2})
    assert run.summary["evaluation"]["episodes"] == 2
    assert len(evaluate(run.policy(), kind_of(ConstantReward, {}, 0), 2, True).returns) == 2
