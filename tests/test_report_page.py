"""The report in headless Chromium: it complains of nothing, asks for nothing, nothing overlaps, and all can be read."""

import json

import numpy as np
import pytest

import a2c
from a2c.commands.report import read, write
from a2c.presets import configure, origins
from a2c.run.folder import Run
from benchmarks.browser import LEAST_CONTRAST, SCHEMES, WIDTHS, opened


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Pages by name: of a run that was trained, of several groups, and of a folder with hardly anything in it."""
    folder = tmp_path_factory.mktemp("pages")
    shared = {"preset": "none", "run_dir": str(folder), "num_envs": 2, "hidden_sizes": (8,), "eval_episodes": 2}
    shared |= {"total_steps": 2_000, "eval_every_steps": 500, "log_every_steps": 50, "final_eval_episodes": 10}
    one = a2c.train("Pendulum-v1", **shared)
    (one.path / "events.jsonl").write_text(
        json.dumps({"time": "2026-11-27T10:00:00", "steps": 5, "event": "resumes", "details": "a_long_word" * 30})
        + "\n"
    )
    several = [
        a2c.train("CartPole-v1", seed=seed, learning_rate=rate, **shared) for rate in (0.01, 0.001) for seed in (0, 1)
    ]
    many = [fake(folder, i) for i in range(24)]
    bare = fake(folder, 99)
    (bare.path / "summary.json").unlink()
    (bare.path / "metrics.jsonl").unlink()
    groups = {"one": [one], "several": several, "many": many, "bare": [bare]}
    return {name: write(read({"": runs}, "final", True)[0], folder / f"{name}.html") for name, runs in groups.items()}


def fake(folder, number):
    """A run with awkward numbers and names, that was not trained."""
    env_id = f"<b>Env{'x' * 60}</b>-v{number % 2}"
    config = configure(
        env_id, "none", {"run_dir": str(folder), "seed": number // 12, "gamma": 1 - 0.01 * (number % 12)}
    )
    run = Run.create(config, origins(config, "none"), False)
    rng = np.random.default_rng(number)
    rows = [
        {"steps": 12_345 * i, "evaluation_return": float(rng.normal(-1e6, 1e5)), "steps_per_second": 1e5}
        for i in range(1, 80)
    ]
    (run.path / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    ends = {"mean": rows[-1]["evaluation_return"], "std": 1e5, "min": -2e6, "max": -1e4, "episodes": 7}
    summary = {"steps": config.total_steps, "stopped_by": None, "evaluation": ends, "final_evaluation": ends}
    (run.path / "summary.json").write_text(json.dumps(summary))
    return run


@pytest.mark.parametrize("name", ["one", "several", "many", "bare"])
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_a_page_is_whole(browser, pages, name, scheme, width):
    with opened(browser, pages[name], width, scheme) as look:
        assert look.complaints == []
        assert look.requests == []
        assert look.faults() == []


def test_a_narrow_phone_shows_all_of_it(browser, pages):
    with opened(browser, pages["one"], 320, "light") as look:
        assert look.faults() == []


def test_what_is_looked_for_would_be_found(browser, tmp_path):
    page = tmp_path / "bad.html"
    page.write_text(
        """<!doctype html><body style="background: #fff; color: #000"><p style="color: #999">pale</p>
        <p style="position: absolute; top: 200px">one text</p><p style="position: absolute; top: 205px">another text</p>
        <p style="width: 5000px; text-align: right">far</p><img src="http://localhost:9/x.png"><script>nothing()</script>"""
    )
    with opened(browser, page, 390, "light") as look:
        faults = look.faults()
        assert any(fault.startswith("contrast 2.8") for fault in faults)
        assert 'overlap: "one text" and "another text"' in faults
        assert any(fault.startswith("the page is ") for fault in faults)
        assert "outside: far" in faults
        assert look.requests == ["http://localhost:9/x.png"]
        assert any("nothing is not defined" in complaint for complaint in look.complaints)
    assert LEAST_CONTRAST == 4.5


def test_values_are_shown_under_the_pointer_and_by_the_arrow_keys(browser, pages):
    with opened(browser, pages["one"], 1280, "light") as look:
        plots = look.page.locator(".plot[data-points]")
        box = plots.first.bounding_box()
        look.page.mouse.move(box["x"] + box["width"] - 1, box["y"] + 10)
        data = json.loads(plots.first.get_attribute("data-points"))
        evaluations = data["series"][1]
        said = look.page.locator(".tip").inner_text()
        assert f"{evaluations['x'][-1]:,} steps".replace(".0", "") in said
        assert f"greedy evaluations: {evaluations['y'][-1]:,.5g}" in said
        plots.nth(1).focus()
        look.page.keyboard.press("ArrowRight")
        assert "seconds of training" in look.page.locator(".tip").inner_text()  # One at a time.
        look.page.keyboard.press("Escape")
        assert look.page.locator(".tip").count() == 0
        assert look.complaints == []


def test_a_script_of_a_strangers_would_not_run(browser, pages, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(pages["one"].read_text().replace("</body>", "<script>document.title = 'taken'</script></body>"))
    with opened(browser, page, 1280, "light") as look:
        assert look.page.title() != "taken"
        assert any("Content Security Policy" in complaint for complaint in look.complaints)


def test_on_paper_everything_is_unfolded_and_dark_is_left_behind(browser, pages):
    with opened(browser, pages["one"], 1280, "dark") as look:
        look.page.emulate_media(media="print", color_scheme="dark")
        look.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert look.page.locator("details:not([open])").count() == 0
        assert look.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert look.page.pdf()[:4] == b"%PDF"
