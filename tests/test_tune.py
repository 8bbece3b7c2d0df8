"""`a2c tune`: trials are those of `a2c train`, studies survive crashes, results are compared fairly."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import optuna
import pytest

import a2c
from a2c.cli import main
from a2c.presets import configure, origins
from a2c.report.comparison import compared, percent
from a2c.run.folder import Run
from a2c.signals import StopSignals
from a2c.tuning.importance import importances
from a2c.tuning.search import Budget
from a2c.tuning.space import SHIPPED, read_space
from a2c.tuning.study import KILLED, Asked, Study, Trial, best_of
from a2c.tuning.trial import LOOKS, Look, looks
from a2c.tuning.unseen import Unseen

SMALL = "--preset none --hidden-sizes 8 --num-envs 2 --total-steps 256 --eval-episodes 1 --final-eval-episodes 2"
TUNE = f"tune CartPole-v1 {SMALL} --seeds 2 --confirm-seeds 1 --unseen-seeds 2"


def said(capsys):
    return json.loads(capsys.readouterr().out)


def ended(trials):
    """What an interruption must not change of trials."""
    names = ("settings", "value", "looks", "returns")
    return [[trial[name] for name in names] for trial in trials if trial["state"] in ("complete", "pruned")]


@pytest.fixture
def started(tmp_path):
    """Starts `a2c` in a process of its own."""
    processes = []

    def start(*words):
        command = [sys.executable, "-W", "error", "-m", "a2c", *words]
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def wait_for(count, study, process):
    """Until a study has so many trials that came to an end."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0]
        with contextlib.suppress(Exception):  # It is not there yet.
            if sum(trial.state.is_finished() for trial in loaded(study).get_trials(deepcopy=False)) >= count:
                return
        time.sleep(0.1)
    raise AssertionError("no trial ended")


def loaded(study):
    """As anybody may open it with Optuna, which makes a database where there is none."""
    assert (study / "study.db").exists()
    return optuna.load_study(study_name="study", storage=f"sqlite:///{study / 'study.db'}")


# Trials.


def test_a_trial_measures_what_training_with_its_settings_and_seeds_measures(quick):
    steps = {"total_steps": 256, "eval_every_steps": 64, "eval_episodes": 3, "final_eval_episodes": 5}
    settings = {**{name: value for name, value in quick.items() if name != "preset"}, **steps}
    config = configure("CartPole-v1", "none", {**settings, "seed": 9})
    with StopSignals() as stop:
        found = list(looks(config, (7, 8), 5, stop))
    assert [look.number for look in found] == [1, 2, 3, 4]
    for place, seed in enumerate((7, 8)):
        run = a2c.train("CartPole-v1", preset="none", **{**settings, "seed": seed})
        way = [row["evaluation_return"] for row in run.metrics() if "evaluation_return" in row]
        assert [look.returns[place] for look in found[:-1]] == way[:-1]
        assert found[-1].returns[place] == run.summary["final_evaluation"]["mean"]


def test_a_trial_counts_with_the_interquartile_mean_of_its_seeds():
    assert Look(LOOKS, 100, [0.0, 10.0, 20.0, 500.0]).score == 15.0


def test_a_trial_that_is_closed_trains_no_further(quick):
    config = configure("CartPole-v1", "none", {n: v for n, v in quick.items() if n != "preset"})
    with StopSignals() as stop:
        measured = looks(config, (0,), 1, stop)
        assert next(measured).steps == 64
        measured.close()
        assert list(measured) == []


# A study of one process.


def test_a_study_searches_compares_and_leaves_a_preset_that_trains_to_the_same_bits(tmp_path, capsys):
    study = tmp_path / "study"
    assert main([*TUNE.split(), "--trials", "6", "--study", str(study), "--json"]) == 0
    found = said(capsys)
    assert len(ended(found["trials"])) == 6
    assert found["trials"][0]["is_default"]
    best = max((trial for trial in found["trials"] if trial["value"] is not None), key=lambda trial: trial["value"])
    assert found["best"]["value"] == best["value"] >= found["default"]["value"]
    assert json.loads((study / "result.json").read_text()) == found
    assert {path.name for path in study.iterdir()} >= {"study.db", "study.json", "preset.toml", "importance.png"}
    assert list((study / "processes").iterdir()) == []
    if found["best"]["is_default"]:
        pytest.fail("the settings one had were the best; take a seed with which they are not")
    unseen = found["unseen"]
    assert unseen["seeds"] == [1000, 1001]
    used = {seed for trial in found["trials"] for seed in range(len(trial["returns"]))}
    assert not used & set(unseen["seeds"])
    runs = [sorted(Path(unseen["folders"][side]).glob("*/*")) for side in ("tuned", "default")]
    assert compared((list(map(Run, runs[0])), list(map(Run, runs[1])))).verdict()  # `a2c compare` takes them, too.
    again = a2c.train("CartPole-v1", preset=study / "preset.toml", seed=1000, run_dir=tmp_path / "again")
    (tuned,) = [run for run in map(Run, runs[0]) if run.config.seed == 1000]
    ours, theirs = again.policy("final"), tuned.policy("final")
    for name, array in ours.parameters.items():
        np.testing.assert_array_equal(array, theirs.parameters[name])


def test_the_same_command_again_goes_on_and_compares_existing_runs_without_training(tmp_path, capsys):
    words = [*TUNE.split(), "--study", str(tmp_path / "study"), "--json"]
    assert main([*words, "--trials", "2"]) == 0
    first = said(capsys)
    assert main([*words, "--trials", "4"]) == 0
    second = said(capsys)
    assert main([*words, "--trials", "4"]) == 0
    assert said(capsys) == second
    assert main([*TUNE.split(), "--study", str(tmp_path / "whole"), "--json", "--trials", "4"]) == 0
    assert ended(said(capsys)["trials"]) == ended(second["trials"])
    assert ended(first["trials"]) == ended(second["trials"])[:2]


def test_printed_lines_fit_a_terminal(tmp_path, capsys):
    assert main([*TUNE.split(), "--study", str(tmp_path / "s"), "--trials", "3"]) == 0
    out, err = capsys.readouterr()
    for line in (*out.splitlines(), *err.splitlines()):
        assert len(line) <= 80 or str(tmp_path) in line, line
    assert "3 trials, " in out
    assert f"a2c train CartPole-v1 --preset {tmp_path}/s/preset.toml\n" in out
    assert "searched: gamma, " in err


def test_what_the_command_line_names_is_not_searched_and_stays(tmp_path, capsys):
    named = "--gamma 0.99 --normalize-returns --no-normalize-observations --learning-rate 1e-3"
    assert main([*TUNE.split(), *named.split(), "--study", str(tmp_path / "s"), "--trials", "3", "--json"]) == 0
    searched = {name for trial in said(capsys)["trials"] for name in trial["settings"]}
    assert "gae_lambda" in searched
    assert not searched & {"gamma", "normalize_returns", "normalize_observations", "learning_rate"}


def test_minutes_end_a_search_that_has_no_other_end(tmp_path, capsys):
    assert main([*TUNE.split(), "--study", str(tmp_path / "s"), "--minutes", "0.02", "--json"]) == 0
    found = said(capsys)
    assert found["trials"][0]["state"] == "complete"  # However little time there was.


def test_time_is_reserved_for_the_runs_on_unseen_seeds():
    trial = Trial(0, True, {}, "complete", 1.0, [], [1.0, 2.0], 20.0, "")
    budget = Budget(None, begun=100.0, minutes=10.0, unseen_runs=12, jobs=2)
    assert budget.until([]) == 700.0
    assert budget.until([trial]) == 700.0 - 12 * 10 / 2
    assert budget._replace(unseen_runs=1000).until([trial]) == 400.0  # Half is for trials, whatever comes.
    assert budget._replace(minutes=None).until([trial]) is None


# What happens to studies.


def test_a_study_that_was_killed_goes_on_as_the_one_that_was_never_touched(started, tmp_path, capsys):
    words = [*TUNE.replace("--total-steps 256", "--total-steps 4000").split(), "--trials", "5", "--json"]
    assert main([*words, "--study", str(tmp_path / "whole"), "--unseen-seeds", "0"]) == 0
    whole = said(capsys)
    process = started(*words, "--study", "cut")
    wait_for(2, tmp_path / "cut", process)
    process.kill()
    process.communicate()
    assert main([*words, "--study", str(tmp_path / "cut"), "--unseen-seeds", "0"]) == 0
    cut = said(capsys)
    assert ended(cut["trials"]) == ended(whole["trials"])
    assert cut["best"]["settings"] == whole["best"]["settings"]


def test_two_processes_share_a_study_and_the_last_one_reports(started, tmp_path, capsys):
    words = [*TUNE.replace("--total-steps 256", "--total-steps 4000").split(), "--trials", "8", "--study"]
    process = started(*words, str(tmp_path / "s"))
    wait_for(1, tmp_path / "s", process)
    assert main([*words, str(tmp_path / "s")]) == 0
    out = capsys.readouterr()
    theirs, _ = process.communicate(timeout=120)
    assert process.returncode == 0, theirs
    reports = [text for text in (out.out + out.err, theirs) if "a2c train CartPole-v1 --preset" in text]
    assert len(reports) == 1
    assert f"other processes still make trials of {tmp_path / 's'}" in out.err + theirs
    found = json.loads((tmp_path / "s" / "result.json").read_text())
    assert len(ended(found["trials"])) == 8
    assert len({trial.user_attrs["process"] for trial in loaded(tmp_path / "s").trials}) == 2


def test_jobs_are_processes_of_one_study(tmp_path, capsys):
    words = [*TUNE.replace("--total-steps 256", "--total-steps 4000").split(), "--trials", "8", "--jobs", "2"]
    assert main([*words, "--study", str(tmp_path / "s"), "--json"]) == 0
    found = said(capsys)
    assert len(ended(found["trials"])) == 8
    assert len({trial.user_attrs["process"] for trial in loaded(tmp_path / "s").trials}) == 2
    assert found["unseen"] is None or len(found["unseen"]["tuned"]["scores"]) == 2


def test_whoever_opens_a_studys_database_finds_it_whole(tmp_path):
    asked = Asked(configure("CartPole-v1", "none", {}), {}, read_space(SHIPPED, "choices"), 1, 0, 1)
    found = []

    def open_it():
        while not (tmp_path / "s" / "study.db").exists():
            time.sleep(0.0001)
        found.append(loaded(tmp_path / "s").trials)

    reader = threading.Thread(target=open_it)
    reader.start()
    study = Study(tmp_path / "s", asked)
    reader.join()
    assert found == [[]]  # An error in the thread would be a warning of pytest's, which is an error.
    study.leave()
    (tmp_path / "s" / ".study.db-journal").write_text("of a process that was ended there")
    (tmp_path / "s" / "study.db").rename(tmp_path / "s" / ".study.db")
    study = Study(tmp_path / "s", asked)
    assert study.trials() == []
    assert not list((tmp_path / "s").glob(".study*"))
    study.leave()


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_signal_ends_a_study_with_its_results_and_how_to_go_on(started, tmp_path, jobs):
    words = [*TUNE.replace("--total-steps 256", "--total-steps 4000").split(), "--trials", "500", "--jobs", jobs]
    process = started(*words, "--study", "s")
    wait_for(2, tmp_path / "s", process)
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=120)
    assert process.returncode == 130, text
    assert "stopped by SIGINT; the same command continues" in text
    assert "best so far: " in text
    assert a2c.Config("CartPole-v1", **_settings(tmp_path / "s" / "preset.toml")).total_steps == 4_000
    assert list((tmp_path / "s" / "processes").iterdir()) == []


def _settings(path):
    from a2c.preset_files import read_preset

    return read_preset(str(path)).settings


@pytest.mark.skipif(os.name != "posix", reason="processes are told apart by locks on files")
def test_processes_that_make_trials_end_with_the_one_that_started_them(started, tmp_path):
    words = [*TUNE.replace("--total-steps 256", "--total-steps 4000").split(), "--trials", "500", "--jobs", "2"]
    process = started(*words, "--study", "s")
    wait_for(2, tmp_path / "s", process)
    names = [int(path.name.partition("-")[0]) for path in (tmp_path / "s" / "processes").iterdir()]
    assert len(names) == 2
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{name}/cmdline").exists() for name in names if name != process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.communicate()


def test_settings_with_which_numbers_diverge_are_no_end(tmp_path, capsys):
    space = tmp_path / "wild.toml"
    space.write_text('[[setting]]\nname = "learning_rate"\nlow = 1e20\nhigh = 1e30\nscale = "log"')
    words = [*TUNE.replace("CartPole-v1", "Pendulum-v1").split(), "--space", str(space), "--trials", "3"]
    assert main([*words, "--study", str(tmp_path / "s"), "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert [trial["state"] for trial in found["trials"]] == ["complete", "pruned", "pruned"]
    assert "training diverged" in found["trials"][1]["why"]
    assert found["verdict"].startswith("No trial was better than the settings you had")
    assert "no end: training diverged" in err


def test_settings_that_do_not_go_together_are_no_end(tmp_path, capsys):
    space = tmp_path / "odd.toml"
    space.write_text('[[setting]]\nname = "memory_size"\nchoices = [0, 16]')
    words = [*TUNE.split(), "--actor-step", "natural", "--space", str(space), "--trials", "6"]
    assert main([*words, "--study", str(tmp_path / "s"), "--json"]) == 0
    reasons = [trial["why"] for trial in said(capsys)["trials"] if trial["settings"] == {"memory_size": 16}]
    assert reasons
    assert all("actor_step is 'natural'" in reason for reason in reasons)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_environment_that_raises_ends_the_study_with_that_error(tmp_path, capsys, jobs, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    words = [*TUNE.replace("CartPole-v1", "faulty:Faulty-v0").split(), "--jobs", jobs]
    assert main([*words, "--study", str(tmp_path / "s")]) == 1
    assert "RuntimeError: the step went wrong" in capsys.readouterr().err
    assert main([*words, "--study", str(tmp_path / "s")]) == 1  # And again, as long as it does.
    assert list((tmp_path / "s" / "processes").iterdir()) == []


def test_an_environment_that_gives_nan_or_hangs_ends_the_study(tmp_path, capsys):
    words = TUNE.replace("CartPole-v1", "faulty:Faulty-v0").split()
    kwargs = {"phase": "reward"}, {"phase": "step", "how": "hang"}
    for number, (one, text) in enumerate(zip(kwargs, ("gave a reward of nan", "did not come back"), strict=True)):
        flags = ["--env-kwargs", json.dumps(one), "--env-timeout-seconds", "1", "--study", str(tmp_path / str(number))]
        assert main([*words, *flags]) == 1
        assert text in capsys.readouterr().err


# What a study is of.


@pytest.fixture(scope="module")
def done_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("done") / "s"
    assert main([*TUNE.split(), "--study", str(folder), "--trials", "1"]) == 0
    return folder


@pytest.fixture
def done(done_once, tmp_path):
    """A study of one trial that came to its end."""
    return shutil.copytree(done_once, tmp_path / "s")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("tune Acrobot-v1", "holds a study of CartPole-v1, not Acrobot-v1; choose another folder with --study"),
        ("--gae-lambda 0.9", "holds a study with gae_lambda 0.95, not 0.9;"),
        ("--total-steps 512", "holds a study with total_steps 256, not 512;"),
        ("--seeds 3", "holds a study with 2 seeds a trial, not 3;"),
        ("--confirm-seeds 0", "holds a study with 1 confirm_seeds, not 0;"),
        ("--seed 1", "holds a study with seed 0, not 1;"),
        ("--gamma 0.99", "holds a study that searches another space;"),
        ("--final-eval-episodes 3", "holds a study with final_eval_episodes 2, not 3;"),
    ],
)
def test_a_study_of_something_else_is_refused(done, capsys, words, message):
    study = ["--study", str(done), "--trials", "1"]
    base = TUNE if not words.startswith("tune") else words + TUNE.removeprefix("tune CartPole-v1")
    added = [] if words.startswith("tune") else words.split()
    assert main([*base.split(), *added, *study]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.strip().count("\n") == 0


@pytest.mark.parametrize("what", ["file", "others", "damaged", "database"])
def test_a_folder_that_is_no_study_is_refused_and_left_as_it_was(done, tmp_path, capsys, what):
    study = done if what in ("damaged", "database") else tmp_path / "mine"
    words = [*TUNE.split(), "--study", str(study), "--trials", "1"]
    if what == "file":
        study.write_text("mine")
    elif what == "others":
        study.mkdir()
        (study / "letter.txt").write_text("mine")
    else:
        (study / {"damaged": "study.json", "database": "study.db"}[what]).write_text("mine")
    assert main(words) == 2
    err = capsys.readouterr().err
    assert str(study) in err
    assert err.strip().count("\n") == 0
    mine = {"file": study, "others": study / "letter.txt", "damaged": study / "study.json"}.get(
        what, study / "study.db"
    )
    assert mine.read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--seeds 0", "seeds is 0; it must be from 1 to 1,000"),
        ("--seeds 900 --confirm-seeds 200", "together they must be at most 1,000"),
        ("--jobs 0", "jobs is 0; it must be from 1 to 1,000"),
        ("--trials 0", "trials is 0; it must be from 1 to 1,000,000"),
        ("--minutes -1", "minutes is -1; it must be above 0"),
        ("--unseen-seeds -1", "unseen_seeds is -1; it must be from 0 to 1,000"),
        ("--stop-at-return 5", "stop_at_return would give runs different lengths"),
        ("--space nowhere.toml", "nowhere.toml is missing"),
        ("--preset nowhere.toml", "nowhere.toml is missing"),
        ("--natural-kl 0.1", "natural_kl is 0.1, which has no effect where actor_step is 'gradient'"),
        ("--n-envs 4", "there is no --n-envs; here it is --num-envs"),
    ],
)
def test_what_cannot_be_gets_one_sentence_and_leaves_nothing(tmp_path, capsys, words, message):
    assert main([*TUNE.split(), "--study", str(tmp_path / "s"), *words.split()]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.strip().count("\n") == 0
    assert not (tmp_path / "s").exists()


def test_nothing_left_to_search_is_a_sentence(tmp_path, capsys):
    space = tmp_path / "one.toml"
    space.write_text('[[setting]]\nname = "gamma"\nlow = 0.9\nhigh = 0.99')
    words = [*TUNE.split(), "--space", str(space), "--gamma", "0.9", "--study", str(tmp_path / "s")]
    assert main(words) == 2
    assert "nothing is left to search: of gamma, the command line names all that apply here" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["optuna", "tomli_w"])
def test_tuning_without_optuna_is_refused_in_a_sentence(tmp_path, capsys, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    assert main([*TUNE.split(), "--study", str(tmp_path / "s")]) == 2
    assert f"tuning needs {name}; pip install 'a2c[tune]'" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


# Trials, chosen among and accounted for.


def trial_of(number, value, **more):
    return Trial(
        number, number == 0, {}, "complete" if value is not None else "pruned", value, [], [], 1.0, ""
    )._replace(**more)


def test_the_default_is_only_left_for_better():
    assert best_of([trial_of(1, 5.0), trial_of(0, 5.0), trial_of(2, 4.0), trial_of(3, None)]).number == 0
    assert best_of([trial_of(0, 5.0), trial_of(2, 6.0), trial_of(1, 6.0)]).number == 1
    assert best_of([trial_of(1, None)]) is None


def test_settings_that_end_their_process_are_tried_three_times(tmp_path, quick):
    config = configure("CartPole-v1", "none", {n: v for n, v in quick.items() if n != "preset"})
    asked = Asked(config, origins(config, "none"), read_space(SHIPPED, "choices"), 1, 0, 1)
    study = Study(tmp_path / "s", asked)
    default, _ = study.next_trial(None)
    study.end(default, 1.0, 1.0)
    tried = []
    for _ in range(4):
        trial, settings = study.next_trial(None)
        tried.append(settings)
        study.cut_short(trial, KILLED)
    assert tried[0] == tried[1] == tried[2] != tried[3]
    states = [trial.state for trial in study.trials()]
    assert states.count("pruned") == 1  # They count as bad, or they would be what is tried next.
    for _ in range(3):
        trial, settings = study.next_trial(None)
        assert settings == tried[3]
        study.cut_short(trial, "the time was up")  # Which is no fault of theirs.
    assert [trial.state for trial in study.trials()].count("pruned") == 1
    study.leave()


def test_what_decides_is_called_important_and_trials_that_were_given_up_count():
    known = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(0))
    for number in range(40):
        trial = known.ask()
        decides, trial_noise = trial.suggest_float("decides", 0, 1), trial.suggest_float("noise", 0, 1)
        assert 0 <= trial_noise <= 1
        trial.report(decides, 1)
        state = optuna.trial.TrialState.PRUNED if decides < 0.5 else optuna.trial.TrialState.COMPLETE
        known.tell(trial, None if decides < 0.5 else decides, state=state)
        if number == 5:
            assert importances(SimpleNamespace(optuna_study=known)) == {}  # Too few to tell.
    found = importances(SimpleNamespace(optuna_study=known))
    assert list(found) == ["decides", "noise"]
    assert found["decides"] > 0.8
    assert sum(found.values()) == pytest.approx(1)


@pytest.fixture
def runs(tmp_path):
    """Folders of finished runs that reached something, without training."""

    def make(scores):
        made = []
        for score in scores:
            config = configure("CartPole-v1", "none", {"run_dir": str(tmp_path / "runs")})
            run = Run.create(config, origins(config, "none"), False)
            ends = {"mean": score}
            summary = {"steps": config.total_steps, "stopped_by": None, "final_evaluation": ends}
            (run.path / "summary.json").write_text(json.dumps(summary))
            made.append(run)
        return made

    return make


@pytest.mark.parametrize(
    ("ours", "theirs", "begins"),
    [
        ([11, 12, 13, 14, 15], [1, 2, 3, 4, 5], "The tuned settings are better: the interquartile mean rises by 10 ("),
        ([1, 2, 3, 4, 5], [11, 12, 13, 14, 15], "The tuned settings are worse than those you had: the interquartile"),
        ([1, 2, 3, 4, 5], [1, 3, 2, 4, 5], "No improvement is shown: "),
        ([11, 12], [1, 2], "These seeds are too few to tell: "),
    ],
)
def test_the_verdict_says_what_was_shown_and_no_more(runs, ours, theirs, begins):
    unseen = Unseen(range(1000, 1005), (Path("a"), Path("b")), compared((runs(ours), runs(theirs))), "")
    assert unseen.verdict().startswith(begins)
    assert "on seeds 1000 to 1004, which nothing was chosen on" in unseen.verdict()


def test_the_verdict_writes_a_chance_as_compare_does(runs):
    """Of two groups alike, chance is near 1; it was once printed as 1e+02 %."""
    found = compared((runs([1, 4, 5, 8]), runs([2, 3, 6, 7])))
    assert found.chance > 0.995
    unseen = Unseen(range(1000, 1004), (Path("a"), Path("b")), found, "")
    said = f"in {percent(found.chance)} of cases."
    assert unseen.verdict().endswith(said)
    assert found.verdict().endswith(said)


def test_tuning_is_imported_by_its_verb_alone():
    script = "import sys, a2c.cli; print([name for name in sys.modules if name.partition('.')[0] in "
    done = subprocess.run(
        [sys.executable, "-c", script + "('optuna', 'sqlalchemy', 'tomli_w', 'matplotlib', 'scipy')])"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
