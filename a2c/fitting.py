"""Settings fitted to an environment's spaces. A run without a preset takes them unless others are chosen."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from a2c.config import Config
from a2c.envs.compiled.form import CompiledEnv
from a2c.envs.construction import EnvSource, Traits, env_name, traits
from a2c.envs.episode import close
from a2c.envs.make import make_env, makes_many
from a2c.envs.wrapping import WORDS, Wrapping, reads_texts
from a2c.model.architecture import Leaf, factors_of, leaves_of
from a2c.model.images import ImageShape
from a2c.model.own import is_own

FITTED = "fitted"
"""The origin of a fitted setting begins with this word; its reason follows."""

DECIDE = (
    "env_kwargs", "actor_step", "network", "memory_size", "clip_rewards", "vectorization", "num_envs", *Wrapping._fields
)  # fmt: skip
"""Settings on which the fitted ones depend, if they were chosen."""

_MANY = ("vectorization", "num_envs")
"""Settings with which a vector environment is made to read its spaces."""

_WIDE, _WIDEST = 64, 512
"""Up to so many inputs, hidden layers have 64 and 128 units; with more, 256."""

_MOST_WEIGHTS = 2**23
"""Most weights of a first layer: with more, learning would take longer than stepping most environments."""

_LONG_ROLLOUTS = 2048
"""Up to so many inputs, a rollout has 16 steps; with more, which take more memory, 8."""

_NATURAL: dict[str, Any] = {
    "actor_step": "natural",
    "natural_kl": 0.02,
    "natural_max_step": 10.0,
    "normalize_advantage": False,
    "rollout_length": 128,
    "schedule": "constant",
}
"""Settings of natural steps, which are taken up to `_WIDE` inputs. Values and limit come from `benchmarks.tuning`, on
environments that have presets: with 105 and 348 inputs, Ant-v5 and Humanoid-v5 learnt more with small plain steps. In
200,000 steps, a schedule that ends at 0 learnt less in four environments of six (docs/results.md)."""

_FEW = 10
"""Up to so many inputs, continuous actions take `_MUCH_NOISE`; with more, `_UNBOUNDED` steps."""

_MUCH_NOISE: dict[str, Any] = {"initial_log_std": 0.0}
"""Pendulum-v1 and LunarLanderContinuous-v3 learnt more than with half the noise; HalfCheetah-v5 learnt half as much."""

_UNBOUNDED: dict[str, Any] = {"natural_max_step": None, "normalize_advantage": True}
"""Hopper-v5 reached 3,200 on each of three seeds; with a bound, on two at best. Some runs of Pendulum-v1 failed with
these."""


_WORDS: dict[str, Any] = {"text_words": 16}
"""The missions of MiniGrid, and most of BabyAI's, have at most 16 words."""

WITHIN_A_ROLLOUT = "memory is learnt by plain steps, from what happens within one rollout"
"""Why rollouts are long if the policy has memory."""


class Asked(NamedTuple):
    """The chosen settings that decide, with the two spaces, what is fitted."""

    actor_step: str | None = None
    """"gradient" or "natural"; None: neither was chosen."""
    network: str = "auto"
    reads: bool = False
    """Whether observations have texts that are read word by word."""
    remembers: bool = False
    """Whether the policy has memory: it then takes plain steps, on rollouts long enough to learn what to remember."""
    clips_rewards: bool = False


class Fit(NamedTuple):
    """Fitted settings, and the reason for each."""

    values: dict[str, Any]
    """By field of Config."""
    reasons: dict[str, str]
    """By the same fields."""


def lines(config: Config, origins: Mapping[str, str]) -> list[str]:
    """The fitted settings for a person to read: a line for each reason, with the settings that it explains."""
    by_reason: dict[str, list[str]] = {}
    for name, origin in origins.items():
        if origin.startswith(FITTED):
            value = getattr(config, name)
            shown = ("-".join(map(str, value)) or "none") if isinstance(value, tuple) else value
            by_reason.setdefault(origin.removeprefix(f"{FITTED}: "), []).append(f"{name} {shown}")
    return [f"{', '.join(names)}: {reason}" for reason, names in by_reason.items()]


def fit_to(env: EnvSource, chosen: Mapping[str, Any]) -> Fit:
    """The settings for an environment, which is constructed to read its spaces.

    Args:
        env: The environment.
        chosen: The chosen settings by field name; only those in `DECIDE` count.

    Raises:
        UserError: The environment is unknown or cannot be trained on.
        EnvError: Its constructor raised an exception.
    """
    env_kwargs = dict(chosen.get("env_kwargs") or {})
    asked = Asked(
        asked_step(chosen),
        chosen.get("network") or "auto",
        remembers=wants_memory(chosen),
        clips_rewards=chosen.get("clip_rewards") is True,
    )
    around = _WORDS | {name: chosen[name] for name in (*Wrapping._fields, *_MANY) if name in chosen}
    config = dataclasses.replace(Config(env_name(env)), **around)  # Config checks the values.
    wrapping = Wrapping.of(config)
    if makes_many(config.vectorization, env):
        return _fit_to_many(env, env_kwargs, config, asked)
    if isinstance(env, CompiledEnv):
        return fit(env.observation_space, env.action_space, asked)
    # Most environments have no texts, so one made with words serves for both. Only with texts is a second one made.
    found, reads = _probed(env, env_kwargs, wrapping._replace(text_words=wrapping.text_words or _WORDS["text_words"]))
    if reads and not wrapping.text_words:
        found, reads = _probed(env, env_kwargs, wrapping)
    return fit(found.observation_space, found.action_space, asked._replace(reads=reads))


def asked_step(chosen: Mapping[str, Any]) -> str | None:
    """The chosen actor step: by its name, or implied by learning_rate, which only plain steps have; None: neither."""
    return chosen.get("actor_step") or ("gradient" if "learning_rate" in chosen else None)


def wants_memory(chosen: Mapping[str, Any]) -> bool:
    """Whether memory was chosen. A value that is not a number counts as no; Config reports it later."""
    size = chosen.get("memory_size")
    return isinstance(size, int | np.integer) and int(size) > 0


def _probed(env: EnvSource, env_kwargs: Mapping[str, Any], wrapping: Wrapping) -> tuple[Traits, bool]:
    """The traits of an environment, and whether it has texts that are read."""
    if isinstance(env, str):
        return _probed_by_id(env, json.dumps(env_kwargs, sort_keys=True), wrapping)
    return _probed_once(env, env_kwargs, wrapping)


@functools.cache
def _probed_by_id(env_id: str, env_kwargs: str, wrapping: Wrapping) -> tuple[Traits, bool]:
    # A command line is parsed twice, for defaults and for their origins; the environment is constructed only once.
    return _probed_once(env_id, json.loads(env_kwargs), wrapping)


def _probed_once(env: EnvSource, env_kwargs: Mapping[str, Any], wrapping: Wrapping) -> tuple[Traits, bool]:
    probe = make_env(env, env_kwargs, wrapping=wrapping)
    try:
        return traits(probe), reads_texts(probe)
    finally:
        close(probe)


def _fit_to_many(env: EnvSource, env_kwargs: Mapping[str, Any], config: Config, asked: Asked) -> Fit:
    from a2c.envs.foreign import make_vector_env, traits_of  # Imported late: few need it.

    probe = make_vector_env(env, env_kwargs, config.num_envs, config.seed, Wrapping.of(config)._replace(text_words=0))
    try:
        found = traits_of(probe)
    finally:
        probe.close()
    return fit(found.observation_space, found.action_space, asked)


def fit(
    observation_space: gymnasium.Space[Any],
    action_space: gymnasium.Space[Any],
    asked: Asked = Asked(),  # noqa: B008 - immutable
) -> Fit:
    """The settings for an observation space and an action space, given what was chosen.

    Example:
        >>> fit(gymnasium.spaces.Box(-1, 1, (17,)), gymnasium.spaces.Discrete(2)).values["hidden_sizes"]
        (64, 64)
    """
    leaves = leaves_of(observation_space, True, asked.network)
    images = [leaf.image for leaf in leaves if leaf.kind == "pixels"]
    if images:
        return _fit_to_images(images, [leaf for leaf in leaves if leaf.kind != "pixels"], asked)
    real = sum(leaf.columns for leaf in leaves if leaf.kind == "real")
    # Words count as single inputs: most words that are possible never occur.
    inputs = sum(leaf.columns if _are_words(leaf, asked) else sum(leaf.choices) or leaf.columns for leaf in leaves)
    width = 64 if inputs <= _WIDE else 128 if inputs <= _WIDEST else 256
    enough = "wide enough for"
    while width * inputs > _MOST_WEIGHTS and width > 64:
        width, enough = width // 2, "no wider, as every unit has a weight for each of"
    counts = all(leaf.kind == "one_of" for leaf in leaves)
    length = 16 if inputs <= _LONG_ROLLOUTS else 8
    of_real = f"{real} of them to be normalised" if real < inputs else "to be normalised"
    counted = f"{inputs} number{'s' if inputs > 1 else ''}"
    seen = f"observations are {counted}, {of_real}" if real else f"observations are {inputs} zeros and ones"
    if not real and any(leaf.divisor != 1 for leaf in leaves):
        seen = "observations are bytes"
    chosen: list[tuple[dict[str, Any], str]] = [
        _normalised(real > 0, asked, seen),
        ({"hidden_sizes": (width, width)}, f"{enough} {inputs} input{'s' if inputs > 1 else ''}"),
    ]
    suits = inputs <= _WIDE and not counts and not asked.remembers
    if asked.actor_step == "natural" or (suits and asked.actor_step is None):
        more = "with so few inputs, a natural step learns more from a rollout than a plain one"
        chosen.append((_NATURAL, more if suits else "a natural step takes a long rollout"))
        if any(factor.kind == "gaussian" for factor in factors_of(action_space)):
            if inputs <= _FEW:
                chosen.append((_MUCH_NOISE, "actions are continuous, and much noise at first tries many of them"))
            else:
                chosen.append(
                    (
                        _UNBOUNDED,
                        f"with continuous actions and {inputs} inputs, steps as long as natural_kl allows learn more",
                    )
                )
    else:
        few, many = "longer rollouts are cheap with so few inputs", "so many inputs take much memory"
        kept = few if length == 16 else many
        values: dict[str, Any] = {"rollout_length": length, "schedule": "linear"}
        if asked.remembers:
            kept = WITHIN_A_ROLLOUT
            values |= {"actor_step": "gradient", "rollout_length": 2 * length}
        chosen.append((values, f"{kept}, and smaller steps at the end preserve what was learnt"))
    if counts:
        # Each value of a discrete observation has weights of its own, which change only in steps with that value.
        # FrozenLake-v1 learnt more in 80,000 steps at 3e-3 than in 200,000 at 7e-4. At this rate entropy falls fast:
        # with an entropy_coef of 0 or .01 Taxi-v4 stayed at -9.8 (optimum 7.9) and FrozenLake-v1 at .15 or .6
        # (optimum .74; seeds 0 and 1).
        chosen.append(
            (
                {"learning_rate": 3e-3, "entropy_coef": 0.05},
                "observations are discrete, and each value is learnt separately",
            )
        )
    return _together([*chosen, *_texts(asked)], asked)


def _are_words(leaf: Leaf, asked: Asked) -> bool:
    return asked.reads and set(leaf.choices) == {WORDS}


def _texts(asked: Asked) -> list[tuple[dict[str, Any], str]]:
    return [(_WORDS, "observations have texts, which are read word by word")] if asked.reads else []


def _fit_to_images(images: list[ImageShape], others: list[Leaf], asked: Asked) -> Fit:
    """The settings if convolutions see images, with or without other inputs beside them."""
    sizes = " and ".join(f"{image.lines} x {image.columns}" for image in images)
    real = any(leaf.kind == "real" for leaf in others)
    hidden_sizes, what = ((64, 64), "combine features of images with other inputs") if others else ((), "")
    chosen: list[tuple[dict[str, Any], str]] = [
        (
            {"network": "nature" if asked.network == "auto" else asked.network},
            f"observations have images of {sizes} pixels",
        ),
        (
            {"hidden_sizes": hidden_sizes},
            what or "the features of an image go straight to actor and critic",
        ),
        # An environment whose image has one bright half was not learnt in 12,000 steps at 1e-3 (seed 1), and in 6,000
        # at 3e-4.
        ({"learning_rate": 3e-4, "schedule": "linear"}, "convolutions need small steps, smaller ones at the end"),
        ({"rollout_length": 16}, WITHIN_A_ROLLOUT)
        if asked.remembers
        else ({"rollout_length": 8}, "images take much memory"),
        _normalised(real, asked, ""),
    ]
    return _together([*chosen, *_texts(asked)], asked)


def _normalised(observations: bool, asked: Asked, seen: str) -> tuple[dict[str, Any], str]:
    """Whether observations and rewards are normalised, and why; `seen` describes the observations."""
    rewards = "rewards are clipped" if asked.clips_rewards else "rewards may be of any size"
    values = {"normalize_observations": observations, "normalize_returns": not asked.clips_rewards}
    return values, ", and ".join(why for why in (seen, rewards) if why)


def _together(chosen: list[tuple[dict[str, Any], str]], asked: Asked) -> Fit:
    """One Fit from groups of settings, each with its reason; a later group overrides earlier ones.

    With a network of the user's own, its layers are not fitted.
    """
    theirs = ("network", "hidden_sizes") if is_own(asked.network) else ()
    groups = [({name: group[name] for name in group if name not in theirs}, reason) for group, reason in chosen]
    values = {name: value for group, _ in groups for name, value in group.items()}
    return Fit(values, {name: reason for group, reason in groups for name in group})
