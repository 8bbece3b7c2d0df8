"""Learning curves: which runs are one line, what labels say, and a picture in which nothing hides anything."""

import dataclasses
import json
import os
import subprocess
import sys

import imageio.v3 as imageio
import numpy as np
import pytest

from a2c.cli import main
from a2c.commands.plot import Window, _caption, _figure, draw, follow
from a2c.errors import UserError
from a2c.presets import configure, origins
from a2c.report.curves import NothingToDrawError, panels
from a2c.report.lines import Look
from a2c.report.statistics import interquartile_means
from a2c.run.folder import Run


@pytest.fixture
def made(tmp_path):
    """Makes the folder of a run with an evaluation after every 1,000 of some steps, without training it."""

    def make(env_id="CartPole-v1", preset="none", evaluations=(1.0, 2.0, 3.0), training=(), **settings):
        config = configure(env_id, preset, {"run_dir": str(tmp_path / "runs"), **settings})
        run = Run.create(config, origins(config, preset), False)
        rows = [{"steps": 1000 * (i + 1), "evaluation_return": value} for i, value in enumerate(evaluations)]
        rows += [{"steps": 500 * (i + 1), "episode_return": value} for i, value in enumerate(training)]
        (run.path / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        return run

    return make


def labels(*runs):
    return [[curve.label for curve in panel.curves] for panel in panels(runs)]


def test_seeds_of_one_setting_are_one_line_their_interquartile_mean_in_its_interval(made):
    runs = [made(seed=seed, evaluations=(float(seed), 10.0, 20.0 - seed)) for seed in range(5)]
    (panel,) = panels(runs)
    (curve,) = panel.curves
    assert (panel.title, curve.num_runs) == ("CartPole-v1, 5 seeds", 5)
    assert curve.evaluation.x.tolist() == [1000, 2000, 3000]
    assert curve.evaluation.middle.tolist() == [2, 10, 18]  # Of 1, 2, 3; not of 0 and 4.
    expected = interquartile_means(np.array([[seed, 10.0, 20.0 - seed] for seed in range(5)]))
    np.testing.assert_array_equal(curve.evaluation[1:], expected)
    assert 0 <= curve.evaluation.low[0] < 2 < curve.evaluation.high[0] <= 4


def test_runs_with_points_at_other_steps_are_met_on_their_straight_lines(made):
    coarse = made(seed=0, evaluations=(0.0, 10.0))  # at 1,000 and 2,000
    fine = made(seed=1, evaluations=())
    rows = [{"steps": steps, "evaluation_return": steps / 100} for steps in (500, 1000, 1500, 2000)]
    (fine.path / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    ((curve,),) = [panel.curves for panel in panels([coarse, fine])]
    assert curve.evaluation.x.tolist() == [500, 1000, 1500, 2000]
    assert curve.evaluation.middle.tolist() == [5, 5, 10, 15]  # At 500 there is one run alone.


def test_how_often_and_where_runs_were_trained_does_not_part_seeds(made):
    settings = [{"vectorization": "local"}, {"num_threads": 1}, {"log_every_steps": 5}, {"eval_every_steps": 77}]
    runs = [made(seed=seed, **setting) for seed, setting in enumerate(settings)]
    assert labels(*runs) == [["4 seeds"]]


def test_labels_say_what_differs_and_nothing_else(made):
    assert labels(made()) == [["seed 0"]]
    assert labels(made(), made(learning_rate=0.1)) == [["learning_rate 0.0007", "learning_rate 0.1"]]
    several = made(seed=1), made(seed=2), made(seed=1, gamma=0.5, hidden_sizes=(8, 8), normalize_returns=True)
    assert labels(*several) == [
        [
            "gamma 0.99, hidden_sizes 64-64, normalize_returns off (2 seeds)",
            "gamma 0.5, hidden_sizes 8-8, normalize_returns on (seed 1)",
        ]
    ]
    assert labels(made(total_steps=9), made(total_steps=1_000_000)) == [["total_steps 9", "total_steps 1,000,000"]]
    kwargs = made(env_kwargs={"goal": 1}), made(max_grad_norm=None)
    assert labels(*kwargs) == [["env_kwargs goal 1, max_grad_norm 0.5", "env_kwargs goal left out, max_grad_norm none"]]


def test_the_name_of_a_preset_stands_for_what_it_sets(made):
    assert labels(made(preset="none"), made(preset="auto"), made(preset="tutorial")) == [
        ["no preset", "preset CartPole-v1", "preset tutorial"]
    ]
    assert labels(made(preset="none"), made(preset="auto", gamma=0.5)) == [
        ["no preset, gamma 0.99", "preset CartPole-v1, gamma 0.5"]
    ]


def test_of_very_many_differences_those_are_named_that_are_enough(made):
    one = {"gamma": 0.5, "gae_lambda": 0.5, "value_coef": 0.1, "entropy_coef": 0.1, "rollout_length": 4, "num_envs": 1}
    (found,) = labels(made(), made(**one), made(**one | {"learning_rate": 1.0}))
    assert len(set(found)) == 3
    assert all(label.endswith("and 5 more") and len(label) <= 90 for label in found)


def test_environments_have_axes_of_their_own(made):
    drawn = panels([made("CartPole-v1"), made("Pendulum-v1"), made("CartPole-v1", seed=3)])
    assert [panel.title for panel in drawn] == ["CartPole-v1, 2 seeds", "Pendulum-v1, seed 0"]


def test_null_is_a_gap_of_that_run_alone(made):
    holes, whole = made(seed=0, evaluations=(1.0, None, 3.0, 4.0)), made(seed=1, evaluations=(5.0, 6.0, 7.0, 8.0))
    (alone,) = panels([holes])[0].curves
    np.testing.assert_array_equal(alone.evaluation.middle, [1, np.nan, 3, 4])
    (both,) = panels([holes, whole])[0].curves
    assert both.evaluation.middle.tolist() == [3, 6, 5, 6]
    (gaps,) = panels([made(seed=9, evaluations=(None, 1.0)), made(seed=8, evaluations=(None, 2.0))])[0].curves
    np.testing.assert_array_equal(gaps.evaluation.low, [np.nan, 1])


def test_a_run_that_ends_early_is_said(made):
    short, long = made(seed=0, evaluations=(1.0,)), made(seed=1)
    with pytest.warns(UserWarning, match=r"seed0 ends after 1,000 of 3,000 steps; from there on the curve shows only"):
        (curve,) = panels([short, long])[0].curves
    assert curve.evaluation.middle.tolist() == [1, 2, 3]


def test_a_run_without_anything_to_draw_is_left_out_and_alone_refused(made, tmp_path, capsys):
    empty, damaged, missing = made(evaluations=()), made(), made()
    (damaged.path / "metrics.jsonl").write_text("nonsense\nnonsense\n")
    (missing.path / "metrics.jsonl").unlink()
    for run, sentence in [(empty, "nothing to draw yet"), (damaged, "is not a row"), (missing, "is missing")]:
        assert main(["plot", str(run.path)]) == 2
        said = capsys.readouterr().err
        assert sentence in said
        assert said.count("\n") == 1
        with pytest.warns(UserWarning, match=f"left out of the picture: .*{sentence}"):
            assert len(panels([run, made(seed=5)])) == 1


def test_a_folder_of_runs_stands_for_its_runs_each_drawn_once(made, tmp_path, monkeypatch, capsys):
    runs = [made(seed=0), made(seed=1), made("Pendulum-v1")]
    monkeypatch.chdir(tmp_path)
    assert main(["plot", "runs", "runs/CartPole-v1", str(runs[0].path), "--to", "all.PNG"]) == 0
    assert capsys.readouterr().out == "all.PNG\n"
    assert imageio.imread("all.PNG").shape[1] > 1200  # two panels side by side
    assert main(["plot", "runs/CartPole-v1"]) == 0
    assert capsys.readouterr().out == "curves.png\n"
    os.mkdir("nothing")
    assert main(["plot", "nothing"]) == 2
    assert "it has no config.json, and no run is in it" in capsys.readouterr().err


def shown(runs):
    """The figure of some runs, laid out."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    drawn = panels(runs)
    figure = _figure(drawn, _caption(runs, drawn), Look())
    FigureCanvasAgg(figure).draw()
    return figure


def test_twelve_runs_are_told_apart_and_their_legend_hides_nothing(made):
    figure = shown([made(learning_rate=10.0**-i, evaluations=(float(i), 2.0 * i)) for i in range(12)])
    (place,) = figure.subfigs
    (axes,), (legend,) = place.axes, place.legends
    looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in axes.lines}
    assert len(axes.lines) == len(looks) == len(legend.get_texts()) == 12
    box = legend.get_window_extent()
    assert box.y1 <= axes.get_window_extent().y0
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
    assert axes.get_window_extent().height > 330  # pixels: 100 an inch


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_the_longest_labels_stay_inside_the_picture(made, count):
    runs = [
        made(env_kwargs={"name": f"{i}" * 200, f"a{i}": "x" * 99}, gamma=1 / (i + 1), gae_lambda=1 / (i + 2))
        for i in range(count)
    ]
    figure = shown(runs)
    for legend in figure.subfigs[0].legends:
        assert legend.get_window_extent().x0 >= 0
        assert legend.get_window_extent().x1 <= figure.bbox.x1
    assert figure.subfigs[0].axes[0].get_window_extent().height > 330


def test_steps_are_shown_in_thousands_and_millions(made):
    figure = shown([made()])
    ticks = [text.get_text() for text in figure.subfigs[0].axes[0].get_xticklabels()]
    assert any(tick.endswith("k") for tick in ticks)


def test_the_caption_says_what_is_drawn_and_nothing_else(made):
    def caption(*runs):
        return _caption(runs, panels(runs))

    assert caption(made()) == "lines: greedy evaluations"
    assert caption(made(training=(1.0,), eval_greedy=False)) == "lines: sampled evaluations; faint: training episodes"
    assert caption(made(evaluations=(), training=(1.0, 2.0))) == "faint: training episodes"
    assert caption(made(), made(seed=1)) == (
        "lines: greedy evaluations, interquartile means of runs; bands: their 95 % bootstrap intervals"
    )
    assert caption(made(), made(eval_greedy=False)) == "lines: evaluations"


def test_names_from_strangers_are_text_and_nothing_else(made, tmp_path):
    run = made("_$\\frac{" + "é" * 100)
    assert panels([run])[0].title.startswith("$\\frac{?")
    draw([run, made("_$\\frac{" + "é" * 100, gamma=0.1)], tmp_path / "x.png")


def test_numbers_that_no_axis_can_show_are_gaps(made, tmp_path):
    run = made(evaluations=(1.0, 1e308, -1e308, 2.0))
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"steps": 4000, "evaluation_return": Infinity}\n')
    draw([run], tmp_path / "x.svg")
    np.testing.assert_array_equal(panels([run])[0].curves[0].evaluation.middle, [1, np.nan, np.nan, np.nan])


@pytest.mark.parametrize("target", [".", "x", "x.abc", "nowhere/x.png"])
def test_a_target_that_cannot_be_gets_a_sentence(made, tmp_path, capsys, target):
    assert main(["plot", str(made().path), "--to", str(tmp_path / target)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("a2c: cannot ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("backend", "code", "said"),
    [("TkAgg", 0, ""), ("no such backend", 2, "a2c: Matplotlib cannot be used: ")],
)
def test_no_display_and_no_backend_is_needed(made, tmp_path, backend, code, said):
    rc = tmp_path / "matplotlibrc"
    rc.write_text("text.usetex: True\nfigure.dpi: 1000\n")  # A stranger's taste, which needs LaTeX.
    words = [sys.executable, "-m", "a2c", "plot", str(made().path), "--to", str(tmp_path / "x.png")]
    env = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    env |= {"MPLBACKEND": backend, "MATPLOTLIBRC": str(rc)}
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == (1 if code else 0)


def test_fields_that_are_added_to_the_settings_part_runs_unless_they_are_named_here():
    from a2c.config import Config
    from a2c.report.curves import _NO_SETTING

    assert {field.name for field in dataclasses.fields(Config)} >= _NO_SETTING


def with_rows(run, rows):
    (run.path / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return run


def test_seconds_are_those_that_updates_took(made):
    rows = [{"steps": 100, "steps_per_second": 50.0}, {"steps": 200, "steps_per_second": 25.0}]
    run = with_rows(made(), [*rows, *({"steps": s, "evaluation_return": s / 1.0} for s in (50, 100, 200))])
    (curve,) = panels([run], Look("seconds"))[0].curves
    assert curve.evaluation.x.tolist() == [1, 2, 6]  # 100 / 50, and 100 / 25 more.
    without = with_rows(made(), [{"steps": 50, "evaluation_return": 1.0}])
    with pytest.raises(UserError, match="its metrics hold no steps_per_second; draw it over steps"):
        panels([without], Look("seconds"))


def test_over_seconds_a_line_is_where_more_than_half_of_its_runs_are(made):
    runs = [
        with_rows(
            made(seed=seed),
            [
                row
                for s in (100, 1000)
                for row in ({"steps": s, "steps_per_second": speed}, {"steps": s, "evaluation_return": 1.0})
            ],
        )
        for seed, speed in enumerate((100.0, 50.0, 20.0))
    ]
    (curve,) = panels(runs, Look("seconds"))[0].curves
    assert curve.evaluation.x.tolist() == [2, 5, 10, 20]  # They are from 1 to 10, from 2 to 20 and from 5 to 50.


def test_a_smoothed_point_is_the_mean_of_the_last_ones_and_the_axis_says_so(made):
    run = made(evaluations=(1.0, 2.0, None, 6.0, 8.0))
    (curve,) = panels([run], Look(smooth=3))[0].curves
    assert curve.evaluation.middle.tolist() == [1, 1.5, 1.5, 4, 7]
    drawn = panels([run], Look(smooth=3))
    figure = _figure(drawn, "", Look("seconds", 3))
    (axes,) = figure.subfigs[0].axes
    assert axes.get_ylabel() == "return, mean of the last 3 points"
    assert axes.get_xlabel() == "seconds of training"


def test_groups_that_are_named_are_one_line_each(made, tmp_path, capsys):
    runs = [made(seed=seed, gamma=0.9 if seed < 2 else 0.5) for seed in range(4)]
    a, b, c, d = (str(run.path) for run in runs)
    assert main(["plot", a, c, "--", b, d, "--to", str(tmp_path / "x.svg"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["picture"] == str(tmp_path / "x.svg")
    assert [curve["label"] for curve in found["panels"][0]["curves"]] == ["A (2 seeds)", "B (2 seeds)"]
    assert found["panels"][0]["curves"][1]["runs"] == [b, d]
    assert found["panels"][0]["curves"][0]["evaluation"]["interquartile_mean"] == [1, 2, 3]
    assert main(["plot", a, b, "--", c, d, "--to", str(tmp_path / "x.svg"), "--json"]) == 0
    labels = [curve["label"] for curve in json.loads(capsys.readouterr().out)["panels"][0]["curves"]]
    assert labels == ["A, gamma 0.9 (2 seeds)", "B, gamma 0.5 (2 seeds)"]


def test_the_same_runs_give_the_same_svg(made, tmp_path):
    runs = [made(seed=seed) for seed in range(3)]
    first, second = (draw(runs, tmp_path / name).read_bytes() for name in ("1.svg", "2.svg"))
    assert first == second
    assert first.startswith(b"<?xml")


def test_a_run_is_followed_until_it_ends(made):
    run, seen = made(evaluations=()), []
    rows = [{"steps": 1000 * i, "evaluation_return": float(i)} for i in range(1, 4)]

    def read():
        if rows:
            with (run.path / "metrics.jsonl").open("a") as file:
                file.write(json.dumps(rows.pop(0)) + "\n")
        else:
            (run.path / "summary.json").write_text("{}")
        return {"": [run]}

    def show(groups):
        ((curve,),) = [panel.curves for panel in panels(groups)]
        seen.append(curve.evaluation.middle.tolist())
        return True

    follow(read, show, wait_seconds=0)
    assert seen == [[1], [1, 2], [1, 2, 3]]


def test_a_run_that_has_nothing_to_draw_yet_is_waited_for_and_refused_once_it_has_ended(made):
    run, calls = made(evaluations=()), []

    def read():
        calls.append(1)
        if len(calls) == 3:
            (run.path / "metrics.jsonl").write_text('{"steps": 1}\n')
            (run.path / "summary.json").write_text("{}")
        return {"": [run]}

    with pytest.raises(NothingToDrawError, match="nothing to draw yet"):
        follow(read, lambda groups: bool(panels(groups)), wait_seconds=0)
    assert len(calls) == 3


def test_following_ends_where_nobody_looks_on(made):
    follow(lambda: {"": [made()]}, lambda groups: False, wait_seconds=0)


def test_with_a_file_the_picture_is_drawn_again(made, tmp_path, capsys):
    run = made()
    (run.path / "summary.json").write_text("{}")
    assert main(["plot", str(run.path), "--follow", "--to", str(tmp_path / "x.png")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'x.png'}\n"
    assert imageio.imread(tmp_path / "x.png").shape[1] > 600


def test_a_window_shows_what_there_is_and_a_display_that_is_missing_is_said(made, monkeypatch, capsys):
    from matplotlib import pyplot
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    pyplot.switch_backend("agg")
    run = made()
    assert main(["plot", str(run.path), "--follow"]) == 2
    said = capsys.readouterr().err
    assert "there is no display to open a window on (Matplotlib draws with agg); use --to FILE" in said
    monkeypatch.setattr(FigureCanvasAgg, "required_interactive_framework", "headless")
    window = Window(Look())
    for count in (1, 2):
        groups = {"": [run, *([made(seed=1, gamma=0.5)] if count == 2 else [])]}
        assert window.show(groups)
        (figure,) = map(pyplot.figure, pyplot.get_fignums())
        figure.canvas.draw()
        assert len(figure.subfigs[0].axes[0].lines) == count
    pyplot.close(figure)
    assert not window.show({"": [run]})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--smooth 0", "smooth is 0; it must be from 1"),
        ("--follow --json", "--follow draws again and again, but --json prints one object; choose one of them"),
        ("--over hours", "over"),
        ("-- RUN", "is in two groups; a run must be in one"),
    ],
)
def test_what_cannot_be_drawn_so_gets_one_sentence(made, capsys, words, message):
    path = str(made().path)
    assert main(["plot", path, *(path if word == "RUN" else word for word in words.split())]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_seconds_are_shown_as_they_are(made):
    rows = [{"steps": 100 * i, "steps_per_second": 2000.0, "episode_return": float(i)} for i in range(1, 9)]
    figure = _figure(panels([with_rows(made(), rows)], Look("seconds")), "", Look("seconds"))
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure).draw()
    ticks = [text.get_text() for text in figure.subfigs[0].axes[0].get_xticklabels()]
    assert "0.1" in " ".join(ticks)
    assert not any(tick.endswith("m") for tick in ticks)
