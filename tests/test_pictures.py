"""What stands above pictures and how several stand side by side; recordings of stages of training."""

import json

import imageio.v3 as imageio
import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

import a2c
from a2c.cli import main
from a2c.commands.record import record, record_stages
from a2c.errors import UserError
from a2c.pictures import Caption, Strip, columns_for, fitted, legible, side_by_side, width_for

AT = (0, 64, 128)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    settings = {"preset": "none", "total_steps": 256, "num_envs": 2, "hidden_sizes": (8,), "eval_every_steps": 0}
    folder = tmp_path_factory.mktemp("stages")
    return a2c.train(
        "CartPole-v1", **settings, final_eval_episodes=0, eval_episodes=1, keep_policy_at=AT, run_dir=str(folder)
    )


class Shades(CartPoleEnv):
    """A cart-pole of at most `most` steps whose picture is of the shade of its step; 80 x 80."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012 - as Gymnasium has it
    size = 80, 80

    def __init__(self, render_mode=None, most=12):
        super().__init__(render_mode=render_mode)
        self.t, self.most = 0, most

    def reset(self, **kwargs):
        self.t = 0
        return super().reset(**kwargs)

    def step(self, action):
        self.t += 1
        return np.zeros(4, np.float32), 0.5, False, self.t >= self.most, {}

    def render(self):
        return np.full((*self.size, 3), 10 * self.t, np.uint8)


@pytest.fixture
def captions(monkeypatch):
    """Everything that was written above a picture."""
    found = []

    def above(self, picture, caption, original=Strip.above):
        found.append(caption)
        return original(self, picture, caption)

    monkeypatch.setattr(Strip, "above", above)
    return found


@pytest.mark.parametrize("size", [(80, 80), (84, 84), (210, 160), (400, 600), (900, 1400), (9, 7), (2, 1)])
@pytest.mark.parametrize("title", ["", "after 10,000,000 steps"])
def test_text_is_large_enough_to_be_read_and_covers_nothing(size, title):
    picture = legible(np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8))
    caption = Caption("return -1,234.5", "step 1,000, end", title)
    strip = Strip(picture.shape[1], caption)
    whole = strip.above(picture, caption)
    np.testing.assert_array_equal(whole[strip.height :], picture)
    text = whole[: strip.height].max(2) > 100
    lines = np.flatnonzero(np.diff(text.any(1).astype(int)) == 1)
    assert len(lines) == (2 if title else 1)
    assert strip.height >= 26 * len(lines) - 5
    assert not text[:, [0, -1]].any(), "it is cut off"
    columns = np.flatnonzero(text.any(0))
    assert columns[-1] - columns[0] > 0.9 * picture.shape[1], "left and right"


def test_a_caption_too_long_for_a_line_takes_two_and_then_smaller_text():
    long = Caption("return -1,234,567,890.1234", "step 1,000,000,000, end")
    strip, short = Strip(240, long), Strip(240, Caption("return 1", "step 1"))
    assert strip.height > 1.5 * short.height
    narrow = Strip(100, long)
    assert not (narrow.above(np.zeros((5, 100, 3), np.uint8), long)[: narrow.height, -1].max(1) > 100).any()


def test_small_pictures_are_enlarged_pixel_by_pixel_and_wide_ones_made_smaller():
    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    large = legible(picture)
    assert large.shape == (240, 240, 3)
    np.testing.assert_array_equal(large[::120, ::120], picture)
    wide = np.zeros((300, 600, 3), np.uint8)
    assert legible(wide) is wide
    assert fitted(wide, 200).shape == (100, 200, 3)


@pytest.mark.parametrize("count", range(1, 14))
def test_pictures_side_by_side_keep_every_pixel(count):
    pictures = [np.full((20, 30, 3), 100 + number, np.uint8) for number in range(count)]
    sheet = side_by_side(pictures)
    for number in range(count):
        assert (sheet == 100 + number).all(2).sum() == 20 * 30
    assert sheet.shape[1] <= columns_for(count) * (width_for(count) + 8) + 8


def test_return_and_step_stand_above_every_picture(run, tmp_path, captions):
    recording = record(run, tmp_path / "x.gif", env=Shades)
    assert (recording.episode_return, recording.steps) == (6.0, 12)
    assert [(caption.left, caption.right) for caption in captions] == [
        *((f"return {step / 2:.3f}", f"step {step}") for step in range(1, 12)),
        ("return 6.000", "step 12, end"),
    ]
    frames = imageio.imread(tmp_path / "x.gif")
    assert frames.shape == (12, 266, 240, 3)
    np.testing.assert_allclose(frames[:, -1, 0, 0], 10 * np.arange(1, 13), atol=3)


def test_the_last_step_is_shown_even_where_not_every_one_is(run, tmp_path, captions):
    def fast(render_mode=None):
        env = Shades(render_mode)
        env.metadata = {**env.metadata, "render_fps": 125}  # A GIF shows every fifth.
        return env

    record(run, tmp_path / "x.gif", env=fast)
    assert [caption.right for caption in captions] == ["step 1", "step 6", "step 11", "step 12, end"]
    captions.clear()
    record(run, tmp_path / "x.gif", env=fast, max_steps=8)
    assert [caption.right for caption in captions] == ["step 1", "step 6", "step 8"]


def test_without_captions_pictures_are_as_they_were_drawn(run, tmp_path, captions):
    assert main(["record", str(run.path), "--to", str(tmp_path / "x.gif"), "--no-caption", "--max-steps", "3"]) == 0
    assert imageio.imread(tmp_path / "x.gif").shape == (2, 400, 600, 3)
    assert captions == []


def test_stages_stand_side_by_side_and_wait_for_each_other(run, tmp_path, captions):
    lengths = iter((3, 9, 12, 6))
    played = []

    def make(render_mode=None):
        played.append(Shades(render_mode, next(lengths)))
        return played[-1]

    recordings = record_stages(run, tmp_path / "x.gif", seed=5, env=make)
    assert list(recordings) == [0, 64, 128, 256]
    assert [recording.steps for recording in recordings.values()] == [3, 9, 12, 6]
    assert [env.np_random_seed for env in played] == [5] * 4
    first, tenth = captions[:4], captions[4 * 9 : 4 * 10]
    assert [caption.title for caption in first] == [
        *("before training", "after 64 steps", "after 128 steps", "after 256 steps"),
    ]
    assert [caption.right for caption in tenth] == ["step 3, end", "step 9, end", "step 10", "step 6, end"]
    assert {caption.left for caption in tenth} == {"return 1.500", "return 4.500", "return 5.000", "return 3.000"}
    frames = imageio.imread(tmp_path / "x.gif")
    assert frames.shape[0] == 13  # What stands still at the end is one picture, shown for longer.
    # Where each of the four is drawn, in the first picture, in the tenth and in the last.
    x = [8 + 120 + number * 248 for number in range(4)]
    np.testing.assert_allclose(frames[0, -20, x, 0], [10] * 4, atol=4)
    np.testing.assert_allclose(frames[9, -20, x, 0], [0.55 * 30, 0.55 * 90, 100, 0.55 * 60], atol=4)
    np.testing.assert_allclose(frames[-1, -20, x, 0], [30, 90, 120, 60], atol=4)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # imageio forgets its reader's pipes
def test_stages_are_recorded_from_the_command_line(run, tmp_path, capsys):
    assert main(["record", str(run.path), "--stages", "--to", str(tmp_path / "x.mp4"), "--max-steps", "5"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "before training: return 5.000, 5 steps"
    assert said[3:] == ["after 256 steps: return 5.000, 5 steps", str(tmp_path / "x.mp4")]
    frames = imageio.imread(tmp_path / "x.mp4")
    assert len(frames) == 5 + 75  # And a second and a half, at 50 pictures a second.
    assert frames.shape[1] % 2 == frames.shape[2] % 2 == 0


def test_a_run_that_kept_none_says_how_to_keep_some(quick, tmp_path):
    run = a2c.train("CartPole-v1", **quick)
    with pytest.raises(UserError, match=r"saved no policy during training; `a2c train ... --keep-policy-at 0,10"):
        record_stages(run, tmp_path / "x.gif")


def test_json_of_stages_has_the_episode_of_each(run, tmp_path, capsys):
    target = str(tmp_path / "x.gif")
    assert main(["record", str(run.path), "--stages", "--to", target, "--max-steps", "5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["run"], found["video"]) == (str(run.path), target)
    assert [one["after_steps"] for one in found["stages"]] == [*run.kept_policies, 256]
    assert all((one["return"], one["steps"]) == (5.0, 5) for one in found["stages"])


def test_stages_of_one_policy_are_refused(run, capsys):
    assert main(["record", str(run.path), "--stages", "--which", "64"]) == 2
    assert "which is 64, but --stages shows every saved policy; leave out one of them" in capsys.readouterr().err


def test_pictures_whose_size_differs_between_stages_are_named(run, tmp_path):
    sizes = iter(((250, 250), (250, 250), (260, 250), (250, 250)))

    def make(render_mode=None):
        env = Shades(render_mode)
        env.size = next(sizes)
        return env

    with pytest.raises(UserError, match=r"pictures of different sizes, \(250, 250\) and \(260, 250\)"):
        record_stages(run, tmp_path / "x.gif", env=make)
    assert list(tmp_path.iterdir()) == []
