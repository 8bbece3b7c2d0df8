"""The report: its numbers are the functions', whatever a folder lacks or holds it is written, and it runs nothing."""

import base64
import hashlib
import html
import json
import random
import re
import shlex
import shutil
import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
import scipy.stats

import a2c
from a2c.cli import main
from a2c.commands.report import read
from a2c.commands.train import Train
from a2c.errors import UserError
from a2c.evaluation import shown_returns
from a2c.presets import configure, origins
from a2c.report import axes, charts, contest, statistics
from a2c.report.comparison import compared
from a2c.report.document import to_html
from a2c.report.facts import facts_of
from a2c.report.settings import command_of, settings_table
from a2c.run.folder import Run
from faults.folders.copies import Copy
from faults.folders.json_values import config_changed, json_changed, metrics_changed

LIMIT = 300_000
"""Bytes of a page without its video."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that was trained, of a few updates."""
    return a2c.train(
        "CartPole-v1", preset="none", run_dir=str(tmp_path_factory.mktemp("runs")), total_steps=2_000, num_envs=2,
        hidden_sizes=(8,), eval_every_steps=500, eval_episodes=2, final_eval_episodes=20, learning_rate=0.01,
        log_every_steps=100,
    )  # fmt: skip


@pytest.fixture
def made(tmp_path):
    """Makes the folder of a run without training it: a finished one that reached something, unless told otherwise."""

    def make(score=100.0, env_id="CartPole-v1", preset="none", summary=None, rows=10, **settings):
        config = configure(env_id, preset, {"run_dir": str(tmp_path / "runs"), **settings})
        run = Run.create(config, origins(config, preset), False)
        lines = [
            {"steps": 100 * i, "episode_return": score * i / rows, "steps_per_second": 50.0} for i in range(1, rows + 1)
        ]
        lines += [{"steps": 100 * i, "evaluation_return": score * i / rows} for i in range(2, rows + 1, 2)]
        (run.path / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        ends = {"mean": score, "std": 1.0, "min": score, "max": score, "mean_length": 9.0, "episodes": 10}
        values = {"steps": config.total_steps, "stopped_by": None, "evaluation": ends, "final_evaluation": ends}
        values |= {"exact": True, "train_seconds": 20.0, "eval_seconds": 5.0}
        if summary is not False:
            (run.path / "summary.json").write_text(json.dumps(values | (summary or {})))
        return run

    return make


def page_of(*runs):
    return to_html(read({"": list(runs)}, "final", True)[0])


def points_of(page, number):
    """What the so-manieth chart with values on hover holds."""
    return json.loads(html.unescape(re.findall(r'data-points="([^"]*)"', page)[number]))


def test_the_figures_of_a_page_are_those_of_the_run(trained):
    page = page_of(trained)
    (mean,) = shown_returns([trained.summary["evaluation"]["mean"]])
    assert f"<h1>CartPole-v1: a return of {mean}</h1>" in page
    facts = facts_of(trained)
    estimate = statistics.estimate_of_mean(np.array(trained.episodes["best"]["returns"]))
    assert facts.best.mean == estimate
    assert "its true mean lies between {1} and {2} (95 %)".format(*shown_returns(estimate)) in page
    assert "Gymnasium calls this task solved at 475: it is not." in page
    training, evaluation = points_of(page, 0)["series"]
    curve = trained.curve()
    for series, name in ((training, "episode_return"), (evaluation, "evaluation_return")):
        there = ~np.isnan(curve[name])
        np.testing.assert_allclose(series["x"], curve["steps"][there], rtol=1e-4)
        np.testing.assert_allclose(series["y"], curve[name][there], rtol=1e-4)
    assert len(page.encode()) < LIMIT


def test_seconds_are_those_that_the_summary_counts(trained):
    _, evaluation = points_of(page_of(trained), 1)["series"]
    assert evaluation["x"][-1] == pytest.approx(trained.summary["train_seconds"], rel=1e-3)
    facts = facts_of(trained)
    parts = {name.replace("_", " "): seconds for name, seconds in trained.summary["seconds"].items()}
    assert "environments and acting" in parts  # in machine code, they take turns
    assert facts.seconds.items() >= parts.items()
    whole = trained.summary["train_seconds"] + trained.summary["eval_seconds"] + parts["saving"]
    assert sum(facts.seconds.values()) == pytest.approx(whole, rel=0.02)


def test_parts_of_the_time_are_shown_where_the_summary_has_them_and_nothing_is_counted_twice(made):
    parts = {"environments": 8.0, "acting": 4.0, "gradient": 3.0, "evaluation": 5.0, "saving": 1.0}
    facts = facts_of(made(summary={"seconds": parts}))
    assert facts.seconds == parts | {"the rest of the updates": 5.0}
    assert facts_of(made(summary={"seconds": {"environments": "long", "acting": -1}})).seconds == {
        "updates": 20.0, "evaluation": 5.0
    }  # fmt: skip


def test_the_histogram_holds_every_episode(trained):
    returns = np.array(trained.episodes["best"]["returns"])
    edges, counts = charts.bins(returns)
    assert counts.sum() == len(returns) == 20
    assert edges[0] <= returns.min() <= returns.max() < edges[-1]
    assert charts.bins(np.full(5, 500.0))[1].tolist() == [0, 5, 0]


def test_a_page_asks_for_nothing_and_allows_no_script_but_its_own(trained):
    page = page_of(trained)
    assert not re.findall(r'(?:src|href)="(?!data:)|url\(|@import|//[a-z]', page)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert (
        f"default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
        in page
    )


HOSTILE = "<script>alert(1)</script>\"'&{{7*7}}\N{RIGHT-TO-LEFT OVERRIDE}\x1b[2J\ud800"


def test_what_strangers_wrote_is_text(made):
    env_id = "<script>alert(1)</script>\"'&{{7*7}}"  # Others are refused.
    run = made(env_id=env_id, env_kwargs={HOSTILE: HOSTILE}, summary={"inexact_because": [HOSTILE], "exact": False})
    (run.path / "events.jsonl").write_text(json.dumps({"event": HOSTILE, "steps": 1, "details": HOSTILE}) + "\n")
    values = json.loads(run.config_path.read_text())
    values["origins"]["gamma"] = values["versions"]["numpy"] = HOSTILE
    run.config_path.write_text(json.dumps(values))
    for page in (page_of(run), page_of(run, made(env_id=env_id, seed=1))):
        assert page.count("<script>") == 1
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert "{{7*7}}" in page
        assert not set(page) & {"\N{RIGHT-TO-LEFT OVERRIDE}", "\x1b", "\ud800"}
        page.encode()


def test_nothing_is_made_or_imported_for_a_page(made, monkeypatch):
    monkeypatch.setattr(gymnasium, "make", None)
    run = made(env_id="module_that_no_run_may_import:Env-v0")
    assert "module_that_no_run_may_import:Env-v0" in page_of(run)
    assert "module_that_no_run_may_import" not in sys.modules


def test_other_verbs_begin_without_what_this_one_needs():
    names = "jinja2 a2c.report.document a2c.report.one_run a2c.report.several_runs matplotlib scipy.stats"
    code = f"import sys, a2c.cli; print([name for name in '{names}'.split() if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_a_run_that_was_killed_at_its_start_has_a_page(made, capsys):
    run = made(summary=False)
    (run.path / "metrics.jsonl").unlink()
    assert main(["report", str(run.path)]) == 0
    assert capsys.readouterr().out == f"{run.path / 'report.html'}\n"
    page = (run.path / "report.html").read_text()
    assert "0 of 500,000 steps so far; it is still training, or was killed" in page
    assert "there is no curve" in page
    assert "metrics.jsonl is missing" in page


@pytest.mark.parametrize(
    ("summary", "says"),
    [
        ({"steps": 1_000, "stopped_by": "SIGTERM"}, "was stopped by SIGTERM after 1,000 of 500,000 steps"),
        ({"evaluation": None, "final_evaluation": None}, "gave no finite return"),
        ({"evaluation": {"mean": None, "std": None, "min": None, "max": None, "episodes": 3}}, "gave no finite"),
        ({"evaluation": {"mean": float("nan")}, "final_evaluation": "x"}, "gave no finite return"),
        ({"exact": False, "inexact_because": ["rain"]}, "as an undisturbed run with these settings: rain."),
        ({"best": {"steps": 7}}, "best policy: after 7"),
    ],
)
def test_what_a_summary_says_or_lacks_is_said(made, summary, says):
    assert says in page_of(made(summary=summary))


def test_a_run_without_evaluations_is_told_by_its_training(made):
    run = made()
    rows = [row for row in run.metrics() if "episode_return" in row]
    (run.path / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (run.path / "summary.json").write_text(json.dumps({"steps": 500_000, "stopped_by": None}))
    page = page_of(run)
    assert "It was not evaluated at its end." in page
    assert "There was no evaluation during training." in page
    assert "During training, the mean return of episodes went from 10.0 to 100.0." in page


def test_gaps_and_numbers_that_no_axis_can_show_are_left_out(made):
    run = made()
    with (run.path / "metrics.jsonl").open("a") as file:
        for value in ("NaN", "null", "1e308", "Infinity", '"x"', "[]"):
            file.write(f'{{"steps": 2000, "evaluation_return": {value}, "episode_return": {value}}}\n')
    page = page_of(run)
    assert not re.findall(r'd="[^"]*(?:nan|inf)', page)
    assert points_of(page, 0)["y"] == [0, 100]


def test_damaged_files_are_named_and_the_rest_is_shown(made):
    run = made()
    (run.path / "evaluation.json").write_text("{")
    (run.path / "metrics.jsonl").write_text("x\ny\n")
    page = page_of(run)
    assert "<h1>CartPole-v1: a return of 100.0</h1>" in page
    assert "evaluation.json is not JSON" in page
    assert "line 1 is not a row of metrics" in page


def test_whatever_a_folder_holds_a_page_is_written_or_refused_in_a_sentence(trained, made, tmp_path):
    other = made(99.0, seed=5)
    for number in range(120):
        rng, place = random.Random(number), tmp_path / f"{number}"
        shutil.copytree(trained.path, place / "run", ignore=shutil.ignore_patterns("checkpoints", "policy"))
        copy = Copy(rng, place / "run", place)
        said = [rng.choice((config_changed, metrics_changed, json_changed, json_changed))(copy) for _ in range(2)]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                runs = [Run(place / "run"), *([] if number % 3 else [other])]
                page, found = read({"": runs}, "final", True)
                assert len(to_html(page).encode()) < LIMIT, said
                json.dumps(found)
            except UserError:
                pass
            except Exception as error:
                raise AssertionError(f"{number}: {said}") from error


@pytest.mark.parametrize(
    ("env_id", "preset", "chosen"),
    [
        ("CartPole-v1", "auto", {}),
        ("CartPole-v1", "auto", {"seed": 7, "gamma": 0.5, "hidden_sizes": (32, 16), "normalize_returns": False}),
        ("CartPole-v1", "tutorial", {"max_grad_norm": 0.5, "log": ()}),
        ("CartPole-v1", "none", {"env_kwargs": {"sutton_barto_reward": True}, "max_grad_norm": None}),
        ("Pendulum-v1", "none", {"activation": "relu", "adam_epsilon": 1e-9, "total_steps": 12_345}),
        ("Acrobot-v1", "auto", {"eval_greedy": False, "num_workers": 1, "stop_at_return": -80.0}),
    ],
)
def test_the_command_trains_with_the_same_settings_again(monkeypatch, env_id, preset, chosen):
    config = configure(env_id, preset, {"run_dir": "elsewhere", **chosen})
    command = command_of(config, origins(config, preset))
    asked = []
    monkeypatch.setattr(Train, "run", lambda self: asked.append((self.config, self.preset)) or 0)
    words = shlex.split(command)
    assert words[0] == "a2c"
    assert main(words[1:]) == 0
    assert asked[0][0].identity() == config.identity()
    assert asked[0][0].total_steps == config.total_steps
    assert "elsewhere" not in command


def test_a_run_on_a_callable_has_no_command(quick):
    run = a2c.train(lambda: gymnasium.make("CartPole-v1"), **quick)
    assert "the run was trained from Python" in page_of(run)


def test_settings_say_who_chose_them_and_what_they_would_be():
    config = configure("CartPole-v1", "auto", {"gamma": 0.5, "eval_every_steps": 100})
    differing, rest = settings_table(config, origins(config, "auto"))
    said = {one.name: one[1:] for one in differing}
    assert said["gamma"] == ("0.5", "chosen", "0.99")
    assert said["eval_every_steps"] == ("100", "chosen", "20,000")
    assert said["rollout_length"] == ("128", "preset CartPole-v1", "")
    assert differing[0].origin == "chosen"
    assert not {one.name for one in rest} & set(said)


def test_groups_are_compared_by_the_same_functions_as_a2c_compare(made, capsys, tmp_path):
    ours = [made(score, seed=seed) for seed, score in enumerate((10.0, 11.0, 12.0, 13.0, 14.0))]
    theirs = [made(score, seed=seed, gamma=0.5) for seed, score in enumerate((1.0, 2.0, 3.0, 4.0, 5.0))]
    expected = compared((ours, theirs))
    target = str(tmp_path / "x.html")
    for words in ([*ours, "--", *theirs], [*ours, *theirs]):
        paths = [word if word == "--" else str(word.path) for word in words]
        assert main(["report", *paths, "--to", target, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        (comparison,) = found["comparisons"]
        assert comparison["verdict"] == expected.verdict()
        assert comparison["leader"] == "A"
        assert comparison["groups"][0]["interquartile_mean"]["CartPole-v1"]["point"] == 12.0
        (against,) = comparison["against"]
        assert against["chance_of_as_much"] == expected.chance
        assert against["is_better"] is True
        page = (tmp_path / "x.html").read_text()
        assert html.escape(expected.verdict()) in page
        assert found["headline"] == "CartPole-v1: A (gamma 0.99) is better"
        assert "gamma" in page


def test_of_three_groups_chance_counts_every_pair_and_the_leader_is_named(made):
    runs = [
        made(10.0 * level + seed, seed=seed, learning_rate=rate)
        for level, rate in ((3, 0.1), (1, 0.2), (2.95, 0.3))
        for seed in range(6)
    ]
    page, found = read({"": runs}, "final", True)
    (comparison,) = found["comparisons"]
    assert comparison["leader"] == "A"
    pair = compared((runs[:6], runs[6:12]))
    first, second = comparison["against"]
    assert first["chance_of_as_much"] == pytest.approx(3 * pair.chance)
    assert first["is_better"] is True
    assert second["is_better"] is False
    assert comparison["verdict"].startswith(
        "Of 3 groups, A comes out highest: it is better than B (the largest probability that "
    )
    assert comparison["verdict"].endswith("; these runs do not show whether it is better than C.")
    assert "<th>is above</th>" in to_html(page)


def test_seeds_of_one_setting_are_one_group_with_its_interval(made):
    runs = [made(score, seed=seed) for seed, score in enumerate((1.0, 2.0, 3.0, 4.0, 50.0))]
    page = page_of(*runs)
    iqm = statistics.estimate_of_iqm(np.array([1.0, 2.0, 3.0, 4.0, 50.0]), np.random.default_rng(0))
    point, low, high = shown_returns(iqm)
    assert f"5 runs reach an interquartile mean of {point} (95 %: {low} to {high})" in page
    assert "a2c train CartPole-v1 --preset none --seed 0 --seeds 5" in page


def test_environments_have_sections_and_groups_of_their_own(made):
    runs = [made(seed=1), made(90.0, "Acrobot-v1"), made(80.0, "Acrobot-v1", gamma=0.5)]
    page, found = read({"": runs}, "final", True)
    assert [c["environments"] for c in found["comparisons"]] == [["CartPole-v1"], ["Acrobot-v1"]]
    assert page.headline == "3 settings on 2 environments"
    named = {"A": [runs[0]], "B": runs[1:]}
    with pytest.raises(UserError, match="not every group has a finished run on Acrobot-v1"):
        read(named, "final", True)


def test_runs_without_a_result_are_left_out_of_figures_and_named(made):
    runs = [made(1.0), made(2.0, seed=1), made(seed=2, summary=False), made(seed=3, summary={"final_evaluation": None})]
    page, found = read({"": runs}, "final", True)
    (group,) = found["comparisons"][0]["groups"]
    assert group["scores"] == {"CartPole-v1": [1.0, 2.0]}
    assert group["left_out"] == [str(run.path) for run in runs[2:]]
    assert "2 runs without a result are left out of the figures" in to_html(page)
    only = page_of(*runs[2:])
    assert "no run has ended with an evaluation yet" in only


def test_hundreds_of_runs_of_many_settings_make_a_page_of_the_same_size(made):
    runs = [made(float(i % 50), seed=i // 50, learning_rate=1 / (1 + i % 50), rows=300) for i in range(300)]
    page = page_of(*runs)
    assert len(page.encode()) < LIMIT
    assert "The charts show 8 of 50 groups, those with the highest IQM." in page
    assert "All 300 runs" in page


def test_many_environments_make_a_page_of_bounded_size(made):
    runs = [
        made(float(seed + group), f"E{number}-v0", seed=seed, gamma=0.9 + group / 100, rows=200)
        for number in range(12)
        for group in range(4)
        for seed in range(2)
    ]
    assert len(page_of(*runs).encode()) < LIMIT


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "report needs the folder of at least one run"),
        ("RUN --", "report got no run for B; it takes A... -- B..."),
        ("RUN -- RUN", "is in two groups; a run must be in one"),
        ("nowhere", "there is no run folder nowhere"),
        ("RUN --to .", "cannot write the report .: it is a folder"),
        ("RUN --to nowhere/x.html", "cannot write the report nowhere/x.html"),
    ],
)
def test_what_cannot_be_gets_one_sentence(made, capsys, words, message):
    path = str(made().path)
    assert main(["report", *(path if word == "RUN" else word for word in words.split())]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_a_video_is_in_the_file_unless_it_is_none_or_unwanted(made, tmp_path, capsys):
    run = made()
    (run.path / "video.gif").write_bytes(b"GIF89a" + bytes(100))
    assert 'src="data:image/gif;base64,R0lGODlh' in page_of(run)
    assert main(["report", str(run.path), "--no-video"]) == 0
    assert "data:image" not in (run.path / "report.html").read_text().partition("<body>")[2]
    (run.path / "video.gif").write_bytes(b"<svg onload=alert(1)>")
    assert "data:image/gif" not in page_of(run)
    (run.path / "video.gif").unlink()
    (run.path / "video.gif").symlink_to("/etc/passwd")
    assert "An episode<" not in page_of(run)


def test_the_same_folders_give_the_same_page(made):
    runs = [made(float(seed), seed=seed) for seed in range(3)]
    assert page_of(*runs) == page_of(*runs)
    assert page_of(runs[0]) == page_of(runs[0])


def test_interquartile_means_and_ranks_are_scipys():
    rng = np.random.default_rng(0)
    for n in range(1, 12):
        scores = rng.integers(0, 5, (3, n)).astype(float)
        expected = scipy.stats.trim_mean(scores, 0.25, axis=-1)
        np.testing.assert_allclose(statistics.interquartile_mean(scores), expected, rtol=1e-12)
        np.testing.assert_array_equal(statistics.mean_ranks(scores[0]), scipy.stats.rankdata(scores[0]))


@pytest.mark.parametrize("n", [1, 2, 4, 7, 10])
def test_the_band_of_a_curve_is_the_interval_of_runs_drawn_again(n):
    rng = np.random.default_rng(n)
    values = rng.normal(size=(n, 3))
    values[:, 1] = 0.1  # The same for all.
    point, low, high = statistics.interquartile_means(values)
    np.testing.assert_allclose(point, statistics.interquartile_mean(values.T), rtol=1e-12)
    drawn = statistics.interquartile_mean(values.T[:, rng.integers(0, n, (40_000, n))])
    expected = np.percentile(drawn, statistics.BOUNDS, axis=1)
    np.testing.assert_allclose([low, high], expected, atol=0.12)
    assert (low[1], high[1]) == (0.1, 0.1)


def test_runs_that_a_column_lacks_do_not_count_in_it():
    values = np.array([[1.0, np.nan, np.nan], [2.0, 4.0, np.nan], [3.0, 6.0, np.nan]])
    point, low, high = statistics.interquartile_means(values)
    np.testing.assert_array_equal(point, [2, 5, np.nan])
    assert low[1] == 4
    assert high[1] == 6


def test_a_score_profile_is_the_share_of_runs_above():
    share, low, high = statistics.score_profile(np.array([1.0, 2.0, 2.0, 5.0]), np.array([0.0, 1.0, 2.0, 5.0]))
    assert share.tolist() == [1, 0.75, 0.25, 0]
    assert (low <= share).all()
    assert (share <= high).all()
    assert (low[0], high[0], low[3], high[3]) == (1, 1, 0, 0)


def test_of_a_mean_the_interval_holds_it_about_as_often_as_it_says():
    rng = np.random.default_rng(2)
    held = sum(
        one.low <= 1 <= one.high for one in (statistics.estimate_of_mean(rng.normal(1, 1, 40)) for _ in range(200))
    )
    assert 175 <= held <= 199  # 190 expected.


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([0.0, 500.0], 0, 500), ([3.0, 487.0], 0, 500), ([-1282.0, -590.0], -1400, -400), ([5.0, 5.0], 4.4, 5.6),
        ([0.0], -1, 1), ([np.nan], 0, 1), ([1e-9, 3e-9], 1e-9, 3e-9), ([-1e150, 1e150], -1e150, 1e150),
    ],
)  # fmt: skip
def test_axes_are_round_and_hold_what_is_drawn(values, low, high):
    axis = axes.axis(np.array(values))
    assert axis.low <= low * (1 + 1e-9) + 1e-30 or axis.low == pytest.approx(low)
    assert axis.high == pytest.approx(high) or axis.high >= high
    assert 2 <= len(axis.ticks) <= 8
    texts = [tick.text for tick in axis.marks()]
    assert len(set(texts)) == len(texts)


def test_lines_are_where_their_values_are_and_gaps_are_gaps():
    series = charts.Series("a", np.array([0.0, 1, 2, 3, 4]), np.array([0.0, 50, np.nan, 100, 100]))
    chart = charts.line_chart("t", [series], "x", "y")
    assert chart.lines[0].d == "M0 1000L250 500M750 0L1000 0"
    assert chart.dots[0].d == "M0 1000h0M250 500h0M750 0h0M1000 0h0"
    banded = series._replace(low=series.y - 10, high=series.y + 10)
    (band,) = charts.line_chart("t", [banded], "x", "y").bands
    assert band.d.count("Z") == 2


def test_lines_are_told_apart_without_colour():
    series = [charts.Series(f"{i}", np.arange(3.0), np.arange(3.0), look=i) for i in range(16)]
    chart = charts.line_chart("t", series, "x", "y")
    assert len({line.dash for line in chart.lines[:8]}) == 8
    assert len({(line.color, line.dash) for line in chart.lines}) == 16


def test_a_contest_of_groups_without_scores_has_no_leader(made):
    group = contest.group_of("A", "", [made(summary=False)], "final")
    assert contest.contest_of([group], "final").leader is None
