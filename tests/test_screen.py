"""The live view: never wider than the terminal or 80 columns, always as many lines; lines or nothing elsewhere."""

import os
import queue
import re
import struct
import subprocess
import sys
import threading
import time

import pytest
from rich.console import Console

from a2c.frames import Look, duration, frame_of_run, short
from a2c.run.standing import CURVE_POINTS, Clock, Evaluated, Standing
from a2c.screen import _FRAME_SECONDS, Pace, display_for, ticking
from a2c.seeds.frame import frame_of_seeds, visible
from a2c.seeds.rows import Row

SETTINGS = [
    *["--preset", "none", "--num-envs", "2", "--rollout-length", "4", "--hidden-sizes", "8"],
    *["--eval-episodes", "2", "--final-eval-episodes", "3", "--no-pictures"],
]

BEFORE = Standing(0, 1_000_000, "", None, [None] * CURVE_POINTS, None, None, None, {}, {}, {})
NORMAL = BEFORE._replace(
    steps=600_000,
    episode_return=487.25,
    curve=[10.0 * n if n < 19 else None for n in range(CURVE_POINTS)],
    evaluation=Evaluated(499.1, 12.3, 590_000),
    best_return=500.0,
    best_steps=409_600,
    seconds={"environments": 4.9, "acting": 1.2, "gradient": 3.1, "evaluation": 2.0, "saving": 0.05},
    metrics={"policy_loss": -0.0123, "value_loss": 341.2, "entropy": 0.561, "grad_norm": 1e-7},
)
EXTREME = NORMAL._replace(
    steps=10**15,
    total_steps=10**15,
    doing="evaluating, 1000000 of 1000000 episodes",
    episode_return=-1.7e308,
    curve=[-1.7e308, 1.7e308, float("nan"), float("inf")] * (CURVE_POINTS // 4),
    evaluation=Evaluated(float("nan"), float("inf"), 10**15),
    best_return=-123_456_789.123,
    seconds=dict.fromkeys(NORMAL.seconds, 1000000000.0),
    metrics={"policy_loss": -1.7e308, "value_loss": float("nan"), "entropy": float("-inf")},
    events={"worker_restarts": 10**9, "failed_evaluations": 10**9, "outside_bounds": 10**9, "resumes": 10**9},
)
STANDINGS = {"before": BEFORE, "normal": NORMAL, "extreme": EXTREME}
CLOCKS = {"unknown": Clock(0.0, None, None), "known": Clock(12.3, 8.1, 46_900.0), "long": Clock(1e9, 1e12, 1e12)}


def drawn(frame, width):
    console = Console(width=width, height=50, force_terminal=True, color_system=None, file=open(os.devnull, "w"))  # noqa: SIM115
    with console.file, console.capture() as captured:
        console.print(frame)
    return captured.get().splitlines()


@pytest.mark.parametrize("standing", STANDINGS.values(), ids=STANDINGS)
@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
@pytest.mark.parametrize("width", [20, 40, 79, 80, 200])
@pytest.mark.parametrize("is_ascii", [False, True])
def test_a_frame_has_as_many_lines_and_columns_whatever_it_shows(standing, clock, width, is_ascii):
    title, place = "A" * 200, "engine compiled, 2 threads, 8 environments compiled"
    lines = drawn(frame_of_run(standing, clock, title, place, Look.of(width, is_ascii)), width)
    assert len(lines) == 12
    assert {len(line) for line in lines} == {min(width, 80)}
    assert not is_ascii or "".join(lines).isascii()


def test_a_frame_says_what_there_is_to_know():
    lines = drawn(frame_of_run(NORMAL, CLOCKS["known"], "CartPole-v1, seed 0", "here", Look(80, False)), 80)
    text = re.sub(r" +", " ", "\n".join(lines))
    for said in (
        "CartPole-v1, seed 0", "60 %", "600k of 1.00M", "0:12 so far", "0:08 left", "46.9k steps/s", "return 487.2",
        "▁▁▂▂▃▃▃▄▄▅▅▅▆▆▆▇▇██", "best 500.0 at 410k", "evaluation 499.1 ± 12.3 at 590k", "environments 4.9 s 44 %",
        "acting 1.2 s 11 %", "gradient 3.1 s 28 %", "evaluation 2.0 s 18 %", "saving 0.1 s 0 %",
        "policy loss -0.0123", "value loss 341.2000", "entropy 0.5610", "gradient norm 1.00e-07", "events none",
    ):  # fmt: skip
        assert said in text, said


@pytest.mark.parametrize("count", [2, 10, 500])
@pytest.mark.parametrize("width", [20, 80, 200])
@pytest.mark.parametrize("over", [0, 1, 2])
def test_a_frame_of_seeds_fits_the_terminal_and_shows_those_under_way(count, width, over):
    rows = [Row(seed) for seed in range(count)]
    rows[:over] = [Row(seed, "done", standing=EXTREME, begun=1.0, seconds=2.0) for seed in range(over)]
    if over < count:
        rows[over] = Row(over, "training", standing=NORMAL, begun=1.0)
    lines = drawn(frame_of_seeds(rows, 5.0, 4.0, "title", 24, Look.of(width, False)), width)
    assert len(lines) == min(count, 20) + 3
    assert {len(line) for line in lines} == {min(width, 80)}
    assert any(f"{over} " in line for line in lines)


def test_the_rows_that_are_shown_are_those_around_the_first_under_way():
    rows = [Row(seed, "done", seconds=1.0) if seed < 30 else Row(seed) for seed in range(100)]
    assert [row.seed for row in visible(rows, 10)] == list(range(29, 39))
    assert [row.seed for row in visible([Row(seed, "done", seconds=1.0) for seed in range(100)], 3)] == [97, 98, 99]
    assert len(visible(rows, 1000)) == 100


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1000, "1.00k"), (9_994, "9.99k"), (9_996, "10.0k"), (99_960, "100k"), (999_600, "1.00M")],
)
def test_a_count_has_at_most_five_characters(number, text):
    assert short(number) == text
    assert all(len(short(10**power - 1)) <= 5 for power in range(1, 40))


def test_a_duration_has_at_most_six_characters():
    assert all(len(duration(10.0**power)) <= 6 for power in range(-3, 9))
    assert duration(59.999) == "0:59"
    assert duration(float("inf")) == "-:--"


def test_the_pace_is_that_of_training_and_the_time_left_that_of_everything():
    pace = Pace(BEFORE._replace(steps=100, total_steps=1_100))
    now = BEFORE._replace(steps=350, total_steps=1_100, seconds={"gradient": 1.0, "evaluation": 4.0})
    first = pace.clock(now, 5.0)
    assert (first.left_seconds, first.steps_per_second) == (15.0, None)
    later = now._replace(steps=600, seconds={"gradient": 3.0, "evaluation": 7.0})
    assert pace.clock(later, 10.0) == Clock(10.0, 10.0, 125.0)


def test_a_view_is_drawn_again_and_again_but_not_too_often_until_training_ends():
    ticks, begin = queue.SimpleQueue(), time.monotonic()
    with ticking(lambda: ticks.put(time.monotonic())):
        times = [ticks.get(timeout=60) for _ in range(3)]
    assert times[-1] - begin >= 3 * _FRAME_SECONDS / 2  # However slow the machine is, it is no sooner.
    assert "a2c-view" not in {thread.name for thread in threading.enumerate()}


def test_nothing_is_shown_to_nobody(capsys):
    display = display_for(False)
    display.line("a")
    display.progress("b")
    display.close()
    assert capsys.readouterr() == ("", "")


# -- on a terminal --

pyte = pytest.importorskip("pyte", reason="draws what a terminal would")
pty = pytest.importorskip("pty", reason="there are terminals on POSIX only")
unix_only = pytest.mark.skipif(os.name != "posix", reason="there are terminals on POSIX only")


class Shown:
    """A command's terminal: every screen that it showed."""

    def __init__(self, words, columns=80, lines=24, resized=None, **variables):
        import fcntl
        import termios

        pid, terminal = pty.fork()
        if not pid:
            os.environ.update({"TERM": "xterm-256color", "COLUMNS": "", **variables})
            os.environ.pop("COLUMNS")
            os.execv(sys.executable, [sys.executable, *words])

        def resize(lines, columns):
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

        resize(lines, columns)
        self.screen = pyte.HistoryScreen(columns, lines, history=10_000)
        stream, self.screens, self.bytes = pyte.ByteStream(self.screen), [], b""
        while True:
            try:
                data = os.read(terminal, 1 << 16)
            except OSError:
                break
            if not data:
                break
            self.bytes += data
            stream.feed(data)
            self.screens.append(list(self.screen.display))
            if resized and "╭" in "".join(self.screen.display) and self.screen.columns != resized[1]:
                resize(*resized)
                self.screen.resize(*resized)
        self.code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(terminal)

    def frames(self):
        """Where the frame is on each screen that shows a whole one: first line, number of lines, its text."""
        found = []
        for screen in self.screens:
            tops = [n for n, line in enumerate(screen) if line.startswith("╭")]
            bottoms = [n for n, line in enumerate(screen) if line.startswith("╰")]
            if tops and bottoms and bottoms[-1] > tops[-1]:
                found.append((tops[-1], bottoms[-1] - tops[-1] + 1, screen[tops[-1] : bottoms[-1] + 1]))
        return found


def train(folder, *words, steps=60_000):
    return [
        "-m",
        "a2c",
        "train",
        "CartPole-v1",
        *SETTINGS,
        "--total-steps",
        str(steps),
        "--run-dir",
        str(folder),
        *words,
    ]


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    words = train(tmp_path_factory.mktemp("shown"), "--vectorization", "local", "--eval-every-steps", "10000")
    return Shown(words)


@unix_only
def test_the_view_is_redrawn_in_its_place(shown):
    assert shown.code == 0
    frames = shown.frames()
    assert len({tuple(text) for _, _, text in frames}) > 3, "it moves"
    assert {lines for _, lines, _ in frames} == {12}
    assert len({top for top, _, _ in frames}) <= 2, "it stands still; at the end, what is printed may push it up"
    assert b"\x1b[2J" not in shown.bytes, "the screen is never cleared, which would flicker"
    assert not shown.screen.cursor.hidden


@unix_only
def test_only_the_last_frame_stays(shown):
    above = ["".join(line[n].data for n in sorted(line)) for line in shown.screen.history.top]
    assert sum("╭" in line for line in [*above, *shown.screen.display]) == 1
    last = shown.frames()[-1][2]
    assert "100 %" in last[1]
    assert "final policy" in "\n".join(shown.screen.display)


@unix_only
def test_evaluations_are_no_lines_where_a_view_shows_them(shown):
    assert b"steps: return" not in shown.bytes


@unix_only
@pytest.mark.parametrize(("columns", "lines"), [(50, 24), (200, 24), (80, 8)])
def test_terminals_of_other_sizes_show_what_fits(tmp_path, columns, lines):
    shown = Shown(train(tmp_path, steps=200_000), columns, lines)
    assert shown.code == 0
    assert max(len(line.rstrip()) for screen in shown.screens for line in screen) <= columns
    # Line by line: what it shows for a moment is in `screens` only if it was read in that moment.
    screen = pyte.Screen(columns, lines)
    stream, tops = pyte.ByteStream(screen), 0
    for part in shown.bytes.splitlines(keepends=True):
        stream.feed(part)
        tops += any(line.startswith("╭") for line in screen.display)
    assert tops


@unix_only
def test_a_terminal_that_is_resized_gets_a_frame_of_its_new_width(tmp_path):
    shown = Shown(train(tmp_path, "--vectorization", "local"), resized=(24, 60))
    assert shown.code == 0
    assert {len(line.rstrip()) for line in shown.frames()[-1][2]} == {60}


@unix_only
def test_without_colours_there_are_none(tmp_path):
    shown = Shown(train(tmp_path), NO_COLOR="1")
    assert shown.frames()
    assert not re.search(rb"\x1b\[(?:\d+;)*(?:3[0-9]|9[0-7])m", shown.bytes)


@unix_only
def test_a_terminal_that_only_prints_gets_lines(tmp_path):
    shown = Shown(train(tmp_path, "--eval-every-steps", "20000"), TERM="dumb")
    assert b"\x1b" not in shown.bytes
    assert shown.bytes.count(b"steps: return") == 3


@unix_only
def test_a_terminal_without_unicode_gets_plain_characters(tmp_path):
    shown = Shown(train(tmp_path), PYTHONIOENCODING="ascii", LC_ALL="C")
    assert shown.code == 0
    assert shown.bytes.isascii()
    assert any("+- CartPole-v1, seed 0 -" in line for screen in shown.screens for line in screen)


@unix_only
def test_seeds_have_a_row_each(tmp_path):
    shown = Shown(train(tmp_path, "--seeds", "3"))
    assert shown.code == 0
    last = shown.frames()[-1][2]
    assert {lines for _, lines, _ in shown.frames()} == {6}
    assert [line.split()[1] for line in last[2:5]] == ["0", "1", "2"]
    assert all("100 %" in line for line in last[2:5])
    assert "3 of 3 seeds over" in last[-1]


def test_elsewhere_there_is_a_line_for_each_evaluation_even_where_colours_are_forced(tmp_path):
    words = train(tmp_path, "--eval-every-steps", "20000")
    variables = {**os.environ, "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"}
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, env=variables, check=True)
    assert "\x1b" not in done.stderr + done.stdout
    assert done.stderr.count("steps: return") == 3


@pytest.mark.parametrize("several", [[], ["--seeds", "2"]])
def test_quiet_says_nothing_but_the_result(tmp_path, several):
    done = subprocess.run(
        [sys.executable, *train(tmp_path, "--quiet", *several)], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert "final" in done.stdout
