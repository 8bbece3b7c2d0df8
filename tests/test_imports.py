"""What is imported when: nothing that a command does not need, and everything but Paddle's own without Paddle."""

import json
import os
import subprocess
import sys

import pytest

import a2c

BLOCKER = """
import sys

class NoPaddle:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "paddle":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoPaddle())
"""

TRAIN = "--preset none --total-steps 512 --num-envs 4 --eval-every-steps 256 --eval-episodes 2 --final-eval-episodes 2"


def python(script, *words, code=0):
    """Standard output and standard error of a script in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *map(str, words)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


COMMAND = "from a2c.__main__ import main\nsys.exit(main())\n"


@pytest.mark.parametrize("where", ["auto", "local"])
def test_training_needs_no_paddle(tmp_path, where):
    flags = [*TRAIN.split(), "--vectorization", where, "--run-dir", tmp_path]
    out, said = python(BLOCKER + COMMAND, "train", "CartPole-v1", *flags)
    assert "over 2 greedy episodes" in out
    assert "engine compiled" in said
    assert "curve   " in out
    assert "video   " in out
    run = next((tmp_path / "CartPole-v1").iterdir())
    assert python(BLOCKER + COMMAND, "evaluate", run, "--episodes", 2)[0].startswith("best policy: ")


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--engine", "paddle"], "engine is 'paddle'"),
        (["--device", "gpu"], "device is 'gpu'"),
        (["--engine", "paddle", "--vectorization", "local"], "engine is 'paddle'"),
    ],
    ids=str,
)
def test_asking_for_paddle_where_it_is_not_installed_gets_one_sentence(tmp_path, flags, reason):
    words = ["train", "CartPole-v1", *flags, "--run-dir", tmp_path / "runs"]
    out, said = python(BLOCKER + COMMAND, *words, code=2)
    assert out == ""
    *before, last = said.splitlines()
    assert last == f"a2c: {reason}, and PaddlePaddle is not installed; pip install 'a2c[paddle]'"
    assert [line for line in before if not line.startswith("compiling for this machine")] == []
    assert os.listdir(tmp_path) == []


def test_exporting_to_paddle_where_it_is_not_installed_gets_one_sentence(quick):
    run = a2c.train("CartPole-v1", **quick)
    out, said = python(BLOCKER + COMMAND, "export", run.path, "--to", "pdparams", code=2)
    assert (out, said.count("\n")) == ("", 1)
    assert "PaddlePaddle, which is not installed; pip install 'a2c[paddle]'" in said


def test_exporting_to_onnx_where_it_is_not_installed_gets_one_sentence(quick):
    run = a2c.train("CartPole-v1", **quick)
    out, said = python(BLOCKER.replace('"paddle"', '"onnx"') + COMMAND, "export", run.path, "--to", "onnx", code=2)
    assert (out, said.count("\n")) == ("", 1)
    assert "--to onnx needs onnx, which is not installed; pip install 'a2c[onnx]'" in said


@pytest.mark.parametrize("to", ["c", "numpy", "html"])
def test_exporting_to_plain_files_imports_little(quick, tmp_path, to):
    run = a2c.train("CartPole-v1", **quick)
    imported = modules(COMMAND, "export", run.path, "--to", to, "--out", tmp_path / "policy")
    assert not {"numba", "paddle", "onnx", "matplotlib", "a2c.learner"} & imported


def modules(script, *words):
    """What a script has imported when it ends."""
    report = "import atexit, json, sys\natexit.register(lambda: print(json.dumps(sorted(sys.modules))))\n"
    return set(json.loads(python(report + script, *words)[0].splitlines()[-1]))


@pytest.mark.parametrize("where", ["auto", "local"])
def test_training_with_compiled_kernels_imports_neither_paddle_nor_matplotlib(tmp_path, where):
    flags = [*TRAIN.split(), "--vectorization", where, "--run-dir", tmp_path, "--no-pictures"]
    imported = modules(COMMAND, "train", "CartPole-v1", *flags)
    assert "a2c.engines.compiled" in imported
    assert not {"paddle", "matplotlib", "a2c.engines.paddle", "tensorboard", "visualdl"} & imported


def test_a_run_whose_machine_code_is_on_disk_needs_no_numba(tmp_path):
    words = ["train", "CartPole-v1", *TRAIN.split(), "--run-dir", tmp_path, "--no-pictures"]
    modules(COMMAND, *words)  # Compiles, unless another test did.
    assert "numba" not in modules(COMMAND, *words)


def test_importing_the_package_and_making_environments_imports_little():
    assert not {"numpy", "numba", "paddle", "gymnasium", "matplotlib"} & modules("import a2c\n")
    local = modules("import a2c\na2c.make_envs('CartPole-v1', 2, vectorization='local').close()\n")
    assert not {"numba", "paddle", "matplotlib", "a2c.learner"} & local


def test_a_policy_in_use_needs_neither_numba_nor_paddle(quick):
    run = a2c.train("CartPole-v1", **quick | {"normalize_observations": True, "normalize_returns": True})
    script = "import sys, a2c\nprint(a2c.load(sys.argv[1]).act([0.0, 0.1, 0.0, 0.0]))\n"
    assert not {"numba", "paddle", "matplotlib", "a2c.learner"} & modules(script, run.path)
