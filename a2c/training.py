"""Training a run: update, log, evaluate, save."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Mapping
from typing import Any

from tqdm import tqdm

from a2c.config import Config
from a2c.envs import Envs, make_envs
from a2c.envs.compiled.vector import CompiledEnvs
from a2c.envs.make import EnvSource, compiled_form, env_name
from a2c.errors import UserError, WorkerError
from a2c.kernels.compiler import compilation_shown
from a2c.learner import Learner
from a2c.logs import log_openers, open_logs
from a2c.presets import configure, origins
from a2c.run import Run
from a2c.schedule import is_due
from a2c.session import Session
from a2c.signals import Stopped, StopSignals, interrupts_remembered

_CALL_SECONDS = 0.1
"""How long a call of many updates may take, about: signals are heard between two calls."""


def train(env: EnvSource, *, preset: str = "auto", progress: bool = False, **settings: Any) -> Run:
    """Trains a policy and keeps everything about it in a run folder.

    Ctrl-C and SIGTERM end the run after the update under way, with everything saved.

    Args:
        env: A Gymnasium id, `module:Id`, or a callable that constructs an environment.
        preset: "auto": the preset named like the environment, where there is one; "none"; or a name of a preset.
        progress: Say what is done, and show a progress bar where standard error is a terminal.
        **settings: Fields of `Config`; they go before the preset's.

    Returns:
        The run; `run.summary` says how it ended.

    Raises:
        UserError: A setting, the environment or the run folder is not usable.
        EnvError: An environment raised; a checkpoint was saved.
        WorkerError: A worker died or gave no answer in time; a checkpoint was saved.

    Example:
        >>> import a2c
        >>> run = a2c.train("CartPole-v1", seed=1)  # doctest: +SKIP
        >>> run.summary["evaluation"]["mean"]  # doctest: +SKIP
        500.0
    """
    config = configure(env_name(env), preset, settings)
    return fit(config, env, origins(config, preset), progress)


def fit(config: Config, env: EnvSource, settings_from: Mapping[str, str], progress: bool) -> Run:
    """Trains with a given Config; `train` makes one.

    Args:
        config: The settings.
        env: What to train on: `config.env_id`, or the callable of that name.
        settings_from: Where each setting came from, for config.json.
        progress: As in `train`.

    Raises:
        UserError: The environment or the run folder is not usable.
        EnvError: An environment raised; a checkpoint was saved.
        WorkerError: A worker died or gave no answer in time; a checkpoint was saved.
    """
    with contextlib.ExitStack() as cleanup:
        if progress:
            cleanup.enter_context(compilation_shown())
        with interrupts_remembered():
            envs = envs_for(config, env)
            cleanup.callback(envs.close)
            learner = Learner(config, envs)
        openers = log_openers(config)
        run = Run.create(config, settings_from)
        logs = open_logs(openers, run.path)
        cleanup.callback(logs.close)
        # Only now: importing Paddle sets signal handlers of its own.
        stop = cleanup.enter_context(StopSignals())
        session = Session(run, config, env, learner, logs, stop)
        if progress:
            several = "s" if config.num_envs > 1 else ""
            place = f"engine {learner.engine_name}, {config.num_envs} environment{several} {envs.placement}"
            print(f"{config.env_id}, seed {config.seed}: {place}\nrun {run.path}", file=sys.stderr)
        total = config.num_updates * config.steps_per_update
        # disable=None: quiet where standard error is no terminal.
        bar = tqdm(total=total, unit=" steps", unit_scale=True, disable=None if progress else True)
        cleanup.callback(bar.close)
        at_most = 1
        try:
            while learner.updates < config.num_updates:
                stop.check()
                count = _updates_until_due(config, learner.steps, at_most)
                seconds = session.update(count)
                if learner.is_fused:
                    at_most = max(1, int(_CALL_SECONDS * count / seconds))
                bar.update(count * config.steps_per_update)
                if session.episode_return is not None:
                    bar.set_postfix_str(f"return {session.episode_return:.1f}", refresh=False)
                if is_due(config.eval_every_steps, learner.steps, config.steps_per_update):
                    session.evaluate()
                session.save_if_due()
            session.evaluate_at_the_end()
        except Exception as error:
            # Whatever went wrong, what was learnt is saved; and a worker that died because a signal to all processes
            # reached it before us is no error.
            _save_all(session)
            if not isinstance(error, Stopped | WorkerError) or not stop.received:
                raise
        session.summarize(envs.placement)
    return run


def _updates_until_due(config: Config, steps: int, at_most: int) -> int:
    """Updates until the next evaluation, or the end."""
    until = config.num_updates * config.steps_per_update - steps
    if config.eval_every_steps:
        until = min(until, config.eval_every_steps - steps % config.eval_every_steps)
    return min(-(-until // config.steps_per_update), at_most)


def envs_for(config: Config, env: EnvSource) -> Envs | CompiledEnvs:
    """The environments that a run trains on: in compiled form where there is one and nothing else is asked for.

    Raises:
        UserError: The environment is unknown or not supported.
        EnvError: An environment could not be constructed.
        WorkerError: A worker died while starting.
    """
    vectorization = config.vectorization
    workers_wanted = config.isolate_envs or config.num_workers not in ("auto", 0)
    if vectorization == "auto" and not workers_wanted and not config.env_kwargs and compiled_form(env) is not None:
        vectorization = "compiled"
    return make_envs(
        env,
        config.num_envs,
        env_kwargs=config.env_kwargs,
        vectorization=vectorization,
        num_workers=config.num_workers,
        isolate_envs=config.isolate_envs,
        env_timeout_seconds=config.env_timeout_seconds,
        seed=config.seed,
    )


def _save_all(session: Session) -> None:
    """Saves, and where that fails too, says so: the first error is the one to report."""
    try:
        session.save_all()
    except UserError as error:
        warnings.warn(f"what was learnt is not saved: {error}", stacklevel=2)
