"""`log_info`: numbers from infos, as means over episodes, whatever steps the environments."""

import signal

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import a2c
from a2c.cli import main
from a2c.envs.notes import MISSING, NO_NUMBER, info_of_one, number_in
from a2c.errors import UserError
from a2c.randomness import episode_seed
from a2c.signals import StopSignals

LENGTH = 5


class Informer(gymnasium.Env):
    """Episodes of five steps, of which every second succeeds, by its seed."""

    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seed_given, self.steps = seed or 0, 0
        return self.observe(), {"success": 7.0}

    def observe(self):
        return self.np_random.uniform(-1, 1, 2).astype(np.float32)

    def step(self, action):
        self.steps += 1
        ended = self.steps == LENGTH
        info = {"energy": 0.5 * self.steps, "costs": {"fuel": np.array([self.steps % 3], np.float32)}}
        if ended:
            info["success"] = self.seed_given % 2 == 0
        return self.observe(), 1.0, ended and self.seed_given % 3 == 0, ended and self.seed_given % 3 != 0, info


class Odd(Informer):
    """The number is missing, none, or not finite, in turn; `sometimes` is there now and then."""

    episodes = 0

    def step(self, action):
        obs, reward, terminated, truncated, info = super().step(action)
        if terminated or truncated:
            self.episodes += 1
            info |= {"text": "fast", "nan": float("nan"), "infinite": float("inf"), "array": np.zeros(2), "none": None}
            info |= {"object": object(), "huge": 10**400}
            if self.episodes % 2:
                info["sometimes"] = 3
        return obs, reward, terminated, truncated, info


def settings(quick, **others):
    return quick | {
        "total_steps": 400, "rollout_length": 5, "log_every_steps": 10, "log_info": ("success", "energy", "costs.fuel"),
    } | others  # fmt: skip


def rows(run):
    return [{name: value for name, value in row.items() if name != "steps_per_second"} for row in run.metrics()]


def test_a_row_has_the_means_over_the_episodes_that_ended(quick):
    run = a2c.train(Informer, **settings(quick))
    found = run.metrics()
    assert len(found) == 40
    for k, row in enumerate(found):  # Each of two environments ends one in every update.
        successes = [episode_seed(0, i, k) % 2 == 0 for i in range(2)]
        assert (row["info/success"], row["info/energy"], row["info/costs.fuel"]) == (np.mean(successes), 2.5, 2.0)
    assert {row["info/success"] for row in found} == {0.0, 0.5, 1.0}


@pytest.mark.parametrize(
    "layout",
    [{"vectorization": "workers", "num_workers": 1}, {"isolate_envs": True, "num_workers": 2}],
    ids=["a worker", "all in workers"],
)
def test_workers_bring_the_same(quick, layout):
    config = settings(quick, log_every_steps=30, env_timeout_seconds=30.0)
    here = a2c.train(Informer, **config, vectorization="local")
    assert rows(a2c.train(Informer, **config, **layout)) == rows(here)


@pytest.mark.parametrize("calls", [2, 7, 12])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_that_was_stopped_goes_on_to_the_same_rows(quick, monkeypatch, calls, workers):
    monkeypatch.setattr("a2c.training.pass_on", lambda number, saved_in: None)
    config = settings(quick, log_every_steps=70, rollout_length=3, vectorization="local")
    whole = a2c.train(Informer, **config)
    asked = []

    def check(self, original=StopSignals.check):
        asked.append(1)
        if len(asked) == calls:
            self.received = signal.SIGTERM
        original(self)

    with monkeypatch.context() as patch:
        patch.setattr(StopSignals, "check", check)
        run = a2c.train(Informer, **config)
    layout = {"vectorization": "workers", "num_workers": 1} if workers else {}
    resumed = a2c.resume(run, env=Informer, **layout)
    assert rows(resumed) == rows(whole)
    assert resumed.summary["exact"] is True
    with pytest.raises(UserError, match="log_info decides results and cannot change within a run"):
        a2c.resume(run, env=Informer, log_info=("energy",))


def test_it_changes_nothing_else(quick):
    config = settings(quick, vectorization="local")
    runs = [a2c.train(Informer, **config | {"log_info": names}) for names in ((), config["log_info"])]
    plain = [[{k: v for k, v in row.items() if not k.startswith("info/")} for row in rows(run)] for run in runs]
    assert plain[0] == plain[1]
    (first, second) = (run.policy("final").parameters for run in runs)
    assert all((first[name] == second[name]).all() for name in first)
    assert (
        runs[0].config.identity()
        == a2c.Config.from_json({k: v for k, v in runs[0].config.to_json().items() if k != "log_info"}).identity()
    )


def test_evaluations_have_them_too(quick, capsys):
    run = a2c.train(
        Informer, **settings(quick, eval_every_steps=200, eval_episodes=4, final_eval_episodes=6, eval_num_envs=2)
    )
    row = next(row for row in run.metrics() if "evaluation_return" in row)
    assert row["evaluation_info/energy"] == 2.5
    assert 0 <= row["evaluation_info/success"] <= 1
    assert run.summary["evaluation"]["info"]["costs.fuel"] == 2.0
    evaluation = run.evaluate(episodes=7, env=Informer)
    assert evaluation.info["energy"] == 2.5
    assert evaluation.info["success"] * 7 == pytest.approx(round(evaluation.info["success"] * 7))
    assert main(["evaluate", str(run.path), "--env", "test_log_info:Informer", "--episodes", "2"]) == 0
    assert ", energy 2.5, costs.fuel 2 of 5 steps on average" in capsys.readouterr().out


ODD = ("missing", "text", "nan", "infinite", "array", "none", "object", "huge", "energy.deeper", "sometimes")


@pytest.mark.parametrize("layout", [{"vectorization": "local"}, {"vectorization": "workers", "num_workers": 1}])
def test_an_info_that_is_not_a_number_is_left_out_with_one_warning(quick, layout):
    with pytest.warns(UserWarning, match="log_info") as said:
        run = a2c.train(Odd, **settings(quick, log_info=ODD, env_timeout_seconds=30.0), **layout)
    sentences = [str(one.message) for one in said]
    for name in ODD:
        what = (
            f"the info of an episode's last step has no '{name}'"
            if name in ("missing", "energy.deeper", "sometimes")
            else f"the '{name}' (log_info) in the info of an episode's last step is not a finite number"
        )
        assert len([one for one in sentences if one.startswith(what)]) == 1
    assert len(sentences) == len(ODD)
    assert {name for row in run.metrics() for name in row if name.startswith("info/")} == {"info/sometimes"}
    assert {row.get("info/sometimes") for row in run.metrics()} == {3.0, None}
    assert run.events.count()["info_left_out"] == len(ODD)


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.DISABLED])
def test_somebody_elses_vector_environment_brings_them_too(quick, mode):
    def make(num_envs):
        return SyncVectorEnv([Informer] * num_envs, autoreset_mode=mode)

    run = a2c.train(make, **settings(quick, vectorization="vector"))
    found = run.metrics()
    assert {row["info/energy"] for row in found} == {2.5}
    assert {row["info/costs.fuel"] for row in found} == {2.0}
    assert {row["info/success"] for row in found} <= {0.0, 0.5, 1.0}


def test_infos_of_vector_environments_know_who_has_one():
    infos = {"a": np.array([1.0, 2.0]), "_a": np.array([False, True]), "b": {"c": np.array([3, 4])}, "d": 5}
    assert info_of_one(infos, 0) == {"b": {"c": 3}}
    assert info_of_one(infos, 1) == {"a": 2.0, "b": {"c": 4}}
    assert info_of_one(None, 0) == {}


@pytest.mark.parametrize(
    ("info", "number"),
    [
        ({"x": True}, 1.0),
        ({"x": np.bool_(False)}, 0.0),
        ({"x": np.float32(0.5)}, 0.5),
        ({"x": [[3]]}, 3.0),
        ({"x.y": 2, "x": {"y": 1}}, MISSING),
        ({"x": {"y": 1}}, NO_NUMBER),
        ({"x": [1, 2]}, NO_NUMBER),
        ({"x": [[1], [1, 2]]}, NO_NUMBER),
        ({}, MISSING),
    ],
)
def test_what_counts_as_a_number(info, number):
    assert number_in(info, "x") == number or (number == MISSING and "x" in info)
    assert number_in({"x.y": 2, "x": {"y": 1}}, "x.y") == 2.0


def test_an_environment_with_a_compiled_form_is_stepped_itself(quick):
    with pytest.warns(UserWarning, match="the info of an episode's last step has no 'success'"):
        run = a2c.train("CartPole-v1", **settings(quick, log_info=("success",)))
    assert run.summary["vectorization"] == "in this process"
    with pytest.raises(
        UserError, match=r"log_info is \('success',\); leave it out, as the compiled form of CartPole-v1"
    ):
        a2c.train("CartPole-v1", **settings(quick, log_info=("success",), vectorization="compiled"))


@pytest.mark.parametrize("names", [("",), ("a", "a"), ("x\n",), ("x" * 101,)])
def test_names_that_cannot_be_are_refused(quick, names):
    with pytest.raises(UserError, match=r"log_info is .*; it must be names of at most 100 characters"):
        a2c.train(Informer, **settings(quick, log_info=names))


def test_they_are_named_on_the_command_line_with_commas(quick, capsys):
    words = ["--total-steps", "200", "--num-envs", "2", "--rollout-length", "5", "--eval-every-steps", "0"]
    words += ["--final-eval-episodes", "2", "--no-pictures", "--run-dir", quick["run_dir"], "--preset", "none"]
    assert main(["train", "test_log_info:Informer", "--log-info", "success,energy", *words]) == 0
    assert ", energy 2.5" in capsys.readouterr().out
