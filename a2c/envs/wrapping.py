"""Wrappers that settings put around an environment: Atari preprocessing, words of texts, frame stack, time limit."""

from __future__ import annotations

import collections
import copy
import importlib.util
import re
import zlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils import seeding
from gymnasium.wrappers import AtariPreprocessing, TimeLimit
from numpy.typing import NDArray

from a2c.errors import UserError, shown
from a2c.masks import KEY as MASK
from a2c.spaces import left_out

if TYPE_CHECKING:
    from a2c.config import Config  # Only then: worker processes import this package and do not need the command line.

ATARI_ENTRY_POINT = "ale_py.env:AtariEnv"

_NO_ATARI = "atari_preprocessing is for games of ale_py, and {} is not one; leave it out"

_FIRE = 1
"""The action FIRE, in games that have it."""


class Wrapping(NamedTuple):
    """The settings of `Config` that put wrappers around an environment."""

    max_episode_steps: int | None = None
    """Truncate episodes after so many steps; None: only the environment's own limit."""
    atari_preprocessing: bool = False
    """Whether to preprocess an Atari game as Mnih et al. (2015) did."""
    frame_stack: int = 1
    """How many of the last observations make up one."""
    text_words: int = 0
    """How many words of each text are observed, counted from the first; 0: texts are ignored."""

    @classmethod
    def of(cls, config: Config) -> Wrapping:
        """From a run's settings."""
        return cls(config.max_episode_steps, config.atari_preprocessing, config.frame_stack, config.text_words)

    def arguments(self, spec: EnvSpec, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The constructor's arguments: the given ones, and those that the Atari preprocessing needs.

        Raises:
            UserError: They contradict each other, or atari_preprocessing is set for another environment.
        """
        if not self.atari_preprocessing:
            return dict(kwargs)
        if spec.entry_point != ATARI_ENTRY_POINT:
            raise UserError(_NO_ATARI.format(spec.id))
        for name in ("frameskip", "obs_type"):
            if name in kwargs:
                raise UserError(
                    f"env_kwargs has {name} {shown(kwargs[name])}; leave it out, as atari_preprocessing skips frames "
                    "and reads the screen itself, or set atari_preprocessing False"
                )
        # AtariPreprocessing reads the screen itself; with "ram", the game does not copy it at every frame.
        return {**kwargs, "frameskip": 1, "obs_type": "ram", "repeat_action_probability": 0.0}

    def repeats(self, spec: EnvSpec, kwargs: Mapping[str, Any]) -> float | None:
        """The probability of sticky actions, which `Console` draws instead of ale_py; None without preprocessing.

        Raises:
            UserError: It is not a number from 0 to below 1.
        """
        if not self.atari_preprocessing:
            return None
        found = kwargs.get("repeat_action_probability", spec.kwargs.get("repeat_action_probability", 0.25))
        if not isinstance(found, int | float) or not 0 <= found < 1:
            raise UserError(
                f"env_kwargs has repeat_action_probability {shown(found)}; it must be at least 0 and below 1"
            )
        return float(found)

    def around(self, env: gymnasium.Env[Any, Any], name: str, repeats: float | None) -> gymnasium.Env[Any, Any]:
        """The environment in its wrappers.

        Args:
            env: The environment.
            name: What errors call it.
            repeats: What `repeats` returned; None: ale_py itself repeats actions, if at all.

        Raises:
            UserError: atari_preprocessing is set for an environment that is not an Atari game, or a package is missing.
        """
        if self.atari_preprocessing:
            if getattr(env.unwrapped, "ale", None) is None:
                raise UserError(_NO_ATARI.format(name))
            skip = getattr(env.unwrapped, "_frameskip", None)
            if skip != 1:
                raise UserError(
                    f"{name} makes a game with frameskip {shown(skip)}; atari_preprocessing skips frames itself, so "
                    "make it with frameskip=1"
                )
            if importlib.util.find_spec("cv2") is None:
                raise UserError(
                    'atari_preprocessing needs a package that is not installed, cv2: pip install "a2c[atari]"'
                )
            env = AtariPreprocessing(env if repeats is None else Console(env, repeats))
            if "FIRE" in env.unwrapped.get_action_meanings()[_FIRE : _FIRE + 1]:  # type: ignore[attr-defined]  # ALE's
                env = FireAtStart(env)
        if self.text_words:
            env = WordsOfTexts(env, self.text_words)
        if self.frame_stack > 1:
            env = Stacked(env, self.frame_stack)
        return env if self.max_episode_steps is None else TimeLimit(env, self.max_episode_steps)


def wrappers_of(env: gymnasium.Env[Any, Any]) -> Iterator[gymnasium.Wrapper[Any, Any, Any, Any]]:
    """The wrappers around an environment, from the outermost on."""
    layer: Any = env
    while isinstance(layer, gymnasium.Wrapper):
        yield layer
        layer = layer.env


def frame_limit(env: gymnasium.Env[Any, Any], spec: EnvSpec | None) -> int | None:
    """The time limit of a game of ale_py in steps, from its limit in frames; None if it is not known."""
    arguments = {} if spec is None else spec.kwargs
    frames, skip = arguments.get("max_num_frames_per_episode"), arguments.get("frameskip", 1)
    for wrapper in wrappers_of(env):
        if isinstance(wrapper, AtariPreprocessing):
            skip = wrapper.frame_skip
    return frames // skip if isinstance(frames, int) and isinstance(skip, int) and skip > 0 else None


class Console(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A game of ale_py whose sticky actions are drawn here, from the generator that each reset seeds.

    Seeding ale_py's own generator means loading the game again at every episode, which takes as long as 250 steps of
    Pong. So sticky actions are drawn here in the same way (Machado et al. 2018), ale_py draws nothing, and every
    episode begins with the state of the game right after it was loaded. (In Freeway, Tennis and Frostbite, a reset
    alone does not restore the whole state.)
    """

    def __init__(self, env: gymnasium.Env[Any, Any], repeat_action_probability: float) -> None:
        super().__init__(env)
        game: Any = env.unwrapped
        self._game = game
        self._repeats = repeat_action_probability
        self._start: Any = None
        self._last: Any = 0
        gray: Any = np.uint8  # `AtariPreprocessing` reads only the size of this space.
        self.observation_space = spaces.Box(0, 255, game.ale.getScreenDims(), gray)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Restores the game as it was loaded, and seeds its generator."""
        is_first = self._start is None
        if is_first:
            result = self.env.reset(seed=0, options=options)
            self._start = self._game.ale.cloneState(include_rng=True)
        else:
            result = self.env.reset(options=options)
            self._game.ale.restoreState(self._start)
        if seed is not None or is_first:
            self._game.np_random = seeding.np_random(seed)[0]  # From the operating system if the seed is None.
        self._last = 0
        return result

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Plays a frame with this action or, at random, with that of the frame before."""
        if self._repeats and self._game.np_random.random() < self._repeats:
            action = self._last
        self._last = action
        return self.env.step(action)


class Stacked(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Stacks the last few arrays of observations, the newest last; everything else, masks too, is the newest.

    Gymnasium's `FrameStackObservation` also stacks Discretes and masks, which cannot be learnt from then.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], count: int) -> None:
        super().__init__(env)
        self._frames: collections.deque[Any] = collections.deque(maxlen=count)
        self._count = count
        self.observation_space = self._space(env.observation_space)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begins an episode; its first observation is repeated to fill the stack."""
        obs, info = self.env.reset(seed=seed, options=options)
        self._frames.extend([copy.deepcopy(obs)] * self._count)
        return self._stacked(self.env.observation_space, list(self._frames)), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Steps, and returns the stacked observations."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        self._frames.append(copy.deepcopy(obs))  # An environment may reuse its arrays.
        stacked = self._stacked(self.env.observation_space, list(self._frames))
        return stacked, reward, terminated, truncated, info

    def _space(self, space: gymnasium.Space[Any]) -> gymnasium.Space[Any]:
        if isinstance(space, spaces.Dict):
            return spaces.Dict(
                [(key, inner if key == MASK else self._space(inner)) for key, inner in space.spaces.items()]
            )
        if isinstance(space, spaces.Tuple):
            return spaces.Tuple([self._space(inner) for inner in space.spaces])
        if not isinstance(space, spaces.Box):
            return space
        kind: Any = space.dtype
        low, high = (np.repeat(bound[None], self._count, 0) for bound in (space.low, space.high))
        return spaces.Box(low, high, dtype=kind)

    def _stacked(self, space: gymnasium.Space[Any], values: list[Any]) -> Any:
        """Stacks values of a space; a value that does not fit the space is passed on, for `values.py` to refuse."""
        newest = values[-1]
        if isinstance(space, spaces.Dict) and isinstance(newest, Mapping):
            return {
                key: item
                if key == MASK or key not in space.spaces
                else self._stacked(space.spaces[key], [value[key] for value in values])
                for key, item in newest.items()
            }
        if isinstance(space, spaces.Tuple) and isinstance(newest, tuple | list) and len(newest) == len(space.spaces):
            return tuple(self._stacked(inner, [value[i] for value in values]) for i, inner in enumerate(space.spaces))
        if isinstance(space, spaces.Box) and all(np.shape(value) == space.shape for value in values):
            return np.stack(values)
        return newest


class FireAtStart(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Presses FIRE when a life begins: some games wait for it, and a policy that never presses it would play for ever.

    Reference: `FireResetEnv` of OpenAI's Baselines.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self._lives = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begins an episode; returns the first observation after FIRE was pressed."""
        self.env.reset(seed=seed, options=options)
        obs, _, _, _, info = self.env.step(_FIRE)
        self._lives = info.get("lives", 0)
        return obs, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Steps; if that cost a life, presses FIRE in one more step, whose reward is added."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        lost, self._lives = info.get("lives", 0) < self._lives, info.get("lives", 0)
        if lost and not (terminated or truncated):
            obs, more, terminated, truncated, info = self.env.step(_FIRE)
            reward = float(reward) + float(more)
            self._lives = info.get("lives", 0)
        return obs, reward, terminated, truncated, info


WORDS = 256
"""Numbers that a word may become: 0 for no word, else 1 + a remainder. Words of MiniGrid's missions that could take one
another's place have different ones."""


def _is_text(space: gymnasium.Space[Any]) -> bool:
    """Whether a space holds strings: Gymnasium's Text, or a package's own space, like that of MiniGrid's missions."""
    return space.dtype is not None and np.dtype(space.dtype).kind == "U"


def reads_texts(env: gymnasium.Env[Any, Any]) -> bool:
    """Whether an environment's observations have texts that a `WordsOfTexts` around it reads."""
    readers = (wrapper for wrapper in wrappers_of(env) if isinstance(wrapper, WordsOfTexts))
    return any(_is_text(leaf) for reader in readers for _, leaf in left_out(reader.env.observation_space))


class WordsOfTexts(gymnasium.ObservationWrapper[Any, Any, Any]):
    """Replaces texts in observations by a MultiDiscrete of their first words, each hashed by its checksum's remainder.

    Reference: Weinberger et al., "Feature hashing for large scale multitask learning" (2009), for remainders instead
        of a vocabulary.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], words: int) -> None:
        super().__init__(env)
        self._words = words
        self.observation_space = self._space(env.observation_space)

    def observation(self, observation: Any) -> Any:
        """The observation with words as numbers in the place of texts."""
        return self._numbers(self.env.observation_space, observation)

    def _space(self, space: gymnasium.Space[Any]) -> gymnasium.Space[Any]:
        if isinstance(space, spaces.Dict):
            return spaces.Dict([(key, self._space(inner)) for key, inner in space.spaces.items()])
        if isinstance(space, spaces.Tuple):
            return spaces.Tuple([self._space(inner) for inner in space.spaces])
        return spaces.MultiDiscrete([WORDS] * self._words) if _is_text(space) else space

    def _numbers(self, space: gymnasium.Space[Any], value: Any) -> Any:
        if isinstance(space, spaces.Dict) and isinstance(value, Mapping):
            return {
                key: self._numbers(space.spaces[key], item) if key in space.spaces else item
                for key, item in value.items()
            }
        if isinstance(space, spaces.Tuple) and isinstance(value, tuple | list) and len(value) == len(space.spaces):
            return tuple(self._numbers(inner, item) for inner, item in zip(space.spaces, value, strict=True))
        return words_of(value, self._words) if _is_text(space) and isinstance(value, str) else value


def words_of(text: str, count: int) -> NDArray[np.int64]:
    """The first words of a text as numbers from 1 to WORDS - 1, [count]; padded with 0 if it has fewer words.

    Example:
        >>> words_of("Go to the RED ball!", 6).tolist() == words_of("go to the red ball", 6).tolist()
        True
    """
    numbers = np.zeros(count, np.int64)
    for i, word in enumerate(re.findall(r"\w+", text.lower())[:count]):
        numbers[i] = 1 + zlib.crc32(word.encode()) % (WORDS - 1)
    return numbers
