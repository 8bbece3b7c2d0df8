"""The command line as a user meets it: what it prints, and one sentence with exit code 2 for whatever they mistype."""

import json
import os
import shutil
import subprocess
import sys

import gymnasium
import imageio.v3 as imageio
import numpy as np
import pytest
from gymnasium.spaces import Discrete, Graph, Text
from strangers import Stranger

import a2c
from a2c import cli
from a2c.cli import main
from a2c.exports.layer import ActorCritic, paddle
from a2c.presets import PRESETS

SETTINGS = [
    *["--preset", "none", "--total-steps", "256", "--num-envs", "2", "--rollout-length", "4", "--hidden-sizes", "8"],
    *["--eval-every-steps", "128", "--eval-episodes", "2", "--final-eval-episodes", "3"],
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run, trained from the command line."""
    folder = tmp_path_factory.mktemp("cli")
    assert main(["train", "CartPole-v1", *SETTINGS, "--run-dir", str(folder), "--no-pictures"]) == 0
    return next((folder / "CartPole-v1").iterdir())


@pytest.fixture
def called(capsys):
    """Runs a command line; gives exit code, standard output and standard error."""

    def call(*words):
        capsys.readouterr()
        code = main([str(word) for word in words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_training_prints_the_evaluation_and_where_everything_is(called, tmp_path):
    code, out, err = called("train", "CartPole-v1", *SETTINGS, "--run-dir", tmp_path)
    assert code == 0
    assert "over 3 greedy episodes" in out
    assert "engine compiled, 1 thread" in err
    assert "2 environments compiled" in err
    folder = next((tmp_path / "CartPole-v1").iterdir())
    assert f"curve   {folder / 'curve.png'}" in out
    assert f"video   {folder / 'video.gif'}" in out
    assert imageio.imread(folder / "curve.png").shape[0] > 100
    assert len(imageio.imread(folder / "video.gif")) > 1


def test_several_seeds_are_trained_and_taken_together(called, tmp_path):
    code, out, _ = called("train", "CartPole-v1", *SETTINGS, "--run-dir", tmp_path, "--no-pictures", "--seeds", 2)
    assert code == 0
    assert "seeds    IQM" in out
    assert sorted(path.name[-5:] for path in (tmp_path / "CartPole-v1").iterdir()) == ["seed0", "seed1"]


def test_json_is_one_object_on_standard_output(called, tmp_path, run):
    _, out, _ = called("train", "CartPole-v1", *SETTINGS, "--run-dir", tmp_path, "--no-pictures", "--json")
    (summary,) = json.loads(out)["runs"]
    assert summary["steps"] == 256
    _, out, _ = called("evaluate", run, "--episodes", 2, "--json")
    assert json.loads(out)["episodes"] == 2


def test_the_preset_fills_in_what_the_command_line_leaves_out(called, tmp_path):
    flags = ["--total-steps", "64", "--gamma", "0.5", "--final-eval-episodes", "0", "--no-pictures"]
    code, _, _ = called("train", "CartPole-v0", "--preset", "tutorial", *flags, "--run-dir", tmp_path)
    assert code == 0
    config = json.loads(next(tmp_path.rglob("config.json")).read_text())
    assert config["config"]["entropy_coef"] == 0.08
    assert config["config"]["gamma"] == 0.5
    assert (config["origins"]["entropy_coef"], config["origins"]["gamma"]) == ("preset tutorial", "chosen")


@pytest.mark.parametrize("flags", ["--actor-step gradient", "--learning-rate 7e-4"])
def test_a_flag_that_equals_the_default_decides_what_fits(called, tmp_path, flags):
    flags = f"{flags} --total-steps 64 --final-eval-episodes 0 --no-pictures".split()
    assert called("train", "CartPole-v0", *flags, "--run-dir", tmp_path)[0] == 0
    config = json.loads(next(tmp_path.rglob("config.json")).read_text())["config"]
    assert (config["actor_step"], config["natural_max_step"], config["rollout_length"]) == ("gradient", None, 16)


def test_what_memory_changes_of_a_preset_is_said(called, tmp_path):
    flags = ["--memory-size", "16", "--total-steps", "64", "--final-eval-episodes", "0", "--no-pictures"]
    code, _, said = called("train", "CartPole-v1", *flags, "--run-dir", tmp_path)
    assert code == 0
    assert "rollout_length 32, actor_step gradient: the preset is for actor_step 'natural'" in said


def test_a_flag_that_equals_the_default_goes_before_the_preset(called, tmp_path):
    default = a2c.Config("X").learning_rate
    flags = f"--total-steps 64 --learning-rate {default} --final-eval-episodes 0 --no-pictures".split()
    called("train", "CartPole-v1", *flags, "--run-dir", tmp_path)
    assert json.loads(next(tmp_path.rglob("config.json")).read_text())["config"]["learning_rate"] == default


def test_evaluate_prints_a_line(called, run):
    code, out, _ = called("evaluate", run, "--episodes", 4, "--no-greedy", "--which", "final", "--seed", 3)
    assert code == 0
    assert out.startswith("final policy: ")
    assert "over 4 sampled episodes" in out
    assert out.count("\n") == 1


def test_plot_draws_one_or_several_runs(called, run, tmp_path):
    code, out, _ = called("plot", run)
    assert (code, out.strip()) == (0, str(run / "curve.png"))
    code, _, _ = called("plot", run, run, "--to", tmp_path / "both.svg")
    assert code == 0
    assert (tmp_path / "both.svg").read_text().startswith("<?xml")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # imageio forgets its reader's pipes
@pytest.mark.parametrize("name", ["video.gif", "video.mp4"])
def test_record_makes_a_video_that_moves(called, run, tmp_path, name):
    code, out, _ = called("record", run, "--to", tmp_path / name, "--max-steps", 40)
    assert code == 0
    assert str(tmp_path / name) in out
    frames = imageio.imread(tmp_path / name)
    assert len(frames) > 3
    assert (frames[0] != frames[-1]).any()


def test_json_of_record_and_export_is_one_object_on_standard_output(called, run, tmp_path):
    video, model = tmp_path / "video.gif", tmp_path / "policy.json"
    code, out, _ = called("record", run, "--to", video, "--max-steps", 5, "--which", "final", "--json")
    assert code == 0
    assert json.loads(out) == {"run": str(run), "which": "final", "return": 5.0, "steps": 5, "video": str(video)}
    assert video.exists()
    code, out, _ = called("export", run, "--to", "paddle", "--out", model, "--json")
    assert code == 0
    files = [model, model.with_suffix(".pdiparams")]
    assert json.loads(out) == {"run": str(run), "which": "best", "to": "paddle", "files": list(map(str, files))}
    assert all(file.exists() for file in files)


def test_export_writes_what_paddle_loads_into_our_layer(called, run, tmp_path):
    path = tmp_path / "exported" / "policy.pdparams"
    code, out, _ = called("export", run, "--to", "pdparams", "--out", path)
    assert (code, out.strip()) == (0, str(path))
    policy = a2c.load(run)
    network = ActorCritic(policy.architecture)
    missing, unexpected = network.set_state_dict(paddle.load(str(path)))
    assert (list(missing), list(unexpected)) == ([], [])
    obs = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    (logits,), value = network(paddle.to_tensor(obs))
    assert logits.numpy().argmax(-1).tolist() == policy.act(obs).tolist()
    np.testing.assert_allclose(value.numpy(), policy.value(obs), rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere there always is a display")
def test_watch_without_a_display_says_what_to_do_instead(called, run, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    code, out, err = called("watch", run)
    assert (code, out) == (2, "")
    assert "no display" in err
    assert "a2c record" in err


def test_watch_plays_episodes(called, run, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":99")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    code, out, _ = called("watch", run, "--episodes", 2)
    assert code == 0
    assert [line.split(":")[0] for line in out.splitlines()] == ["episode 1", "episode 2"]


gymnasium.register("Graphs-v0", entry_point=lambda: Stranger(observation_space=Graph(Discrete(3), None)))
gymnasium.register("Listens-v0", entry_point=lambda: Stranger(action_space=Text(3)))

MISTAKES = {
    "": "train",
    "fly": "fly",
    "train": "ENV",
    "train CartPol-v1": "unknown environment 'CartPol-v1'; did you mean CartPole-v1",
    "train cartpole": "did you mean CartPole-v1",
    "train Nothing-Like-It-v0": "it must be a Gymnasium id or module:Id",
    "train no_such_module:Env-v0": "cannot import the module of 'no_such_module:Env-v0'",
    "train Graphs-v0": "the observation space of Graphs-v0 is Graph(Discrete(3), None)",
    "train Listens-v0": "the action space of Listens-v0 is Text(1, 3",
    "train CartPole-v1 --num-envs zero": "zero",
    "train CartPole-v1 --stop-at-return nan": "stop_at_return is nan; it must be finite",
    "train CartPole-v1 --stop-at-return 9 --eval-every-steps 0": "so that nothing is evaluated during training",
    "train CartPole-v1 --num-envs 0": "num_envs is 0; it must be a whole number from 1 to 1,000,000",
    "train CartPole-v1 --num-envs 2 --num-workers 2": "num_workers is 2; with 2 environments it must be at most 1",
    "train CartPole-v1 --cluster mars": "cluster is 'mars'; it must be none, local, auto, or an address",
    "train CartPole-v1 --cluster local --num-workers 2": "where every actor steps its environments itself",
    "train CartPole-v1 --cluster local --num-actors 99": "with 8 environments it must be at most that",
    "train CartPole-v1 --cluster local --seeds 2 --num-actors 2": "where a seed has one actor; --jobs says how many",
    "benchmark CartPole-v1 --cluster local": "cluster is 'local', and this measures this machine alone",
    "train CartPole-v1 --num-actors 2": "num_actors is 2, and cluster is 'none'; actors run on a cluster: choose one",
    "train CartPole-v1 --gamma 1.01": "gamma is 1.01; it must be between 0 and 1",
    "resume RUN --learning-rate 0.1": "learning_rate cannot change within a run; train a new one with it",
    "resume RUN --no-normalize-returns": "normalize_returns cannot change within a run",
    "train CartPole-v1 --learning-rate nan": "learning_rate is nan; it must be finite",
    "train CartPole-v1 --learning-rat 1": "--learning-rate",
    "train CartPole-v1 --hidden-sizes -1": "hidden_sizes is (-1,)",
    "train CartPole-v1 --optimizer sgd": "sgd",
    "train CartPole-v1 --preset best": "unknown preset 'best'; there are auto, none, tutorial",
    "train CartPole-v1 --learning-rate 0.01": "no effect where actor_step is 'natural' (preset CartPole-v1)",
    "train CartPole-v1 --seeds 0": "seeds is 0; it must be from 1 to 10,000",
    "train CartPole-v1 --device abacus": "no device 'abacus'",
    "train CartPole-v1 --engine compiled --device gpu": "engine is 'compiled', which has no device 'gpu'",
    "train CartPole-v1 --engine fast": "fast",
    "train CartPole-v1 --num-threads 0": "num_threads is 0; it must be a whole number from 1 to 1,000,000",
    "train FrozenLake-v1 --preset none --vectorization compiled": "FrozenLake-v1 has no compiled form; only Cart",
    "train CartPole-v1 --vectorization compiled --num-workers 1": "vectorization is 'compiled', which has no workers",
    'train CartPole-v1 --vectorization compiled --env-kwargs {"g":1}': "the compiled form of CartPole-v1 takes none",
    "train CartPole-v1 --text-words 8": "text_words (--text-words) is 8, but observations of CartPole-v1 have no texts",
    "train CartPole-v1 --env-kwargs {": "--env-kwargs",
    "train CartPole-v1 --env-kwargs [1]": "env_kwargs is [1]; it must be a JSON object",
    'train CartPole-v1 --env-kwargs {"gravity":1}': "CartPole-v1 does not take env_kwargs {'gravity': 1}",
    "train CartPole-v1 --run-dir FILE": "cannot make the run folder",
    "evaluate": "RUN",
    "evaluate nowhere": "there is no run folder nowhere",
    "evaluate FOLDER": "is not a run folder: it has no config.json",
    "evaluate FILE": "there is no run folder",
    "evaluate RUN --episodes 0": "episodes is 0; it must be at least 1",
    "evaluate RUN --which worst": "worst",
    "evaluate RUN --seed -1": "seed is -1; it must be from 0",
    "evaluate RUN --seed 99999999999999999999999": "it must be from 0 to 2**63 - 1",
    "record RUN --seed -1": "seed is -1; it must be from 0",
    "plot RUN --to FOLDER/name": "its name must end in .png, .pdf or .svg",
    "train CartPole-v1 --seed 9223372036854775807 --seeds 2": "seed is 9223372036854775808",
    "record RUN --to nowhere/x.mp4": "there is no folder nowhere",
    "train .dots:X-v0": "cannot import the module of '.dots:X-v0'",
    "train CartPole-v1 --hidden-sizes 1000000000": "it must be whole numbers from 1 to 100,000",
    "train CartPole-v1 --num-envs 1 --vectorization workers": "set isolate_envs to put it in a worker",
    "train CartPole-v1 --num-envs abc": "num_envs is 'abc'; it must be a whole number",
    "train CartPole-v1 --total-steps 1.5": "total_steps is 1.5; it must be a whole number",
    "train CartPole-v1 --total-steps 1e-3": "total_steps is 1e-3; it must be a whole number",
    "train CartPole-v1 --total-steps 1e400": "total_steps is 1e400; it must be a whole number",
    "train CartPole-v1 --total-steps=many": "total_steps is 'many'; it must be a whole number",
    "train CartPole-v1 --gamma half": "gamma is 'half'; it must be a number",
    "train CartPole-v1 --num-workers some": "num_workers is 'some'; it must be a whole number or 'auto'",
    "train CartPole-v1 --max-grad-norm off": "max_grad_norm is 'off'; it must be a number or None",
    "train CartPole-v1 --hidden-sizes 64,big": "hidden_sizes is 'big'; it must be a whole number",
    "train CartPole-v1 --hidden-sizes 64,0": "hidden_sizes is (64, 0); it must be whole numbers from 1",
    "train CartPole-v1 --log visualdl,neptune": "neptune",
    "evaluate RUN --episodes 2.5": "episodes is 2.5; it must be a whole number",
    "evaluate RUN --eval-num-envs 0": "eval_num_envs is 0; it must be a whole number from 1",
    "record RUN --max-steps few": "max_steps is 'few'; it must be a whole number",
    "train CartPole-v1 --lr 1e-3": "there is no --lr; here it is --learning-rate",
    "train CartPole-v1 --timesteps 100": "there is no --timesteps; here it is --total-steps",
    "train CartPole-v1 --n-envs=4": "there is no --n-envs; here it is --num-envs",
    "train CartPole-v1 --n_steps 5": "there is no --n-steps; here it is --rollout-length",
    "train CartPole-v1 --ent-coef 0": "there is no --ent-coef; here it is --entropy-coef",
    "train CartPole-v1 --batch-size 64": "a batch is a whole rollout",
    "train CartPole-v1 --clip 0.2": "max_grad_norm",
    "train --env CartPole-v1": "the environment is the first word, as in a2c train CartPole-v1",
    "benchmark CartPole-v1 --lr 1": "there is no --lr; here it is --learning-rate",
    "run CartPole-v1": "there is no verb 'run'; here it is 'train'",
    "eval RUN": "there is no verb 'eval'; here it is 'evaluate'",
    "enjoy RUN": "here it is 'watch'",
    "continue RUN": "here it is 'resume'",
    "CartPole-v1": "'CartPole-v1' is not a verb; to train on it, type a2c train CartPole-v1",
    "my_env:Env-v0": "to train on it, type a2c train my_env:Env-v0",
    "train PandaReach-v3": "put its module before it, panda_gym:PandaReach-v3 (pip install panda-gym)",
    "train highway-v0": "highway_env:highway-v0 (pip install highway-env)",
    "train VizdoomBasic-v1": "unknown environment 'VizdoomBasic-v1'; pip install \"a2c[vizdoom]\" brings it",
    "train FetchReach-v3": "gymnasium_robotics:FetchReach-v3",
    "train FlappyBird-v0": "flappy_bird_gymnasium:FlappyBird-v0",
    "train CartPole-v7": "did you mean CartPole-v1",
    "train json:loads": "json:loads",
    "train json:no_such_thing": "unknown environment 'json:no_such_thing'",
    "train CartPole-v1 --max-episode-steps 0": "max_episode_steps is 0; it must be a whole number of at least 1",
    "train CartPole-v1 --vectorization compiled --max-episode-steps 9": "drop max_episode_steps",
    "train CartPole-v1 --normalize-advantage --num-envs 1 --rollout-length 1": "or at least 2 of either",
    "train CartPole-v1 --eval-num-envs 0": "eval_num_envs is 0; it must be a whole number from 1",
    "train CartPole-v1 --final-eval-episodes -1": "final_eval_episodes is -1; it must be a whole number of at least 0",
    "plot": "at least one run",
    "plot RUN --to FOLDER/x.abc": "cannot write the picture",
    "plot RUN --to nowhere/x.png": "cannot write the picture",
    "record RUN --to x.avi": "the file must end in .gif or .mp4",
    "record RUN --to nowhere/x.gif": "cannot write the video",
    "record RUN --max-steps 0": "max_steps is 0; it must be at least 1",
    "watch RUN --episodes 0": "episodes is 0; it must be at least 1",
    "export RUN": "--to",
    "export RUN --to tflite": "tflite",
    "export RUN --to pdparams --out FILE/x": "cannot write",
    "export RUN --to c --out FILE/x": "cannot write",
    "export RUN --to html --out FOLDER": "cannot write",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_gets_one_sentence_and_exit_code_2(called, run, tmp_path, line):
    (tmp_path / "file").write_text("")
    places = {"FOLDER": tmp_path, "FILE": tmp_path / "file", "RUN": run}
    words = line.split()
    for name, path in places.items():
        words = [word.replace(name, str(path)) for word in words]
    if words[:1] == ["train"] and "--run-dir" not in words:
        words += ["--run-dir", str(tmp_path / "runs")]
        if "--total-steps" not in words:  # Where what is to be refused is not, the test shall fail soon.
            words += ["--total-steps", "1000"]
    code, out, err = called(*words)
    assert (code, out) == (2, "")
    assert err.startswith("a2c: ")
    assert err.count("\n") == 1
    assert MISTAKES[line] in err
    assert "Traceback" not in err
    assert "__tyro" not in err
    assert sorted(os.listdir(tmp_path)) == ["file"]


def damaged(run, tmp_path):
    copy = tmp_path / "run"
    copy.mkdir()
    for path in run.rglob("*"):
        target = copy / path.relative_to(run)
        target.mkdir() if path.is_dir() else target.write_bytes(path.read_bytes())
    return copy


def policy_of(hidden_sizes):
    """The description of a policy of CartPole-v1."""
    spaces = {
        "observation_space": {"kind": "box", "type": "<f4"},
        "action_space": {"kind": "discrete", "n": 2, "start": 0, "type": "<i8"},
    }
    said = {"format": 2, "env_id": "X", "hidden_sizes": hidden_sizes, "activation": "relu", **spaces}
    return json.dumps(said).encode()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("config.json", b"{", "config.json is not JSON"),
        ("config.json", b"{}", "config.json has format None; this version reads 1"),
        ("config.json", b'{"format": 1}', "a Config must be a JSON object"),
        ("config.json", b'{"format": 1, "config": {"env_id": 3}}', "env_id is 3"),
        ("policy/policy.json", b'{"format": 7}', "policy.json has format 7; this version reads 2"),
        ("policy/policy.json", b'{"format": 1}', "lacks a valid env_id, hidden_sizes or activation"),
        ("policy/policy.json", b'{"format": 2}', "lacks a valid env_id, hidden_sizes or activation"),
        (
            "policy/policy.json",
            b'{"format": 2, "env_id": "X", "hidden_sizes": [8], "activation": "relu"}',
            "policy.json lacks observation_space and action_space",
        ),
        (
            "policy/policy.json",
            policy_of([9]),
            "policy.safetensors does not fit its description: actor.0.weight is float32 (4, 8), not float32 (4, 9)",
        ),
        (
            "policy/policy.json",
            policy_of([8, 8]),
            "policy.safetensors lacks the array 'actor.2.weight'",
        ),
        ("policy/policy.safetensors", b"", "policy.safetensors is not a whole safetensors file"),
        ("policy/policy.safetensors", None, "policy.safetensors is missing"),
        ("policy/policy.json", None, "policy.json is missing"),
    ],
)
def test_a_damaged_run_gets_one_sentence_and_exit_code_2(called, run, tmp_path, name, content, sentence):
    copy = damaged(run, tmp_path)
    (copy / name).unlink() if content is None else (copy / name).write_bytes(content)
    code, out, err = called("evaluate", copy)
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1


def test_metrics_cut_off_by_a_crash_are_drawn_as_far_as_they_go(called, run, tmp_path):
    copy = damaged(run, tmp_path)
    metrics = (copy / "metrics.jsonl").read_bytes()
    (copy / "metrics.jsonl").write_bytes(metrics[:-5])
    assert called("plot", copy)[0] == 0
    (copy / "metrics.jsonl").write_bytes(b"nonsense\n" + metrics)
    code, _, err = called("plot", copy)
    assert code == 2
    assert "metrics.jsonl, line 1 is not a row of metrics" in err


def test_a_run_cannot_choose_a_module_to_import(called, run, tmp_path, monkeypatch):
    copy = damaged(run, tmp_path)
    (copy / "evil.py").write_text("raise SystemExit('code of the run folder ran')")
    monkeypatch.chdir(copy)
    monkeypatch.syspath_prepend(copy)
    config = json.loads((copy / "config.json").read_text())
    config["config"]["env_id"] = "evil:CartPole-v1"
    (copy / "config.json").write_text(json.dumps(config))
    for verb in ("evaluate", "record"):
        code, _, err = called(verb, copy)
        assert code == 2
        assert "if you trust it, add --env evil:CartPole-v1" in err
    assert called("evaluate", copy, "--env", "CartPole-v1", "--episodes", 2)[0] == 0


def test_a_picture_that_fails_does_not_fail_the_run(called, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(os.path.dirname(__file__))
    code, out, err = called("train", "faulty:Undrawable-v0", *SETTINGS, "--run-dir", tmp_path)
    assert code == 0
    assert "curve   " in out
    assert "no video: the environment cannot draw itself: RuntimeError: no canvas" in err


COMPLETE = """
source "$1"
COMP_WORDS=(a2c "${@:2}"); COMP_CWORD=$(($# - 1)); COMP_LINE="${COMP_WORDS[*]}"; COMP_POINT=${#COMP_LINE}
$(complete -p a2c | sed 's/.*-F \\([^ ]*\\) .*/\\1/') a2c "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
echo "${COMPREPLY[*]}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_verbs_flags_and_values(called, tmp_path):
    code, script, _ = called("completion", "bash")
    assert code == 0
    (tmp_path / "a2c").write_text(script)

    def completed(*words):
        line = ["bash", "-c", COMPLETE, "bash", tmp_path / "a2c", *words]
        return subprocess.run(line, capture_output=True, text=True, check=True).stdout.split()

    assert completed("tr") == ["train"]
    assert set(cli._VERBS) <= set(completed(""))
    assert completed("train", "CartPole-v1", "--total-s") == ["--total-steps"]
    assert completed("train", "CartPole-v1", "--optimizer", "") == ["adam", "rmsprop"]
    assert completed("report", "RUN", "--which", "") == ["best", "final"]


def test_zsh_completes_as_well(called):
    code, script, _ = called("completion", "zsh")
    assert code == 0
    assert script.startswith("#compdef a2c")
    assert "--total-steps" in script


def test_the_version_is_told(called):
    assert called("--version") == (0, f"{a2c.__version__}\n", "")


@pytest.mark.skipif(os.name != "posix", reason="pipes of a shell")
def test_output_that_nobody_reads_is_no_error(run):
    command = f"{sys.executable} -m a2c evaluate {run} --episodes 2 | true"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (141, "")


def test_help_explains_every_flag():
    done = subprocess.run([sys.executable, "-m", "a2c", "train", "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    for field in a2c.Config.__dataclass_fields__:
        if field != "env_id":
            assert f"--{field.replace('_', '-')}" in done.stdout
    assert "Lambda of generalised advantage estimation" in done.stdout


def test_the_command_is_installed_and_quiet_where_there_is_no_terminal(tmp_path):
    command = [
        sys.executable,
        "-m",
        "a2c",
        "train",
        "CartPole-v1",
        *SETTINGS,
        "--no-pictures",
        "--run-dir",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    said = [line for line in done.stderr.splitlines() if not line.startswith("compiling for this machine")]
    assert len(said) == 4  # what runs where, its folder, and a line for each evaluation; no progress bar
    assert said[2].startswith("         128 steps: return ")
    assert max(map(len, said[2:])) <= 80
    assert "\r" not in done.stderr


def test_numbers_and_lists_mean_what_they_say(called, tmp_path):
    flags = "--total-steps 1e2 --hidden-sizes 8,8 --seed=1_0 --num-envs 2 --rollout-length 4 --max-grad-norm None"
    flags += " --reward-weights None"
    words = ["train", "CartPole-v1", *flags.split(), "--log", "visualdl,tensorboard", "--final-eval-episodes", "0"]
    assert called(*words, "--no-pictures", "--preset", "none", "--run-dir", tmp_path)[0] == 0
    config = json.loads(next(tmp_path.rglob("config.json")).read_text())["config"]
    assert (config["total_steps"], config["hidden_sizes"], config["seed"]) == (100, [8, 8], 10)
    assert (config["log"], config["max_grad_norm"]) == (["visualdl", "tensorboard"], None)


def test_help_after_an_environment_shows_the_presets_values(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["train", "Pendulum-v1", "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    gamma = said[said.index("--gamma") :]
    assert "0.95)" in gamma[: gamma.index("--gae-lambda")]


def test_help_is_in_groups_names_the_presets_and_fits_80_columns():
    environment = {**os.environ, "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-m", "a2c", "train", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60, env=environment)
    lines = done.stdout.splitlines()
    boxes = [line.strip("╭╮─ ") for line in lines if line.startswith("╭")]
    assert boxes[1:] == [
        f"{name}options" for name in ("", "environment ", "algorithm ", "optimizer ", "model ", "run ")
    ]
    assert all(name in " ".join(lines) for name in PRESETS)
    assert max(len(line) for line in lines if line.startswith(("│", "╭"))) == 80
    # A paragraph is one: no line ends early because the source's did.
    start = next(number for number, line in enumerate(lines) if "--vectorization" in line)
    end = next(number for number, line in enumerate(lines) if "--num-workers" in line)
    assert min(len(line.rstrip("│ ")) for line in lines[start + 1 : end - 1]) > 60


def test_help_is_a_verb_too(capsys):
    for words in (["help"], ["help", "plot"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 0
        assert f"usage: a2c {' '.join(words[1:])}".strip() in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["--normalize-advantage", "true"], True),
        (["--normalize_advantage=False"], False),
        (["--normalize-advantage=yes"], True),
        (["--normalize-advantage", "0"], False),
    ],
)
def test_a_switch_may_be_given_a_value(called, tmp_path, words, value):
    flags = "--total-steps 64 --num-envs 2 --eval-every-steps 0 --final-eval-episodes 0 --no-pictures --preset none"
    assert called("train", *words, "CartPole-v1", *flags.split(), "--run-dir", tmp_path)[0] == 0
    config = json.loads(next(tmp_path.rglob("config.json")).read_text())["config"]
    assert config["normalize_advantage"] is value


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["train", "CartPole-v1", "--isolate-envs=maybe"], "isolate_envs is 'maybe'; it must be true or false"),
        # Of its own verb, not of another's flag of that name.
        (["train", "CartPole-v1", "--num-workers", "two"], "num_workers is 'two'; it must be a whole number or 'auto'"),
        (["resume", "x", "--num-workers", "two"], "num_workers is 'two'; it must be a whole number or 'auto' or None"),
        (["train", ":CartPole-v1"], "cannot import the module of ':CartPole-v1'"),
    ],
)
def test_what_is_right_is_said_of_this_verb(called, words, sentence):
    code, _, said = called(*words)
    assert code == 2
    assert sentence in said
    assert ("None" in said) == ("None" in sentence)


def test_a_folder_of_runs_names_the_newest(called, run):
    code, _, said = called("evaluate", run.parent.parent)
    assert code == 2
    assert f"has no config.json; the newest in it is {run}" in said


TALKATIVE = """
import os, sys, gymnasium, numpy as np

class Talkative(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    print("constructing")

    def reset(self, *, seed=None, options=None):
        print("reset!")
        os.write(1, b"from below\\n")
        self.t = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        print("step!")
        self.t += 1
        return np.zeros(2, np.float32), 0.0, self.t == 5, False, {}


def make():
    return Talkative()
"""


@pytest.mark.parametrize("name", ["Talkative", "make"])
def test_json_is_alone_on_standard_output_and_modules_of_this_folder_are_found(tmp_path, name):
    (tmp_path / "talkative.py").write_text(TALKATIVE)
    words = ["train", f"talkative:{name}", *SETTINGS, "--no-pictures", "--json", "--num-workers", "1"]
    command = [sys.executable, "-c", "from a2c.__main__ import main; import sys; sys.exit(main())", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (summary,) = json.loads(done.stdout)["runs"]
    assert summary["steps"] == 256
    assert "step!" in done.stderr
    assert "from below" in done.stderr


def test_settings_of_other_libraries_are_named_from_python_too():
    with pytest.raises(a2c.UserError, match="unknown setting 'lr'; there is no 'lr'; here it is 'learning_rate'"):
        a2c.train("CartPole-v1", lr=1e-3)
