"""Whole runs from Python: what they leave in their folder, and what must not change their bits."""

import json
import os
import tempfile

import gymnasium
import numpy as np
import pytest
from analytic import MatchTheCue

import a2c
from a2c.run import checkpoint
from a2c.schedule import is_due


def final_arrays(run):
    """Of the learner: how rows of metrics stand is the session's."""
    arrays = checkpoint.newest(run.path / "checkpoints").arrays
    return {name: array.tobytes() for name, array in arrays.items() if not name.startswith("session.")}


def test_a_run_leaves_everything_in_its_folder(quick):
    run = a2c.train("CartPole-v1", **quick | {"final_eval_episodes": 2, "seed": 4})
    assert run.path.parent.name == "CartPole-v1"
    assert run.path.name.endswith("-seed4")
    files = ["checkpoints", "config.json", "evaluation.json", "metrics.jsonl", "policy", "summary.json"]
    assert sorted(os.listdir(run.path)) == files
    assert sorted(os.listdir(run.path / "checkpoints")) == ["step_000000000", "step_000000256"]
    summary = run.summary
    assert (summary["env_id"], summary["seed"], summary["steps"], summary["updates"]) == ("CartPole-v1", 4, 256, 32)
    assert summary["evaluation"]["episodes"] == 2
    assert summary["evaluation"]["greedy"] is True
    assert summary["stopped_by"] is None
    assert summary["engine"].startswith("compiled, ")
    assert summary["vectorization"] == "compiled"
    assert summary["train_seconds"] > 0
    assert summary["versions"]["a2c"] == a2c.__version__
    assert summary["machine"]["cores"] >= 1
    assert summary["machine"]["processor"]
    config = json.loads((run.path / "config.json").read_text())
    assert config["origins"]["seed"] == "chosen"
    assert a2c.Config.from_json(config["config"]) == run.config


def test_runs_of_the_same_moment_get_folders_of_their_own(quick):
    runs = [a2c.train("CartPole-v1", **quick | {"total_steps": 8}) for _ in range(3)]
    assert len({run.path for run in runs}) == 3


def test_the_same_seed_gives_the_same_bits(quick):
    first, again = (a2c.train("CartPole-v1", **quick) for _ in range(2))
    assert final_arrays(first) == final_arrays(again)
    times = ("steps_per_second",)
    rows = [[{k: v for k, v in row.items() if k not in times} for row in run.metrics()] for run in (first, again)]
    assert rows[0] == rows[1]


@pytest.mark.parametrize(
    "settings",
    [
        {"eval_every_steps": 16, "eval_episodes": 3},
        {"eval_every_steps": 16, "eval_greedy": False},
        {"save_every_seconds": 0.0},
        {"log_every_steps": 8},
        {"log": ("tensorboard",)},
    ],
    ids=str,
)
@pytest.mark.parametrize("vectorization", ["compiled", "local"])
def test_evaluating_saving_and_logging_never_disturb_training(quick, vectorization, settings):
    quick |= {"vectorization": vectorization}
    plain = final_arrays(a2c.train("CartPole-v1", **quick))
    assert final_arrays(a2c.train("CartPole-v1", **quick | settings)) == plain


def test_workers_never_change_what_is_learnt(quick):
    alone = a2c.train("CartPole-v1", **quick | {"vectorization": "local"})
    helped = a2c.train("CartPole-v1", **quick | {"num_workers": 1})
    assert (alone.summary["vectorization"], helped.summary["vectorization"]) == (
        "in this process",
        "in 1 worker process and this process",
    )
    assert final_arrays(helped) == final_arrays(alone)


def test_threads_never_change_what_is_learnt(quick):
    quick |= {"num_envs": 32, "rollout_length": 16, "total_steps": 512 * 5}
    runs = [a2c.train("CartPole-v1", **quick | {"num_threads": threads}) for threads in (1, 2)]
    assert [run.summary["engine"] for run in runs] == ["compiled, 1 thread", "compiled, 2 threads"]
    assert final_arrays(runs[0]) == final_arrays(runs[1])


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({}, "compiled"),
        ({"vectorization": "compiled"}, "compiled"),
        ({"num_workers": 0}, "compiled"),
        ({"vectorization": "local"}, "in this process"),
        ({"num_workers": 1}, "in 1 worker process and this process"),
        ({"isolate_envs": True, "num_workers": 1}, "in 1 worker process"),
    ],
    ids=str,
)
def test_classic_control_is_trained_on_in_compiled_form_unless_workers_are_asked_for(quick, settings, where):
    run = a2c.train("CartPole-v1", **quick | {"total_steps": 8} | settings)
    assert run.summary["vectorization"] == where
    assert run.config.vectorization == settings.get("vectorization", "auto")


def test_an_environment_of_paddles_engine_may_be_compiled(quick):
    run = a2c.train("CartPole-v1", **quick | {"engine": "paddle"})
    assert (run.summary["engine"], run.summary["vectorization"]) == ("paddle on cpu", "compiled")
    compiled = a2c.train("CartPole-v1", **quick)
    for name, array in run.policy("final").parameters.items():
        np.testing.assert_allclose(array, compiled.policy("final").parameters[name], rtol=1e-3, atol=1e-4)


def test_rows_of_metrics_come_as_often_as_asked(quick):
    run = a2c.train("CartPole-v1", **quick | {"log_every_steps": 64, "eval_every_steps": 128})
    training = [row for row in run.metrics() if "policy_loss" in row]
    evaluation = [row for row in run.metrics() if "evaluation_return" in row]
    assert [row["steps"] for row in training] == [64, 128, 192, 256]
    assert [row["steps"] for row in evaluation] == [128, 256]
    assert {"loss", "value_loss", "entropy", "grad_norm", "explained_variance", "learning_rate"} <= training[0].keys()
    assert sum("episode_return" in row for row in training) > 0
    assert training[0]["learning_rate"] == 7e-4


def test_steps_after_the_last_row_are_logged_at_the_end(quick):
    run = a2c.train("CartPole-v1", **quick | {"log_every_steps": 100})
    assert [row["steps"] for row in run.metrics() if "loss" in row] == [104, 200, 256]


def test_the_best_policy_is_kept_and_the_final_one_beside_it(quick):
    run = a2c.train("CartPole-v1", **quick | {"total_steps": 2048, "eval_every_steps": 64, "eval_episodes": 4})
    evaluations = [(row["evaluation_return"], row["steps"]) for row in run.metrics() if "evaluation_return" in row]
    described = json.loads((run.path / "policy" / "policy.json").read_text())
    assert (described["evaluation"]["mean"], described["steps"]) == max(evaluations)
    final = run.policy("final").parameters
    newest = checkpoint.newest(run.path / "checkpoints").arrays
    assert all((final[name] == newest[name]).all() for name in final)


def test_a_loaded_policy_acts_as_the_trained_one(quick):
    settings = {"normalize_observations": True, "normalize_returns": True, "num_envs": 3}
    run = a2c.train("Pendulum-v1", **quick | settings)
    policy = a2c.load(run.path)
    observation = np.array([1.0, 0.0, 0.5])
    action = policy.act(observation)
    assert action.shape == (1,)
    assert action in gymnasium.make("Pendulum-v1").action_space
    batch = policy.act(np.stack([observation] * 5))
    assert batch.shape == (5, 1)
    np.testing.assert_allclose(batch, np.stack([action] * 5), rtol=1e-6)
    assert len({float(policy.act(observation, greedy=False)[0]) for _ in range(10)}) == 10


def test_a_discrete_policy_gives_an_int_for_one_observation(quick):
    policy = a2c.load(a2c.train("CartPole-v1", **quick))
    assert isinstance(policy.act([0.0, 0.0, 0.0, 0.0]), int)
    with pytest.raises(a2c.UserError, match=r"obs has shape \(3,\); it must be \(4,\)"):
        policy.act([0.0, 0.0, 0.0])


def test_a_callable_is_trained_on_and_evaluated_with(quick):
    run = a2c.train(MatchTheCue, **quick)
    assert run.config.env_id == "MatchTheCue"
    assert run.evaluate(episodes=3, env=MatchTheCue).lengths == [8, 8, 8]
    with pytest.raises(a2c.UserError, match=r"on what the callable MatchTheCue makes, .* pass it as env="):
        run.evaluate(episodes=3)


def test_a_policy_is_not_evaluated_on_another_environment(quick):
    run = a2c.train("CartPole-v1", **quick)
    with pytest.raises(a2c.UserError, match=r"the policy was trained on Box.*this environment has"):
        run.evaluate(env="Pendulum-v1")


def test_what_is_no_environment_is_refused(quick):
    class Spaceless(gymnasium.Env):
        pass

    with pytest.raises(a2c.UserError, match=r"made an int; it must make a gymnasium\.Env"):
        a2c.train(lambda: 3, **quick)
    with pytest.raises(a2c.UserError, match="Spaceless has no observation_space"):
        a2c.train(Spaceless, **quick)


def test_an_error_during_evaluation_says_so(quick):
    class Fragile(MatchTheCue):
        def reset(self, *, seed=None, options=None):
            made.append(self)
            if len(made) > quick["num_envs"]:  # those of training come first
                raise RuntimeError("not again")
            return super().reset(seed=seed, options=options)

    made = []
    settings = {"total_steps": 8, "rollout_length": 4, "vectorization": "local", "final_eval_episodes": 2}
    with pytest.warns(UserWarning, match="environment 0 raised in reset during evaluation"):
        run = a2c.train(Fragile, **quick | settings)
    assert "evaluation" not in run.summary
    assert run.summary["events"]["failed_evaluations"] == 2
    assert run.policy("best").act([0.0, 1.0, 0.0]) in (0, 1, 2)  # Kept though it was never evaluated.


class StandsStill(MatchTheCue):
    """Ends where an action is not the greedy policy's, so that only sampled episodes do."""

    def step(self, action):
        obs, reward, *_ = super().step(0)
        return obs, reward, bool(self.np_random.random() < 0.1) and not self.is_evaluated, False, {}

    is_evaluated = False


def test_an_evaluation_that_does_not_end_does_not_end_the_training(quick):
    made = []

    def make():
        env = StandsStill()
        made.append(env)
        env.is_evaluated = len(made) > quick["num_envs"]
        return env

    settings = {"vectorization": "local", "eval_every_steps": 128, "final_eval_episodes": "auto"}
    run = a2c.train(make, **quick | settings)
    assert run.summary["steps"] == 256
    assert run.summary["evaluation"]["unfinished"] == run.summary["evaluation"]["episodes"] >= 1
    assert [row["evaluation_unfinished"] for row in run.metrics() if "evaluation_return" in row] == [1.0, 1.0]
    again = run.evaluate(1, env=make)  # As much later: it is given up where training gave it up.
    assert (again.unfinished, again.lengths) == (1, [2000])


def test_a_limit_of_ones_own_cuts_episodes_off_everywhere(quick):
    settings = {
        "total_steps": 1024,
        "max_episode_steps": 7,
        "num_workers": 0,
        "eval_every_steps": 512,
        "final_eval_episodes": 3,
    }
    run = a2c.train("CartPole-v1", **quick | settings)
    assert run.summary["vectorization"] == "in this process"
    lengths = [row["episode_length"] for row in run.metrics() if "episode_length" in row]
    assert lengths == [pytest.approx(7.0)] * len(lengths) != []
    assert run.summary["evaluation"]["mean_length"] == run.evaluate(2).summary()["mean_length"] == 7.0


@pytest.mark.parametrize("layout", [{"vectorization": "local"}, {"num_workers": 1}, {"num_envs": 1}], ids=str)
def test_no_more_environments_are_alive_than_were_asked_for(quick, layout, tmp_path):
    class Counted(MatchTheCue):
        def __init__(self):
            super().__init__()
            self._mine = tempfile.NamedTemporaryFile(dir=alive)  # noqa: SIM115 - until it is closed
            with open(log, "a") as file:
                file.write(f"{len(os.listdir(alive))}\n")

        def close(self):
            self._mine.close()

    alive, log = tmp_path / "alive", tmp_path / "log"
    alive.mkdir()
    settings = (
        quick | {"eval_every_steps": 64, "eval_episodes": 3, "eval_num_envs": 1, "final_eval_episodes": 4} | layout
    )
    a2c.train(Counted, **settings)
    counts = [int(line) for line in log.read_text().split()]
    assert max(counts) == settings["num_envs"] + 1  # One for evaluations, made once.
    assert len(counts) == settings["num_envs"] + 1


def test_without_evaluations_no_environment_is_made_for_them(quick):
    made = []

    def make():
        made.append(1)
        return MatchTheCue()

    run = a2c.train(make, **quick | {"num_envs": 1, "vectorization": "local"})
    assert len(made) == 1
    assert "evaluation" not in run.summary


def test_environments_constructed_before_one_that_fails_are_closed():
    closed, made = [], []

    class Third(MatchTheCue):
        def __init__(self):
            super().__init__()
            made.append(self)
            if len(made) == 3:
                raise RuntimeError("no licence")

        def close(self):
            closed.append(self)

    with pytest.raises(a2c.EnvError, match="no licence"):
        a2c.make_envs(Third, 4, vectorization="local")
    assert closed == made[:2]


def test_every_layout_evaluates_to_the_same_bits(quick):
    settings = quick | {"eval_every_steps": 64, "eval_episodes": 5, "final_eval_episodes": 4, "num_envs": 3}
    runs = [a2c.train(MatchTheCue, **settings | layout) for layout in ({}, {"num_workers": 2}, {"isolate_envs": True})]
    numbers = [[row["evaluation_return"] for row in run.metrics() if "evaluation_return" in row] for run in runs]
    assert numbers[0] == numbers[1] == numbers[2] != []
    assert runs[0].summary["evaluation"] == runs[1].summary["evaluation"] == runs[2].summary["evaluation"]


def test_what_evaluations_took_and_when_the_best_was_the_best_is_in_the_summary(quick):
    run = a2c.train("CartPole-v1", **quick | {"eval_every_steps": 128, "final_eval_episodes": 2})
    summary = run.summary
    assert summary["eval_seconds"] > 0
    best = max((row["evaluation_return"], row["steps"]) for row in run.metrics() if "evaluation_return" in row)
    assert summary["best"] == {"steps": best[1], "evaluation_return": best[0]}


def test_there_is_no_policy_of_another_name(quick):
    with pytest.raises(
        a2c.UserError, match="which is 'worst'; it must be 'best', 'final', or steps after which the run"
    ):
        a2c.load(a2c.train("CartPole-v1", **quick), which="worst")


def test_a_bad_environment_leaves_no_run_folder(quick, tmp_path):
    with pytest.raises(a2c.UserError, match="unknown environment"):
        a2c.train("CartPole-v99", **quick)
    with pytest.raises(a2c.UserError, match="num_workers is 5; with 2 environments it must be at most 1"):
        a2c.train("CartPole-v1", **quick | {"num_workers": 5})
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("steps", "due"), [(64, False), (128, True), (192, False), (256, True)])
def test_periodic_work_is_due_when_a_multiple_was_passed(steps, due):
    assert is_due(100, steps, 64) is due
    assert not is_due(0, steps, 64)


class Indifferent(MatchTheCue):
    """Rewards the first action alone: the policy settles on it at once."""

    def step(self, action):
        obs, _, *others = super().step(action)
        return obs, float(action == 0), *others


def test_an_entropy_that_collapses_early_is_said_once(quick):
    settings = quick | {"total_steps": 8_000, "learning_rate": 0.05, "vectorization": "local", "log_every_steps": 100}
    with pytest.warns(UserWarning, match=r"the entropy is .* of at most 1\.1: the policy hardly explores") as said:
        run = a2c.train(Indifferent, **settings)
    assert len(said) == 1
    assert run.summary["events"] == {"entropy_collapses": 1}
    assert run.summary["exact"]
    # An entropy that falls late is what learning looks like.
    assert a2c.train(Indifferent, **settings | {"learning_rate": 1e-4}).summary["events"] == {}


def test_a_curve_has_the_rows_of_metrics_as_columns(quick):
    run = a2c.train("CartPole-v1", **quick)
    curve = run.curve()
    rows = run.metrics()
    assert next(iter(curve)) == "steps"
    assert set(curve) == {name for row in rows for name in row}
    for name, column in curve.items():
        assert column.dtype == np.float64
        np.testing.assert_array_equal(column, [row.get(name, np.nan) for row in rows])
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"steps": 9, "episode_return": null}\n')
    assert np.isnan(run.curve()["episode_return"][-1])
