"""Makes environments: `make_env` one, `make_envs` N behind one interface."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import gymnasium
from gymnasium.envs.registration import EnvSpec

from a2c.envs.compiled.classic import CLASSIC_CONTROL
from a2c.envs.construction import (
    EnvSource,
    Traits,
    checked_kwargs,
    checked_source,
    checked_weights,
    construct,
    env_name,
    traits,
)
from a2c.envs.episode import close
from a2c.envs.placement import Placement, Vectorization, choose_workers
from a2c.envs.pool import Pool
from a2c.envs.sources import compiled_form, maker_of, own_form
from a2c.envs.values import Feedback
from a2c.envs.vector import Envs
from a2c.envs.wrapping import Wrapping, reads_texts
from a2c.errors import UserError, shown

if TYPE_CHECKING:
    from a2c.config import Config


class Kind(NamedTuple):
    """What to make N environments of; they differ only in their seeds."""

    env: EnvSource
    kwargs: Mapping[str, Any]
    """Arguments of the constructor."""
    seed: int
    """Decides every episode of every environment."""
    wrapping: Wrapping = Wrapping()
    """The wrappers around each."""
    feedback: Feedback = Feedback()
    """How rewards, lives and infos are read."""
    is_vector: bool = False
    """Whether `env` makes a vector environment of N."""
    offset: int = 0
    """The number that the first of these environments has in the run, if the others are stepped elsewhere."""


def kind_of(
    env: EnvSource,
    env_kwargs: Mapping[str, Any] | None,
    seed: int,
    wrapping: Wrapping = Wrapping(),  # noqa: B008 - immutable
    reward_weights: Sequence[float] | None = None,
) -> Kind:
    """A Kind from checked arguments; lives are not noted.

    Raises:
        UserError: An argument is wrong.
    """
    feedback = Feedback(checked_weights(reward_weights))
    return Kind(checked_source(env), checked_kwargs(env_kwargs), seed, wrapping, feedback)


def kind_for(config: Config, env: EnvSource, seed: int | None = None) -> Kind:
    """The environments that a run's policy plays on, by its settings; with the run's seed, unless another is given.

    Raises:
        UserError: A setting is wrong.
    """
    seed = config.seed if seed is None else seed
    kind = kind_of(env, config.env_kwargs, seed, Wrapping.of(config), config.reward_weights)
    feedback = kind.feedback._replace(info_keys=config.log_info)
    return kind._replace(feedback=feedback, is_vector=makes_many(config.vectorization, env))


def training_kind(config: Config, env: EnvSource) -> Kind:
    """The kind of environment that a run trains on: `kind_for`, with lives noted if the run learns from them.

    Raises:
        UserError: An argument or setting is not usable.
    """
    kind = kind_for(config, env)
    return kind._replace(feedback=kind.feedback._replace(notes_lives=config.terminal_on_life_loss))


def makes_many(vectorization: Vectorization, env: EnvSource) -> bool:
    """Whether somebody else's vector environment must be made, even for an evaluation.

    A callable makes either a vector environment or single ones; most ids have both, and then single ones will do.
    """
    if vectorization != "vector":
        return False
    source = maker_of(env, {}, Wrapping()).source
    return not isinstance(source, EnvSpec) or source.entry_point is None


def make_env(
    env: EnvSource,
    env_kwargs: Mapping[str, Any] | None = None,
    render_mode: str | None = None,
    wrapping: Wrapping = Wrapping(),  # noqa: B008 - immutable
) -> gymnasium.Env[Any, Any]:
    """One ordinary Gymnasium environment.

    Args:
        env: A Gymnasium id, `module:Id`, or a callable.
        env_kwargs: Arguments of its constructor.
        render_mode: "human", "rgb_array" or None, as in Gymnasium.
        wrapping: The wrappers around it.

    Raises:
        UserError: It is unknown, needs a package that is not installed, does not take these arguments, or its spaces
            are not supported.
        EnvError: Its constructor raised something else.
    """
    env = checked_source(env)
    kwargs = checked_kwargs(env_kwargs) | ({"render_mode": render_mode} if render_mode else {})
    make = maker_of(env, kwargs, wrapping)
    return construct(make, env_name(env), make.source, kwargs)


def make_envs(
    env: EnvSource,
    num_envs: int = 8,
    *,
    env_kwargs: Mapping[str, Any] | None = None,
    vectorization: Vectorization = "auto",
    num_workers: int | Literal["auto"] = "auto",
    isolate_envs: bool = False,
    env_timeout_seconds: float = 60.0,
    seed: int = 0,
    max_episode_steps: int | None = None,
    atari_preprocessing: bool = False,
    frame_stack: int = 1,
    reward_weights: Sequence[float] | None = None,
) -> Envs:
    """N environments behind one interface, which is also a `gymnasium.vector.VectorEnv`.

    Args:
        env: A Gymnasium id, `module:Id`, or a callable; callables need no `__main__` guard.
        num_envs: N, at least 1.
        env_kwargs: Arguments of the constructor.
        vectorization: Where environments run. "local": in this process. "workers": in worker processes, too. "auto":
            the faster of these, found by stepping one for a moment, or machine code if `env` is a CompiledEnv. All of
            them give the same numbers. "compiled": as machine code, of a CompiledEnv or of Gymnasium's classic control,
            whose resets then draw other numbers than Gymnasium's. "vector": somebody else's vector environment,
            registered under the id or made by the callable.
        num_workers: Worker processes beside this one; "auto": one per spare core.
        isolate_envs: Put every environment in a worker. By default this process steps a share itself.
        env_timeout_seconds: A worker is replaced if an environment in it makes no progress for this long.
        seed: Decides every episode of every environment.
        max_episode_steps: Truncate episodes after so many steps; None: only the environment's own limit.
        atari_preprocessing: Whether to preprocess an Atari game as Mnih et al. (2015) did.
        frame_stack: How many of the last observations make up one.
        reward_weights: The weight of each number of a vector reward; None: rewards are scalars.

    Raises:
        UserError: The environment is unknown or not supported, or an argument is out of range.
        EnvError: An environment could not be constructed.
        WorkerError: A worker died while starting.

    Example:
        >>> import numpy as np
        >>> envs = make_envs("CartPole-v1", num_envs=2, seed=7)
        >>> obs = envs.begin()
        >>> step = envs.advance(np.array([0, 1]))
        >>> step.reward.tolist()
        [1.0, 1.0]
        >>> envs.close()
    """
    from a2c.config import Config  # Here: worker processes import this package and do not need the command line.

    env = checked_source(env)
    config = Config(
        env_name(env),
        num_envs=num_envs,
        vectorization=vectorization,
        num_workers=num_workers,
        isolate_envs=isolate_envs,
        env_timeout_seconds=env_timeout_seconds,
        seed=seed,
        max_episode_steps=max_episode_steps,
        atari_preprocessing=atari_preprocessing,
        frame_stack=frame_stack,
    )
    kind = kind_of(env, env_kwargs, seed, Wrapping.of(config), reward_weights)
    envs = _envs(config, kind, config.vectorization)
    if envs.stepper.machine_code is not None:
        _ = envs.stepper.machine_code.advance  # Compiles it, so that this call raises what is wrong.
    return envs


def _envs(config: Config, kind: Kind, vectorization: Vectorization) -> Envs:
    """N environments of a kind, placed as the settings say; `vectorization` replaces theirs."""
    if vectorization == "vector":
        return _foreign_envs(kind, config.num_envs)
    env, own = kind.env, own_form(kind.env)
    # Machine code has no wrappers, no vector rewards, no lives and no infos.
    may_be_compiled = (
        own is not None and not config.wants_workers and (kind.wrapping, kind.feedback) == (Wrapping(), Feedback())
    )
    if vectorization == "compiled" or (vectorization == "auto" and may_be_compiled):
        return _compiled_envs(kind, config.num_envs)
    envs = gymnasium_envs(kind, config.num_envs, Placement.of(config)._replace(vectorization=vectorization))
    warn_of_ignored_parts(envs, env)
    return envs


def envs_for(config: Config, env: EnvSource, compiled: bool) -> Envs:
    """The environments that a run trains on.

    Args:
        config: The run's settings.
        env: `config.env_id`, or the callable of that name.
        compiled: Whether to use the compiled form.

    Raises:
        UserError: The environment is unknown or not supported.
        EnvError: An environment could not be constructed.
        WorkerError: A worker died while starting.
    """
    vectorization: Vectorization = "compiled" if compiled else config.vectorization
    if vectorization == "auto" and not config.wants_workers and compiled_form(env) is not None:
        vectorization = "local"  # A run that began without the compiled form must go on without it.
    envs = _envs(config, training_kind(config, env), vectorization)
    warn_of_normalizers(envs, env)
    return envs


def warn_of_ignored_parts(envs: Envs, env: EnvSource) -> None:
    """Warns if parts of the observations are ignored because they are not numbers."""
    if envs.left_out:
        warnings.warn(
            f"these parts of the observations of {env_name(env)} are not numbers and are ignored: {envs.left_out}",
            stacklevel=4,
        )


def warn_of_normalizers(envs: Envs, env: EnvSource) -> None:
    """Warns of Gymnasium's normalising wrappers, whose statistics are one per environment."""
    for wrapper in envs.normalizers:
        field = "normalize_returns" if wrapper == "NormalizeReward" else "normalize_observations"
        warnings.warn(
            f"{env_name(env)} is wrapped in {wrapper}: its statistics are one per environment, are not saved with the "
            f"policy, and differ in an evaluation; leave it out and use {field} (--{field.replace('_', '-')})",
            stacklevel=3,
        )


def gymnasium_envs(kind: Kind, num_envs: int, placement: Placement) -> Envs:
    """N Gymnasium environments, in this process and in workers.

    Raises:
        UserError: The environment is unknown or not supported, there cannot be so many workers, or texts are to be read
            of which there are none.
        EnvError: An environment could not be constructed.
        WorkerError: A worker died while starting.
    """
    if kind.is_vector:
        return _foreign_envs(kind, num_envs)
    make = maker_of(kind.env, kind.kwargs, kind.wrapping)
    # Spaces and metadata are read from the first environment, which then is one of the N if possible: each may hold a
    # port or a licence, so there are never more than N.
    probe = construct(make, env_name(kind.env), make.source, kind.kwargs)
    first: gymnasium.Env[Any, Any] | None = probe
    try:
        traits_of_all = traits(probe)
        words = kind.wrapping.text_words
        if words and not reads_texts(probe):
            raise UserError(
                f"text_words (--text-words) is {words}, but observations of {env_name(kind.env)} have no texts; leave "
                "it out, or set it to 0"
            )
        workers, was_stepped = choose_workers(probe, num_envs, placement)
    except BaseException:
        close(probe)
        raise
    if placement.isolate_envs or was_stepped:  # An environment that remembers earlier steps would begin differently.
        close(probe)
        first = None
    pool = Pool(
        make,
        num_envs,
        traits_of_all.action_space,
        traits_of_all.observation_space,
        workers,
        placement.isolate_envs,
        kind.seed,
        placement.env_timeout_seconds,
        first,
        kind.feedback,
        kind.offset,
    )
    return Envs(traits_of_all, pool)


def _foreign_envs(kind: Kind, num_envs: int) -> Envs:
    from a2c.envs.foreign import ForeignStepper, make_vector_env, traits_of  # Here: few need it.

    made = make_vector_env(kind.env, kind.kwargs, num_envs, kind.seed, kind.wrapping)
    try:
        return Envs(traits_of(made), ForeignStepper(made, kind.seed, kind.feedback))
    except BaseException:
        made.close()
        raise


def _compiled_envs(kind: Kind, num_envs: int) -> Envs:
    form = compiled_form(kind.env)
    if form is None:
        name = env_name(kind.env)
        if name in CLASSIC_CONTROL:
            name += ", which was registered again with something else,"
        raise UserError(
            f"vectorization is 'compiled', but {name} has no compiled form; only {', '.join(CLASSIC_CONTROL)} and any "
            "a2c.CompiledEnv do"
        )
    if kind.kwargs:
        raise UserError(f"env_kwargs is {shown(dict(kind.kwargs))}; the compiled form of {form.name} takes none")
    if kind.wrapping.max_episode_steps is not None:
        raise UserError(
            f"max_episode_steps is {kind.wrapping.max_episode_steps}; the compiled form of {form.name} has a limit of "
            "its own; set vectorization 'local' to change it"
        )
    for name in ("atari_preprocessing", "frame_stack", "text_words"):
        if getattr(kind.wrapping, name) != getattr(Wrapping(), name):
            raise UserError(
                f"{name} is {getattr(kind.wrapping, name)}; leave it out, as the compiled form of {form.name} cannot "
                "be wrapped"
            )
    if kind.feedback.notes_lives:
        raise UserError(f"terminal_on_life_loss is True; leave it out, as {form.name} has no lives")
    if kind.feedback.info_keys:
        raise UserError(
            f"log_info is {shown(kind.feedback.info_keys)}; leave it out, as the compiled form of {form.name} has no "
            "info, or set vectorization 'local', which steps Gymnasium's own environment"
        )
    if kind.feedback.reward_weights is not None:
        raise UserError(
            f"reward_weights is {shown(kind.feedback.reward_weights)}; leave it out, as rewards of {form.name} are "
            "single numbers"
        )
    from a2c.envs.compiled.stepper import CompiledStepper  # Here: importing Numba takes a while.

    traits_of_all = Traits(
        form.observation_space, form.action_space, None, {"render_modes": []}, None, form.max_episode_steps
    )
    return Envs(traits_of_all, CompiledStepper(form, num_envs, kind.seed))
