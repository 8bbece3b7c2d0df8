"""Watching: what the keys do, in a window that nobody sees (SDL's dummy driver)."""

import json
import signal

import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

import a2c
from a2c.cli import main
from a2c.commands.watch import Watch
from a2c.errors import UserError
from a2c.pictures import Strip, explained
from a2c.window import HELP, Controls, Window, screen

pygame = pytest.importorskip("pygame", reason="watching needs pygame")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    settings = {"preset": "none", "total_steps": 64, "num_envs": 2, "hidden_sizes": (8,), "eval_every_steps": 0}
    folder = tmp_path_factory.mktemp("watch")
    return a2c.train(
        "CartPole-v1", **settings, final_eval_episodes=0, eval_episodes=1, keep_policy_at=(0,), run_dir=str(folder)
    )


@pytest.fixture(autouse=True)
def _nobody_sees_it(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":99")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")

    def hung(*_):
        raise TimeoutError("it waits for a key that nobody presses")

    before = signal.signal(signal.SIGALRM, hung)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    assert not pygame.display.get_init()


@pytest.fixture
def captions(monkeypatch):
    """What stood above every picture that was shown."""
    found = []

    def above(self, picture, caption, original=Strip.above):
        found.append(caption)
        return original(self, picture, caption)

    monkeypatch.setattr(Strip, "above", above)
    return found


class Typist(CartPoleEnv):
    """A cart-pole of 12 steps. At a step of the so-manieth episode, keys are pressed: {(episode, step): "r"}."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 500}  # noqa: RUF012 - as Gymnasium has it
    keys = {}  # noqa: RUF012
    seeds = []  # noqa: RUF012
    steps = []  # noqa: RUF012

    def reset(self, *, seed=None, options=None):
        Typist.seeds.append(seed)
        Typist.steps.append(0)
        self.press()
        return super().reset(seed=seed, options=options)

    def step(self, action):
        Typist.steps[-1] += 1
        self.press()
        return np.zeros(4, np.float32), 0.5, Typist.steps[-1] == 12, False, {}

    def press(self):
        for key in self.keys.get((len(self.seeds) - 1, self.steps[-1]), "").split():
            press(key)

    def render(self):
        return np.full((40, 60, 3), 20 * self.steps[-1], np.uint8)


def press(key):
    if not pygame.display.get_init():  # The very first reset comes before the window.
        return
    event = (
        pygame.event.Event(pygame.QUIT)
        if key == "close"
        else pygame.event.Event(pygame.KEYDOWN, key=pygame.key.key_code(key))
    )
    pygame.event.post(event)


@pytest.fixture
def watched(run, monkeypatch, capsys):
    """Watches, while keys are pressed; returns the seeds that were played, steps of each, and the lines printed."""

    def watch(keys, *words):
        monkeypatch.setattr(Typist, "keys", keys)
        Typist.seeds.clear()
        Typist.steps.clear()
        monkeypatch.setattr("a2c.commands.watch._END_SECONDS", 0.0)
        code = main(["watch", str(run.path), "--env", "test_watch:Typist", *words])
        said = capsys.readouterr()
        assert code == 0, said.err
        return list(Typist.seeds), list(Typist.steps), said.out.splitlines()

    return watch


def test_episodes_are_played_one_after_another(watched):
    seeds, steps, said = watched({}, "--episodes", "2", "--seed", "7")
    assert (seeds, steps) == ([7, 8], [12, 12])
    assert said == ["episode 1: return 6.000, 12 steps", "episode 2: return 6.000, 12 steps"]


def test_r_begins_the_same_episode_again(watched):
    seeds, steps, said = watched({(0, 5): "r", (2, 3): "r"}, "--episodes", "2")
    assert (seeds, steps) == ([0, 0, 1, 1], [5, 12, 3, 12])
    assert said[0] == "episode 1: return 2.500, 5 steps, left before its end"
    assert said[1] == "episode 1: return 6.000, 12 steps"


def test_n_goes_to_the_next(watched):
    seeds, steps, _ = watched({(0, 5): "n"}, "--episodes", "3")
    assert (seeds, steps) == ([0, 1, 2], [5, 12, 12])


@pytest.mark.parametrize("key", ["q", "escape", "close"])
def test_closing_the_window_ends_cleanly(watched, key):
    seeds, steps, said = watched({(1, 4): key}, "--episodes", "5")
    assert (seeds, steps) == ([0, 1], [12, 4])
    assert said[-1] == "episode 2: return 2.000, 4 steps, left before its end"


def test_a_pause_stands_still_until_it_ends_and_goes_step_by_step(watched, monkeypatch):
    keys, seen = iter(["right", "h", "right", "h", "space"]), []

    def sleep(seconds):  # Between two looks at the keys, somebody presses one.
        if Typist.keys and Typist.steps[-1] >= 4:
            seen.append(Typist.steps[-1])
            key = next(keys, None)
            if key is not None:
                press(key)

    monkeypatch.setattr("a2c.commands.watch.time.sleep", sleep)
    _, steps, _ = watched({(0, 4): "space"}, "--episodes", "1", "--speed", "0.5")
    assert steps == [12]
    assert seen[:5] == [4, 5, 5, 6, 6]


def test_what_is_seen_says_how_it_goes(watched, captions):
    watched({(0, 2): "up up", (0, 4): "down down down", (0, 6): "r"}, "--episodes", "1", "--which", "0")
    assert captions[0].title == ""  # To know how large the window has to be.
    assert captions[1].title == "episode 1 of 1, seed 0"
    assert (captions[1].left, captions[1].right) == ("return 0.0", "step 0")
    rights = [caption.right for caption in captions]
    assert any(right.endswith(", 4x") for right in rights)
    assert any(right.endswith(", 1/2x") for right in rights)
    assert rights[-1] == "step 12, 1/2x, end"


def test_keys_mean_what_the_help_says():
    controls = Controls()
    for key, words in [
        *(("up", "2x"), ("up", "4x"), ("down", "2x"), ("down", ""), ("down", "1/2x"), ("space", "1/2x, paused")),
        *(("space", "1/2x"), ("right", "1/2x, paused"), ("x", "1/2x, paused"), ("drawn", "1/2x, paused")),
    ]:
        controls.press(key)
        assert controls.in_words() == words
    assert controls.wants_step
    assert not controls.leaves
    for _ in range(20):
        controls.press("up")
    assert controls.speed == 64
    for _ in range(20):
        controls.press("down")
    assert controls.speed == 1 / 64
    for names, wanted in (("r", "wants_again"), ("n", "wants_next"), ("q", "wants_end"), ("h", "shows_help")):
        controls = Controls()
        controls.press(names)
        assert getattr(controls, wanted)
    assert [key.lower() for key, _ in HELP] == ["space", "right", "up, down", "r", "n", "h", "q, escape"]


@pytest.mark.parametrize("size", [(320, 480), (600, 600), (900, 1400), (100, 480)])
def test_help_is_whole_on_pictures_of_any_size(size):
    picture = np.full((*size, 3), 255, np.uint8)
    shown = explained(picture, HELP).max(2)
    ink = np.argwhere(shown > 100)
    assert (ink > 0).all()
    assert (ink < np.array(size) - 1).all()
    lines = np.flatnonzero(np.diff((shown > 100).any(1).astype(int)) == 1)
    assert len(lines) == len(HELP) or size[0] < 200


def test_a_window_takes_pictures_of_any_shape_and_being_resized():
    with screen():
        window = Window("test", 300, 400)
        for shape in ((300, 400), (10, 400), (400, 10), (1, 1)):
            window.show(np.full((*shape, 3), 200, np.uint8))
        surface = pygame.display.get_surface()
        assert surface.get_size() == (400, 300)
        window.show(np.full((300, 100, 3), 200, np.uint8))  # In the middle, with black at both sides.
        assert surface.get_at((5, 150))[:3] == (0, 0, 0)
        assert surface.get_at((200, 150))[:3] == (200, 200, 200)
        pygame.display.set_mode((200, 600), pygame.RESIZABLE)
        window.show(np.full((300, 400, 3), 200, np.uint8))
        assert pygame.display.get_surface().get_at((100, 300))[:3] == (200, 200, 200)
        assert pygame.display.get_surface().get_at((100, 100))[:3] == (0, 0, 0)
        pygame.display.quit()  # As an environment does that is closed.
        window.show(np.full((300, 400, 3), 200, np.uint8))
        assert window.keys() is not None


def test_a_picture_larger_than_the_screen_gets_a_window_that_fits():
    with screen():
        desktop = pygame.display.Info()
        Window("test", 9000, 6000)
        width, height = pygame.display.get_surface().get_size()
        assert 0 < height <= 0.9 * desktop.current_h
        assert abs(width / height - 6000 / 9000) < 0.01


class Blind(CartPoleEnv):
    metadata = {"render_modes": ["ansi"]}  # noqa: RUF012


class OwnWindow(CartPoleEnv):
    """It opens a window of its own, and draws no pictures."""

    metadata = {"render_modes": ["human"], "render_fps": 1000}  # noqa: RUF012

    def step(self, action):
        obs, reward, _, _, info = super().step(action)
        return obs, reward, True, False, info

    def render(self):
        return None


def test_json_has_every_episode_and_is_alone_on_standard_output(watched, run):
    _, _, (line,) = watched({(0, 5): "r", (2, 3): "q"}, "--episodes", "2", "--seed", "7", "--json")
    episodes = [
        {"seed": 7, "return": 2.5, "steps": 5, "is_over": False},
        {"seed": 7, "return": 6.0, "steps": 12, "is_over": True},
        {"seed": 8, "return": 1.5, "steps": 3, "is_over": False},
    ]
    assert json.loads(line) == {"run": str(run.path), "which": "best", "episodes": episodes}


def test_json_has_the_episodes_of_an_environments_own_window_too(run, capsys):
    assert main(["watch", str(run.path), "--env", "test_watch:OwnWindow", "--episodes", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["episodes"]
    assert found == [{"seed": seed, "return": 1.0, "steps": 1, "is_over": True} for seed in (0, 1)]


def test_an_environment_that_draws_nothing_says_so(run, capsys):
    assert main(["watch", str(run.path), "--env", "test_watch:Blind"]) == 2
    assert "Blind cannot render 'rgb_array'; it can render ['ansi']" in capsys.readouterr().err


def test_an_environment_with_a_window_of_its_own_is_watched_there(run, capsys):
    assert main(["watch", str(run.path), "--env", "test_watch:OwnWindow", "--episodes", "2"]) == 0
    said = capsys.readouterr()
    assert "showing its own window instead, which takes no keys" in said.err
    assert said.out == "episode 1: return 1.000, 1 steps\nepisode 2: return 1.000, 1 steps\n"


def test_without_a_display_nothing_is_played(run, monkeypatch, capsys):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert main(["watch", str(run.path)]) == 2
    assert "there is no display to open a window on" in capsys.readouterr().err


def test_a_driver_that_opens_nothing_is_a_sentence(run, monkeypatch, capsys):
    monkeypatch.setenv("SDL_VIDEODRIVER", "nonsense")
    assert main(["watch", str(run.path)]) == 2
    assert "a2c: cannot open a window: nonsense not available" in capsys.readouterr().err


@pytest.mark.parametrize("values", [{"episodes": 0}, {"speed": 0.0}, {"speed": float("nan")}])
def test_what_cannot_be_is_refused(run, values):
    with pytest.raises(UserError, match="it must be"):
        Watch(str(run.path), **values).run()
