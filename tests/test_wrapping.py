"""Wrappers that settings put around an environment: Atari preprocessing, frame stack, words of texts, lives."""

from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import a2c
from a2c.envs import make_env
from a2c.envs.construction import traits
from a2c.envs.make import envs_for
from a2c.envs.wrapping import WORDS, FireAtStart, Wrapping, words_of
from a2c.errors import UserError
from a2c.fitting import fit, fit_to
from a2c.learner import Learner
from a2c.model.architecture import architecture_for
from a2c.presets import configure, origins, preset_name
from a2c.run import checkpoint

LIVES, LIFE = 3, 5


class Lives(gymnasium.Env):
    """Three lives of five steps each; each step brings 7, the last of a life -2. It shows a camera's picture."""

    observation_space = spaces.Box(0, 255, (40, 36, 3), np.uint8)
    action_space = spaces.Discrete(2)

    def __init__(self, says=True):
        self.says = says

    def _seen(self):
        obs = np.full((40, 36, 3), self.steps, np.uint8)
        return obs, {"lives": LIVES - self.steps // LIFE} if self.says else {}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._seen()

    def step(self, action):
        self.steps += 1
        obs, info = self._seen()
        return obs, -2.0 if self.steps % LIFE == 0 else 7.0, self.steps == LIVES * LIFE, False, info


def learner_of(**settings):
    config = a2c.Config("Lives", num_envs=1, rollout_length=17, hidden_sizes=(), network="mlp", **settings)
    envs = envs_for(config, Lives, compiled=False)
    return envs, Learner(config, envs)


def test_a_lost_life_is_learnt_as_an_end_and_counted_as_none():
    envs, learner = learner_of(terminal_on_life_loss=True, gamma=0.5, gae_lambda=1.0)
    row = learner.update()[0]
    rollout = learner._rollout
    ends = [4, 9, 14]  # The third is that of the episode.
    assert np.flatnonzero(rollout.ended[:, 0]).tolist() == ends
    assert np.flatnonzero(rollout.terminated[:, 0]).tolist() == [14]
    assert (rollout.next_value[ends, 0] == 0).all()
    # 7 + .5 (7 + .5 (7 + .5 (7 + .5 * -2))), whatever comes after the life.
    assert rollout.returns[[0, 5, 10], 0] == pytest.approx([7 + 0.5 * (7 + 0.5 * (7 + 0.5 * (7 - 1)))] * 3, abs=1e-5)
    assert (row[6], row[7], row[8]) == (1, 12 * 7 - 3 * 2, 15)  # One episode, its return and its length.
    envs.close()


def test_if_lives_are_not_noted_a_lost_one_changes_nothing():
    envs, learner = learner_of()
    learner.update()
    assert learner._rollout.ended is learner._rollout.terminated
    envs.close()


def test_an_environment_without_lives_gets_an_error_that_says_what_is_missing(quick):
    with pytest.raises(a2c.EnvError, match=r'gave an info without "lives"; .* it must be the number of lives left'):
        a2c.train(lambda: Lives(says=False), **quick, terminal_on_life_loss=True)


def test_clipped_rewards_are_signs_and_returns_are_reported_as_they_were():
    envs, learner = learner_of(clip_rewards=True)
    row = learner.update()[0]
    assert learner._rollout.scaled_reward[:5, 0].tolist() == [1, 1, 1, 1, -1]
    assert learner._rollout.reward[:5, 0].tolist() == [7, 7, 7, 7, -2]
    assert row[7] == 12 * 7 - 3 * 2
    envs.close()


def test_rewards_are_clipped_or_scaled():
    with pytest.raises(a2c.UserError, match=r"clip_rewards and normalize_returns are True.*choose one"):
        a2c.Config("CartPole-v1", clip_rewards=True, normalize_returns=True)


@pytest.mark.parametrize("settings", [{}, {"num_workers": 1}], ids=["here", "workers"])
def test_a_run_with_lives_and_stacked_pictures_goes_on_to_the_same_bits(quick, settings, tmp_path):
    config = quick | {
        "total_steps": 640, "num_envs": 2, "rollout_length": 8, "frame_stack": 2, "terminal_on_life_loss": True,
        "clip_rewards": True, "normalize_returns": False, "eval_episodes": 2, "final_eval_episodes": 2,
    } | settings  # fmt: skip
    whole = a2c.train(Lives, **config)
    assert whole.summary["evaluation"]["mean_length"] == LIVES * LIFE  # Whole episodes, ...
    assert whole.summary["evaluation"]["mean"] == 12 * 7 - 3 * 2  # ... and rewards as they are.
    first = a2c.train(Lives, **config | {"total_steps": 320, "run_dir": str(tmp_path)})
    resumed = a2c.resume(first, env=Lives, total_steps=640)
    assert resumed.summary["exact"] is True
    arrays = [checkpoint.newest(run.path / "checkpoints").arrays for run in (whole, resumed)]
    assert all((array == arrays[1][name]).all() for name, array in arrays[0].items())


def test_stacked_pictures_are_one_picture_with_more_channels():
    env = make_env(Lives, wrapping=Wrapping(frame_stack=2))
    assert env.observation_space.shape == (2, 40, 36, 3)
    config = configure("Lives", "none", {"frame_stack": 2, "network": "nature", "num_envs": 1})
    architecture = architecture_for(env.observation_space, env.action_space, (), "tanh", False, config.network)
    assert architecture.images[0].image.channels == 6
    assert architecture.shapes()["image.0.0.weight"] == (8, 8, 6, 32)
    env.close()


def test_arrays_are_stacked_and_choices_texts_and_masks_are_the_newest():
    class Says(Lives):
        observation_space = spaces.Dict(
            seen=spaces.Box(0, 99, (2,)), choice=spaces.Discrete(20), said=spaces.Text(20),
            action_mask=spaces.MultiBinary(2),
        )  # fmt: skip

        def _seen(self):
            mask = np.array([1, self.steps % 2], np.int8)
            seen = np.full(2, self.steps, np.float32)
            return {"seen": seen, "choice": self.steps, "said": f"step {self.steps}", "action_mask": mask}, {"lives": 3}

    env = make_env(Says, wrapping=Wrapping(frame_stack=3, text_words=2))
    assert env.observation_space["seen"].shape == (3, 2)
    assert env.observation_space["said"] == spaces.MultiDiscrete([WORDS] * 2)
    env.reset(seed=0)
    env.step(0)
    obs = env.step(1)[0]
    assert obs["seen"][:, 0].tolist() == [0, 1, 2]
    assert (obs["choice"], obs["action_mask"].tolist()) == (2, [1, 0])
    assert obs["said"].tolist() == words_of("step 2", 2).tolist()
    assert obs in env.observation_space
    found = fit_to(Says, {"frame_stack": 3})
    assert found.values["text_words"] == 16


@pytest.mark.parametrize("space", [spaces.Discrete(256), spaces.MultiDiscrete([256, 256])])
def test_a_multidiscrete_with_as_many_choices_as_words_is_not_a_text(space):
    found = fit(space, spaces.Discrete(2)).values
    assert "text_words" not in found
    assert found["hidden_sizes"] == (128, 128)


def test_of_clipped_and_scaled_rewards_what_was_chosen_goes_before_the_presets():
    config = configure("HalfCheetah-v5", "HalfCheetah-v5", {"clip_rewards": True})
    assert (config.clip_rewards, config.normalize_returns) == (True, False)
    config = configure("ALE/Pong-v5", "atari", {"normalize_returns": True})
    assert (config.clip_rewards, config.normalize_returns) == (False, True)


class Tells(gymnasium.Env):
    """A number, and a text that says more."""

    observation_space = spaces.Dict(a=spaces.Box(-1, 1, (2,)), said=spaces.Tuple([spaces.Text(40), spaces.Discrete(3)]))
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._seen(), {}

    def _seen(self):
        self.word = ("left", "right")[int(self.np_random.integers(2))]
        return {"a": np.zeros(2, np.float32), "said": (f"Go {self.word}!", 1)}

    def step(self, action):
        self.steps += 1
        reward = float(action == (self.word == "right"))
        return self._seen(), reward, False, self.steps == 8, {}


def test_texts_are_left_out_or_seen_word_by_word():
    assert traits(make_env(Tells)).left_out == "said.0 (Text)"
    env = make_env(Tells, wrapping=Wrapping(text_words=3))
    assert env.observation_space["said"][0] == spaces.MultiDiscrete([WORDS] * 3)
    obs, _ = env.reset(seed=0)
    assert obs["said"][0].tolist() in [words_of(f"go {word}", 3).tolist() for word in ("left", "right")]
    assert obs in env.observation_space
    assert traits(env).left_out == ""


@pytest.mark.parametrize("preset", ["none", "auto"])
@pytest.mark.parametrize("env", [Lives, "FrozenLake-v1"])
def test_words_of_texts_that_there_are_not_are_refused_before_a_run_is_made(quick, env, preset):
    refused = r"text_words \(--text-words\) is 8, but observations of \S+ have no texts; leave it out, or set it to 0"
    with pytest.raises(UserError, match=refused):
        a2c.train(env, **quick | {"preset": preset, "text_words": 8})
    assert not list(Path(quick["run_dir"]).glob("*/*"))


@pytest.mark.filterwarnings("ignore:the entropy is")  # It is sure of what it does, and right.
def test_what_a_text_says_is_learnt(quick):
    settings = {name: value for name, value in quick.items() if name not in ("hidden_sizes", "preset")}
    settings |= {"total_steps": 5_000, "num_envs": 4, "rollout_length": 16}  # An update of so many words takes long.
    run = a2c.train(Tells, **settings | {"final_eval_episodes": 20})
    assert run.config.text_words == 16
    assert run.summary["final_evaluation"]["mean"] == 8


def test_words_that_minigrid_puts_in_one_anothers_place_differ():
    for words in (
        ("red", "green", "blue", "purple", "yellow", "grey"),
        ("ball", "box", "key", "door", "object", "goal", "square"),
        ("go", "get", "fetch", "pick", "put", "open", "find", "use", "reach", "avoid", "you"),
        ("left", "right", "front", "behind"),
    ):
        assert len({int(words_of(word, 1)[0]) for word in words}) == len(words)


def test_a_text_of_no_words_is_zeros_and_one_of_many_is_cut():
    assert words_of("...", 2).tolist() == [0, 0]
    assert words_of("a b c", 2).tolist() == words_of("a b", 2).tolist()


ale_py = pytest.importorskip("ale_py", reason="needs the extra atari")
ATARI = Wrapping(atari_preprocessing=True, frame_stack=4)


def test_an_atari_is_played_as_in_the_papers():
    env = make_env("ALE/Breakout-v5", wrapping=ATARI)
    assert env.observation_space == spaces.Box(0, 255, (4, 84, 84), np.uint8)
    assert isinstance(env.env, FireAtStart)
    assert traits(env).max_episode_steps == 27_000
    obs, info = env.reset(seed=3)
    assert (obs[0] == obs[3]).all()  # Of the first observation there are four.
    assert info["lives"] == 5
    env.close()


def test_fire_is_pressed_for_each_life_and_the_game_goes_on():
    env = make_env("ALE/Breakout-v5", {"repeat_action_probability": 0.0}, wrapping=ATARI)
    env.reset(seed=0)
    lives, steps = [], 0
    while True:  # A policy that does nothing: without FIRE there would be no second life.
        _, _, terminated, truncated, info = env.step(0)
        lives.append(info["lives"])
        steps += 1
        if terminated or truncated:
            break
    assert terminated
    assert steps < 1000
    assert sorted(set(lives), reverse=True) == [5, 4, 3, 2, 1, 0]
    env.close()


def seen(env, seed, steps=60):
    """What random actions lead to, after a reset with a seed."""
    env.reset(seed=seed)
    actions = np.random.default_rng(seed).integers(env.action_space.n, size=steps).tolist()
    return [env.step(action)[0].copy() for action in actions]


@pytest.mark.parametrize("game", ["Pong", "Freeway", "Tennis", "Frostbite", "BeamRider"])
def test_an_episode_follows_from_its_seed_whatever_was_played_before(game):
    """In all but Pong, a reset of ale_py alone leaves something behind."""
    used, fresh = (make_env(f"ALE/{game}-v5", wrapping=ATARI) for _ in range(2))
    seen(used, 5, 200)
    for before, after in zip(seen(used, 3), seen(fresh, 3), strict=True):
        np.testing.assert_array_equal(before, after)
    assert any((one != other).any() for one, other in zip(seen(used, 3), seen(used, 4), strict=True))
    used.close()
    fresh.close()


@pytest.mark.parametrize("probability", [0.0, 0.25, 0.9])
def test_sticky_actions_are_as_often_as_they_are_asked_for(probability):
    env = make_env("ALE/Pong-v5", {"repeat_action_probability": probability}, wrapping=ATARI)
    taken, inner = [], env.unwrapped.step
    env.unwrapped.step = lambda action: taken.append(action) or inner(action)
    env.reset(seed=0)
    taken.clear()
    for step in range(500):
        env.step(2 + step % 2)
    kept = np.mean([taken[i] == taken[i - 1] for i in range(4, len(taken), 4)])  # The first frame of a new action.
    assert kept == pytest.approx(probability, abs=0.07)
    env.close()


def test_without_a_seed_every_game_is_another():
    games = [make_env("ALE/Pong-v5", wrapping=ATARI) for _ in range(2)]
    for game in games:
        game.reset()
    assert games[0].unwrapped.np_random.integers(2**40) != games[1].unwrapped.np_random.integers(2**40)


def test_a_wrong_probability_is_refused():
    with pytest.raises(a2c.UserError, match=r"repeat_action_probability 1.5; it must be at least 0 and below 1"):
        make_env("ALE/Pong-v5", {"repeat_action_probability": 1.5}, wrapping=ATARI)


@pytest.mark.parametrize("env_id", ["ALE/Pong-v5", "ale_py:ALE/Pong-v5", "SpaceInvadersNoFrameskip-v4"])
def test_every_game_has_the_preset_of_its_family(env_id):
    assert preset_name(env_id, "auto") == "atari"
    config = configure(env_id, "auto", {})
    assert (config.frame_stack, config.clip_rewards, config.terminal_on_life_loss) == (4, True, True)
    assert origins(config, "auto")["frame_stack"] == "preset atari"


def test_an_id_that_is_no_game_has_no_preset():
    assert preset_name("CartPole-v1", "none") == preset_name("ALE/NoSuchGame-v5", "auto") == ""


@pytest.mark.parametrize(
    ("env", "kwargs", "sentence"),
    [
        ("CartPole-v1", {}, "atari_preprocessing is for games of ale_py, and CartPole-v1 is not one; leave it out"),
        (Lives, {}, "atari_preprocessing is for games of ale_py, and Lives is not one"),
        ("ALE/Pong-v5", {"frameskip": 4}, "env_kwargs has frameskip 4; leave it out"),
        ("ALE/Pong-v5", {"obs_type": "ram"}, "env_kwargs has obs_type 'ram'; leave it out"),
        (lambda: gymnasium.make("ALE/Pong-v5"), {}, "with frameskip 4; .* so make it with frameskip=1"),
    ],
)
def test_what_cannot_be_preprocessed_is_refused_in_a_sentence(env, kwargs, sentence):
    with pytest.raises(a2c.UserError, match=sentence):
        make_env(env, kwargs, wrapping=ATARI)


def test_a_compiled_environment_has_no_wrappers():
    with pytest.raises(a2c.UserError, match="frame_stack is 2; leave it out"):
        a2c.make_envs("CartPole-v1", 1, vectorization="compiled", frame_stack=2)
    envs = a2c.make_envs("CartPole-v1", 1, vectorization="local", frame_stack=2)
    assert envs.single_observation_space.shape == (2, 4)
    envs.close()
