"""What is put around an environment because a setting says so: Atari's preprocessing, words of texts, a time limit."""

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
    from a2c.config import Config  # Only then: worker processes import this package, and need no command line.

ATARI_ENTRY_POINT = "ale_py.env:AtariEnv"

_NO_ATARI = "atari_preprocessing is for games of ale_py, and {} is none; leave it out"

_FIRE = 1
"""That action, of games that have it."""


class Wrapping(NamedTuple):
    """Settings of that name, as `Config` has them."""

    max_episode_steps: int | None = None
    """Cut episodes off after so many steps; None: only where the environment does."""
    atari_preprocessing: bool = False
    """Whether an Atari is played as Mnih et al. (2015) did."""
    frame_stack: int = 1
    """How many observations, the last ones, are observed at once."""
    text_words: int = 0
    """How many words of each text are observed, the first ones; 0: none."""

    @classmethod
    def of(cls, config: Config) -> Wrapping:
        """That of a run's settings."""
        return cls(config.max_episode_steps, config.atari_preprocessing, config.frame_stack, config.text_words)

    def arguments(self, spec: EnvSpec, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The constructor's arguments: those given, and what goes inside the wrappers.

        Raises:
            UserError: They do not go together, or it is no Atari and is to be played like one.
        """
        if not self.atari_preprocessing:
            return dict(kwargs)
        if spec.entry_point != ATARI_ENTRY_POINT:
            raise UserError(_NO_ATARI.format(spec.id))
        for name in ("frameskip", "obs_type"):
            if name in kwargs:
                raise UserError(
                    f"env_kwargs has {name} {shown(kwargs[name])}; leave it out, as atari_preprocessing skips frames "
                    "and looks at the screen itself (atari_preprocessing False plays the game as it is)"
                )
        # AtariPreprocessing looks at the screen itself. A game that shows its memory does not copy it at every frame.
        return {**kwargs, "frameskip": 1, "obs_type": "ram", "repeat_action_probability": 0.0}

    def repeats(self, spec: EnvSpec, kwargs: Mapping[str, Any]) -> float | None:
        """With which probability actions are to be repeated that ale_py is not to repeat; None: nothing is known.

        Raises:
            UserError: It is none.
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
        """The environment in its wrappers; `name` is for errors, and `repeats` gave what was said of repeated actions.

        Raises:
            UserError: It is no Atari, and is to be played like one; or a package is missing.
        """
        if self.atari_preprocessing:
            if getattr(env.unwrapped, "ale", None) is None:
                raise UserError(_NO_ATARI.format(name))
            skip = getattr(env.unwrapped, "_frameskip", None)
            if skip != 1:
                raise UserError(
                    f"{name} makes a game with frameskip {shown(skip)}; atari_preprocessing skips frames itself: it "
                    "must be made with frameskip=1"
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
    """After how many steps a game of ale_py is cut off, which counts frames; None: that is not known."""
    arguments = {} if spec is None else spec.kwargs
    frames, skip = arguments.get("max_num_frames_per_episode"), arguments.get("frameskip", 1)
    for wrapper in wrappers_of(env):
        if isinstance(wrapper, AtariPreprocessing):
            skip = wrapper.frame_skip
    return frames // skip if isinstance(frames, int) and isinstance(skip, int) and skip > 0 else None


class Console(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A game of ale_py whose chance is drawn here, from the generator that its reset seeds.

    Seeding ale_py's own means loading the game again, at every episode: as long as 250 steps of Pong. So sticky actions
    are drawn here as ale_py does (Machado et al. 2018), it draws nothing, and every episode begins with the state that
    the game had when it was loaded. (A reset alone leaves something behind in Freeway, Tennis and Frostbite.)
    """

    def __init__(self, env: gymnasium.Env[Any, Any], repeat_action_probability: float) -> None:
        super().__init__(env)
        game: Any = env.unwrapped
        self._game = game
        self._repeats = repeat_action_probability
        self._start: Any = None
        self._last: Any = 0
        gray: Any = np.uint8  # All that `AtariPreprocessing` asks for is the size.
        self.observation_space = spaces.Box(0, 255, game.ale.getScreenDims(), gray)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """The game as it was when it was loaded, and a generator with this seed."""
        is_first = self._start is None
        if is_first:
            result = self.env.reset(seed=0, options=options)
            self._start = self._game.ale.cloneState(include_rng=True)
        else:
            result = self.env.reset(options=options)
            self._game.ale.restoreState(self._start)
        if seed is not None or is_first:
            self._game.np_random = seeding.np_random(seed)[0]  # Of the system's, where nobody gave a seed.
        self._last = 0
        return result

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """A frame with this action, or with that of the frame before."""
        if self._repeats and self._game.np_random.random() < self._repeats:
            action = self._last
        self._last = action
        return self.env.step(action)


class Stacked(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Arrays in observations become the last so many of them, the newest last; all else, masks too, is the newest.

    Gymnasium's `FrameStackObservation` stacks choices and masks as well, of which nothing can be learnt then.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], count: int) -> None:
        super().__init__(env)
        self._frames: collections.deque[Any] = collections.deque(maxlen=count)
        self._count = count
        self.observation_space = self._space(env.observation_space)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """The first observation, as often."""
        obs, info = self.env.reset(seed=seed, options=options)
        self._frames.extend([copy.deepcopy(obs)] * self._count)
        return self._stacked(self.env.observation_space, list(self._frames)), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """A step, with what was observed before it."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        self._frames.append(copy.deepcopy(obs))  # An environment may use its arrays again.
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
        """Some values of a space as one; what is none of it stays, and is named by whoever looks at it."""
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
    """Presses FIRE where a life begins, as some games wait for it: a policy that never does would play for ever.

    Reference: `FireResetEnv` of OpenAI's Baselines.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self._lives = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """The first observation after FIRE was pressed."""
        self.env.reset(seed=seed, options=options)
        obs, _, _, _, info = self.env.step(_FIRE)
        self._lives = info.get("lives", 0)
        return obs, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """A step; and where it cost a life, one more, whose reward counts with it."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        lost, self._lives = info.get("lives", 0) < self._lives, info.get("lives", 0)
        if lost and not (terminated or truncated):
            obs, more, terminated, truncated, info = self.env.step(_FIRE)
            reward = float(reward) + float(more)
            self._lives = info.get("lives", 0)
        return obs, reward, terminated, truncated, info


WORDS = 256
"""What a word is one of: 0 stands for none, the others for a remainder each. No two of MiniGrid's that could be in
one another's place have the same."""


def _is_text(space: gymnasium.Space[Any]) -> bool:
    """Gymnasium's Text, or a space of a package's own that says it holds strings, as MiniGrid's missions."""
    return space.dtype is not None and np.dtype(space.dtype).kind == "U"


def reads_texts(env: gymnasium.Env[Any, Any]) -> bool:
    """Whether an environment's observations have texts, whose words its wrappers read."""
    readers = (wrapper for wrapper in wrappers_of(env) if isinstance(wrapper, WordsOfTexts))
    return any(_is_text(leaf) for reader in readers for _, leaf in left_out(reader.env.observation_space))


class WordsOfTexts(gymnasium.ObservationWrapper[Any, Any, Any]):
    """Texts in observations become a MultiDiscrete of their first words, each by the remainder of its checksum.

    Reference: Weinberger et al., "Feature hashing for large scale multitask learning" (2009), for remainders instead
        of a vocabulary.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], words: int) -> None:
        super().__init__(env)
        self._words = words
        self.observation_space = self._space(env.observation_space)

    def observation(self, observation: Any) -> Any:
        """With words as numbers, in the place of texts."""
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
    """The first words of a text as numbers from 0 to WORDS - 1, [count]; 0 behind the last of a shorter one.

    Example:
        >>> words_of("Go to the RED ball!", 6).tolist() == words_of("go to the red ball", 6).tolist()
        True
    """
    numbers = np.zeros(count, np.int64)
    for i, word in enumerate(re.findall(r"\w+", text.lower())[:count]):
        numbers[i] = 1 + zlib.crc32(word.encode()) % (WORDS - 1)
    return numbers
