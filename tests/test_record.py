"""Pictures of a policy: what environments draw, where they are drawn, and what is said where that cannot be."""

import subprocess
import sys

import gymnasium
import imageio.v3 as imageio
import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

import a2c
from a2c.cli import main
from a2c.commands.record import record
from a2c.errors import UserError
from a2c.stage import play


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    settings = {"preset": "none", "total_steps": 64, "num_envs": 2, "hidden_sizes": (8,), "eval_every_steps": 0}
    folder = tmp_path_factory.mktemp("record")
    return a2c.train("CartPole-v1", **settings, final_eval_episodes=0, eval_episodes=1, run_dir=str(folder))


class Painter(CartPoleEnv):
    """A cart-pole that draws what it is told to, of which `paint` makes the frame of step t."""

    def __init__(self, paint, **kwargs):
        super().__init__(**kwargs)
        self.paint, self.t = paint, 0

    def step(self, action):
        self.t += 1
        return super().step(action)

    def render(self):
        return self.paint(self.t)


def painting(paint):
    def make(render_mode=None):
        return Painter(paint, render_mode=render_mode)

    return make


def recorded(run, path, paint, steps=3):
    record(run, path, max_steps=steps, env=painting(paint), caption=False)
    return imageio.imread(path)


def grey(t):
    return np.full((9, 7), 40 * t % 256, np.uint8)


FRAMES = {
    "rgb": lambda t: np.repeat(grey(t)[..., None], 3, 2),
    "rgba": lambda t: np.concatenate([np.repeat(grey(t)[..., None], 3, 2), np.zeros((9, 7, 1), np.uint8)], 2),
    "grey": grey,
    "grey with a channel": lambda t: grey(t)[..., None],
    "whole numbers": lambda t: grey(t).astype(np.int64),
    "real numbers to 1": lambda t: grey(t) / 255.0,
    "real numbers to 255": lambda t: grey(t).astype(np.float32),
    "a list of frames": lambda t: [np.zeros((9, 7, 3), np.uint8), np.repeat(grey(t)[..., None], 3, 2)],
    "nested lists": lambda t: np.repeat(grey(t)[..., None], 3, 2).tolist(),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_whatever_an_environment_draws_becomes_the_same_video(run, tmp_path, kind):
    frames = recorded(run, tmp_path / "x.GIF", FRAMES[kind])
    assert frames.shape == (2, 9, 7, 3)  # Every second of 3, at 50 frames a second.
    np.testing.assert_allclose(frames[:, 4, 3, 0], [40, 120], atol=2)


def test_an_environment_that_draws_into_one_array_is_recorded_as_it_moves(run, tmp_path):
    canvas = np.zeros((8, 8, 3), np.uint8)

    def paint(t):
        canvas[:] = 40 * t
        return canvas

    frames = recorded(run, tmp_path / "x.gif", paint)
    np.testing.assert_allclose(frames[:, 0, 0, 0], [40, 120], atol=2)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # imageio forgets its reader's pipes
def test_pictures_of_odd_size_become_an_mp4_of_even_size_without_being_scaled(run, tmp_path, capfd):
    frames = recorded(run, tmp_path / "x.MP4", lambda t: np.full((41, 31, 3), 60 * t, np.uint8))
    assert frames.shape == (3, 42, 32, 3)
    assert "macro_block_size" not in capfd.readouterr().err


NO_PICTURES = {
    "None": (lambda t: None, "the environment's render() gave None; it must give an array [height, width, 3]"),
    "text": (lambda t: "|--|", "render() gave str"),
    "channels first": (lambda t: np.zeros((3, 40, 50), np.uint8), "render() gave ndarray uint8 (3, 40, 50)"),
    "nothing": (lambda t: [], "render() gave list"),
    "ragged": (lambda t: [[1], [1, 2]], "render() gave list"),
    "growing": (
        lambda t: np.zeros((10 + t, 10, 3), np.uint8),
        "drew pictures of different sizes, (11, 10) and (13, 10)",
    ),
}


@pytest.mark.parametrize("kind", NO_PICTURES)
def test_what_is_no_picture_is_named(run, tmp_path, kind):
    paint, sentence = NO_PICTURES[kind]
    with pytest.raises(UserError) as error:
        recorded(run, tmp_path / "x.gif", paint)
    assert sentence in str(error.value)
    assert list(tmp_path.iterdir()) == []


def without_window(t):
    raise RuntimeError("an OpenGL platform library has not been loaded into this process,\nthis most likely means more")


def test_drawing_that_needs_a_display_names_the_setting_that_does_without(run, tmp_path, monkeypatch):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    with pytest.raises(UserError, match="set MUJOCO_GL=egl or MUJOCO_GL=osmesa for MuJoCo") as error:
        recorded(run, tmp_path / "x.gif", without_window)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("metadata", [None, {}, {"render_modes": None}, {"render_modes": ["ansi"]}])
def test_an_environment_that_does_not_draw_is_named_whatever_its_metadata_are(run, tmp_path, metadata):
    def make():  # It does not even take a render_mode.
        env = CartPoleEnv()
        env.metadata = metadata
        return env

    with pytest.raises(UserError, match=r"cannot render 'rgb_array'; it can render (nothing|\['ansi'\])"):
        record(run, tmp_path / "x.gif", env=make)


@pytest.mark.parametrize("fps", [None, 0, -3, "fast", float("nan"), float("inf")])
def test_frames_a_second_that_are_none_are_taken_for_30(run, fps):
    def make(render_mode=None):
        env = Painter(grey, render_mode=render_mode)
        env.metadata = {"render_modes": ["rgb_array"], "render_fps": fps}
        return env

    with play(run, "best", True, 0, "rgb_array", make) as episode:
        assert episode.fps == 30.0


def test_one_environment_is_alive_at_a_time_and_none_is_made_to_be_asked(run, tmp_path):
    alive, made = [], []

    class Licensed(Painter):
        def __init__(self, render_mode):
            assert not alive, "there is one licence"
            alive.append(self)
            made.append(render_mode)
            super().__init__(grey, render_mode=render_mode)

        def close(self):
            alive.remove(self)

    record(run, tmp_path / "x.gif", max_steps=2, env=lambda render_mode=None: Licensed(render_mode))
    assert made == ["rgb_array"]
    assert alive == []


def test_an_environment_that_only_lists_frames_is_recorded(run, tmp_path):
    class Lister(Painter):
        metadata = {"render_modes": ["rgb_array_list"], "render_fps": 20}  # noqa: RUF012 - as Gymnasium has it

    def make(render_mode=None):
        return Lister(lambda t: [FRAMES["rgb"](t - 1), FRAMES["rgb"](t)], render_mode=render_mode)

    record(run, tmp_path / "x.gif", max_steps=3, env=make)
    assert len(imageio.imread(tmp_path / "x.gif")) == 3


def test_a_constructor_that_fails_only_where_it_is_to_draw_gets_a_sentence(run, tmp_path):
    def make(render_mode=None):
        if render_mode:
            raise OSError("no screen")
        return CartPoleEnv()

    with pytest.raises(UserError, match="cannot render 'rgb_array': OSError: no screen") as error:
        record(run, tmp_path / "x.gif", env=make)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("target", ["x.webm", "x", ".mp4", "."])
def test_a_target_that_is_no_gif_or_mp4_gets_a_sentence(run, tmp_path, capsys, target):
    assert main(["record", str(run.path), "--to", str(tmp_path / target)]) == 2
    said = capsys.readouterr().err
    assert "ends in .gif or .mp4" in said or "must end in .gif or .mp4" in said
    assert said.count("\n") == 1


NO_FFMPEG = """
import sys
sys.modules["imageio_ffmpeg"] = None
from a2c.__main__ import main
sys.exit(main())
"""


def test_recording_an_mp4_without_ffmpeg_gets_one_sentence_before_anything_is_played(run, tmp_path):
    words = ["record", str(run.path), "--to", str(tmp_path / "x.mp4")]
    done = subprocess.run([sys.executable, "-c", NO_FFMPEG, *words], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "a2c: recording .mp4 needs a package that is not installed; pip install 'a2c[video]', or record a .gif\n"
    )


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # imageio forgets its writer's pipe
@pytest.mark.parametrize(
    ("program", "sentence"),
    [("#!/bin/sh\nexit 1\n", "ffmpeg ended without writing it"), (None, "No such file or directory")],
    ids=["broken", "missing"],
)
def test_an_ffmpeg_that_does_not_work_gets_a_sentence(run, tmp_path, monkeypatch, program, sentence):
    executable = tmp_path / "ffmpeg"
    if program:
        executable.write_text(program)
        executable.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(executable))
    with pytest.raises(UserError, match=rf"cannot write the video .*x\.mp4: .*{sentence}"):
        recorded(run, tmp_path / "x.mp4", FRAMES["rgb"])
    assert not (tmp_path / "x.mp4").exists()


def test_an_environment_that_draws_pictures_only_is_watched_in_gymnasiums_window(run, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":99")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    gymnasium.register("Canvas-v0", entry_point=Canvas)
    try:
        assert main(["watch", str(run.path), "--env", "Canvas-v0", "--episodes", "1"]) == 0
    finally:
        del gymnasium.registry["Canvas-v0"]


class Canvas(Painter):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 1000}  # noqa: RUF012 - as Gymnasium has it

    def __init__(self, render_mode=None):
        super().__init__(FRAMES["rgb"], render_mode=render_mode)
