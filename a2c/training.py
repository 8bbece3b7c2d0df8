"""Training a run: update, log, evaluate, save."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from a2c import checkpoint, consent, start
from a2c.config import FREE, Config, check_field_names
from a2c.envs import Envs, make_envs
from a2c.envs.compiled.vector import CompiledEnvs
from a2c.envs.episode import Failure
from a2c.envs.leftovers import sweep_temporary_folders
from a2c.envs.make import EnvSource, compiled_form, env_name
from a2c.envs.watchdog import watched
from a2c.errors import UserError, WorkerError, shown
from a2c.evaluation import shown_returns
from a2c.kernels.compiler import compilation_shown
from a2c.learner import Learner
from a2c.logs import cut_back, log_openers, open_logs
from a2c.presets import configure, origins
from a2c.run import Run
from a2c.screen import Screen
from a2c.session import Session, made_with
from a2c.signals import Stopped, StopSignals, interrupts_remembered, pass_on

_CALL_SECONDS = 0.1
"""How long a call of many updates may take, about: signals are heard between two calls."""


def train(env: EnvSource, *, preset: str = "auto", progress: bool = False, **settings: Any) -> Run:
    """Trains a policy and keeps everything about it in a run folder.

    Ctrl-C, SIGTERM and SIGHUP end the run after the update under way, with everything saved; then they do what they
    would have done without us: a Ctrl-C is raised, SIGTERM is a SystemExit.

    Args:
        env: A Gymnasium id, `module:Id`, or a callable that constructs an environment.
        preset: "auto": the preset named like the id, where there is one and the id is Gymnasium's own; "none"; or a
            name of a preset.
        progress: Say what is done, and show a progress bar where standard error is a terminal.
        **settings: Fields of `Config`; they go before the preset's. `start_from` may be a `Run`.

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
    if preset == "auto" and not isinstance(env, str):
        preset = "none"  # Presets are for ids. A callable may be called anything, `tutorial` even.
    if isinstance(settings.get("start_from"), Run):
        settings["start_from"] = str(settings["start_from"].path)
    config = configure(env_name(env), preset, settings)
    return _passed_on(fit(config, env, origins(config, preset), progress))


def resume(
    run: Run | str | os.PathLike[str],
    *,
    env: EnvSource | None = None,
    progress: bool = False,
    **changes: Any,
) -> Run:
    """Continues a run from its newest checkpoint, to the same bits as if it had never ended.

    Args:
        run: The run, or its folder.
        env: What to train on; needed where the run was given a callable, or an id with a module to import.
        progress: As in `train`.
        **changes: Fields of `Config` that do not decide results: `total_steps` (to train further), `engine`,
            `num_workers` and the like.

    Returns:
        The run. One that is finished is left as it is.

    Raises:
        UserError: The folder is damaged, another process trains this run, or a change is not possible.
        EnvError: An environment raised; a checkpoint was saved.
        WorkerError: Workers died or gave no answer in time, again and again; a checkpoint was saved.
    """
    return _passed_on(go_on(run, env, progress, **changes))


def go_on(
    run: Run | str | os.PathLike[str],
    env: EnvSource | None,
    progress: bool,
    owns_process: bool = False,
    **changes: Any,
) -> Run:
    """`resume`, for whom signals have no effect but that the run ends; arguments as there, and as in `fit`.

    Raises:
        UserError: The folder is damaged, another process trains this run, or a change is not possible.
        EnvError: An environment raised; a checkpoint was saved.
        WorkerError: Workers died or gave no answer in time, again and again; a checkpoint was saved.
    """
    sweep_temporary_folders()
    run = run if isinstance(run, Run) else Run(run)
    source = run.environment(env)
    check_field_names(changes)
    fixed = [name for name in changes if name not in FREE]
    if fixed:
        raise UserError(f"{fixed[0]} decides results and cannot change within a run; train a new one with it")
    config = dataclasses.replace(run.config, **changes)
    if run.is_finished and config.num_updates <= run.config.num_updates:
        return run
    return _train(config, source, {}, progress, run, owns_process)


def _passed_on(run: Run) -> Run:
    """The run, if no signal ended it; one that did has its effect now."""
    if run.stopped_by:
        pass_on(run.stopped_by, str(run.path))
    return run


def fit(
    config: Config, env: EnvSource, settings_from: Mapping[str, str], progress: bool, owns_process: bool = False
) -> Run:
    """Trains with a given Config; `train` makes one.

    Args:
        config: The settings.
        env: What to train on: `config.env_id`, or the callable of that name.
        settings_from: Where each setting came from, for config.json.
        progress: As in `train`.
        owns_process: Whether the process may be ended where an environment in it hangs, as a command line may be; else
            an error is raised where it hangs.

    Raises:
        UserError: The environment or the run folder is not usable.
        EnvError: An environment raised; a checkpoint was saved.
        WorkerError: Workers died or gave no answer in time, again and again; a checkpoint was saved.
    """
    return _train(start.settled(config), env, settings_from, progress, None, owns_process)


def _train(
    config: Config,
    env: EnvSource,
    settings_from: Mapping[str, str],
    progress: bool,
    run: Run | None,
    owns_process: bool,
) -> Run:
    """Trains a new run, or goes on with one."""
    with contextlib.ExitStack() as cleanup:
        if progress:
            cleanup.enter_context(compilation_shown())
        saved = None
        if run is not None:
            cleanup.enter_context(run.locked())
            run.sweep()
            saved = _checkpoint_of(run, config)
        begins_with = start.read(config) if saved is None else None  # A checkpoint has all that came of it.
        with interrupts_remembered():
            compiled = is_compiled(config, env) if run is None else _as_before(run, config)
            envs = envs_for(config, env, compiled)
            cleanup.callback(envs.close)
            _warn_of_images(envs)
            learner = Learner(config, envs, begins_with)
            if saved is not None:
                with _fitting(saved):
                    learner.restore(saved.arrays, saved.counters["updates"])
        openers = log_openers(config)
        lost = None
        if run is None:  # Only now, when everything else stands.
            run = Run.create(config, settings_from, compiled, not isinstance(env, str))
            if env == config.env_id and ":" in config.env_id:
                consent.remember(run.path, config.env_id)
            cleanup.enter_context(run.locked())
        else:
            run = run.reconfigured(config)
            run.forget_summary()
            lost = cut_back(run.path, saved.notes["logs"] if saved else {"metrics.jsonl": 0})
        logs = open_logs(openers, run.path)
        cleanup.callback(logs.close)
        # Only now: importing Paddle sets signal handlers of its own.
        stop = cleanup.enter_context(StopSignals())

        def watch(here: Envs) -> contextlib.AbstractContextManager[None]:
            where = "" if here is envs else " in an evaluation"
            return watched(
                here,
                config.env_timeout_seconds,
                lambda n: _end(session, here, n, where, None if owns_process else stop),
            )

        screen = Screen(config.num_updates * config.steps_per_update, learner.steps, progress)
        cleanup.callback(screen.close)
        num_workers = envs.num_workers if isinstance(envs, Envs) else 0
        session = Session(run, config, env, learner, logs, stop, screen, watch, num_workers)
        cleanup.callback(session.close)
        reasons = []
        if saved is not None:
            with _fitting(saved):
                session.restore(saved)
            reasons = _why_inexact(saved, config, learner)
            if lost is not None:
                warnings.warn(lost, stacklevel=2)
                reasons.append(lost)
            session.note_resumed(reasons)
        if progress:
            several = "s" if config.num_envs > 1 else ""
            place = f"engine {learner.engine_name}, {config.num_envs} environment{several} {envs.placement}"
            print(f"{config.env_id}, seed {config.seed}: {place}\nrun {run.path}", file=sys.stderr)
            if saved is not None:
                how = f", not exactly: {'; '.join(reasons)}" if reasons else ""
                print(f"resumed after {learner.steps} steps{how}", file=sys.stderr)
        session.save()  # So that there is one, whatever comes.
        if isinstance(envs, Envs):
            cleanup.enter_context(watch(envs))
        try:
            _loop(config, learner, session, stop, screen)
            session.evaluate_at_the_end()
        except Exception as error:
            # Whatever went wrong, what was learnt is saved; and a worker that died because a signal to all processes
            # reached it before us is no error.
            hint = _save_all(session, error, learner.failure(error))
            if not isinstance(error, Stopped | WorkerError) or not stop.received:
                if progress and hint:
                    print(hint, file=sys.stderr)
                raise
        session.summarize(envs.placement)
    return run


def _warn_of_images(envs: Envs | CompiledEnvs) -> None:
    space: Any = envs.single_observation_space
    if space.dtype == np.uint8 and len(space.shape) in (2, 3):
        warnings.warn(
            f"observations are images {space.shape}, and the network is fully connected: it has no convolution yet",
            stacklevel=3,
        )


def _loop(config: Config, learner: Learner, session: Session, stop: StopSignals, screen: Screen) -> None:
    at_most = 1
    session.evaluate_if_due()  # Where a run was resumed that ended in the middle of an evaluation.
    while learner.updates < config.num_updates:
        stop.check()
        count = _updates_until_due(config, learner.steps, at_most)
        seconds = session.update(count)
        if learner.is_fused:
            at_most = max(1, int(_CALL_SECONDS * count / seconds))
        reached = "" if session.episode_return is None else shown_returns([session.episode_return])[0]
        screen.advance(count * config.steps_per_update, reached)
        session.evaluate_if_due()
        session.save_if_due()


def _checkpoint_of(run: Run, config: Config) -> checkpoint.Checkpoint | None:
    """The newest checkpoint of a run that is to go on; None where it never came to its first.

    Raises:
        UserError: There is none that is whole, or it is not of this run.
    """
    if checkpoint.is_empty(run.checkpoints):
        warnings.warn(f"{run.path} has no checkpoint yet: it begins at the start", stacklevel=2)
        return None
    saved = checkpoint.newest(run.checkpoints)
    if saved.notes.get("config") != run.config.identity():
        raise UserError(f"{run.config_path} is not what {saved.path} was made with; a run keeps its settings")
    if saved.counters["updates"] > config.num_updates:
        raise UserError(
            f"total_steps is {config.total_steps}, and the run has made {saved.counters['steps']} steps; "
            "it must be at least those"
        )
    with _fitting(saved):
        if saved.counters["steps"] != saved.counters["updates"] * config.steps_per_update:
            raise ValueError(f"{saved.counters} are not steps and updates of {config.steps_per_update} steps each")
        # What is about to be made is as large as the settings say: look whether the arrays are, too.
        sizes = [saved.arrays[f"actor.{i}.weight"].shape[1] for i in range(len(config.hidden_sizes))]
        if sizes != list(config.hidden_sizes):
            raise ValueError(f"its hidden layers have {sizes} units; the settings say {list(config.hidden_sizes)}")
        if saved.arrays["collector.lengths"].shape != (config.num_envs,):
            raise ValueError(f"it is not of {config.num_envs} environments")
        if not all(isinstance(saved.notes[name], dict) for name in ("session", "logs", "made_with")):
            raise ValueError("its notes are no JSON objects")
    return saved


@contextlib.contextmanager
def _fitting(saved: checkpoint.Checkpoint) -> Iterator[None]:
    """Where a checkpoint is whole and yet not what this run could have written.

    Raises:
        UserError: Naming it and the fault.
    """
    try:
        yield
    except KeyError as error:
        raise UserError(f"{saved.path} does not fit this run: it lacks {error}") from error
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise UserError(f"{saved.path} does not fit this run: {error}") from error


def _why_inexact(saved: checkpoint.Checkpoint, config: Config, learner: Learner) -> list[str]:
    """Why a run that goes on from a checkpoint may end in other bits than one that was never interrupted."""
    then, now = saved.notes["made_with"], made_with(learner.engine_name)
    reasons = [
        f"{name} is {now.get(name)}, it was {shown(then.get(name))}" for name in now if now[name] != then.get(name)
    ]
    before = saved.notes.get("total_steps")
    if before != config.total_steps and config.schedule == "linear":
        reasons.append(f"total_steps is {config.total_steps}, it was {before}, and the linear schedule depends on it")
    return reasons


def _end(session: Session, envs: Envs, n: int, where: str, stop: StopSignals | None) -> None:
    """Ends a run in which an environment hangs, from another thread than the one that steps it and does not come back.

    Args:
        session: Its books.
        envs: What hangs.
        n: Which.
        where: "" in training.
        stop: What raises the error in that thread; None: the process is ours, and ends.
    """
    course = envs.course_to(n)
    error = WorkerError(
        f"environment {n}, which this process steps itself, did not come back{where} for env_timeout_seconds "
        f"(episode {course.episode}, episode seed {course.seed}, step {course.length}); with isolate_envs, "
        "environments are in workers, which are replaced",
        n,
    )
    try:
        hint = _save_all(session, error, envs.failure(error))
        if stop is None:
            print(f"\na2c: {error}\n{hint}", file=sys.stderr, flush=True)
        else:
            error = WorkerError(f"{error}; {hint}", n)
    finally:
        if stop is None:
            os._exit(1)
        envs.release()
        stop.interrupt(error)


def _updates_until_due(config: Config, steps: int, at_most: int) -> int:
    """Updates until the next evaluation, or the end."""
    until = config.num_updates * config.steps_per_update - steps
    if config.eval_every_steps:
        until = min(until, config.eval_every_steps - steps % config.eval_every_steps)
    return min(-(-until // config.steps_per_update), at_most)


def is_compiled(config: Config, env: EnvSource) -> bool:
    """Whether a new run trains on environments in compiled form: where there is one and nothing else is asked for.

    Raises:
        UserError: The environment's module cannot be imported.
    """
    if config.vectorization != "auto":
        return config.vectorization == "compiled"
    if config.wants_workers or config.env_kwargs or config.max_episode_steps is not None:
        return False
    return compiled_form(env) is not None


def _as_before(run: Run, config: Config) -> bool:
    """The same of a run that goes on, which it cannot change: resets draw other numbers.

    Raises:
        UserError: Another kind is asked for.
    """
    if run.is_compiled and (config.wants_workers or config.vectorization not in ("auto", "compiled")):
        raise UserError(
            f"{run.path} trains on the compiled form of {config.env_id}, which is in no worker and no other "
            "vectorization; without isolate_envs, num_workers and vectorization it goes on"
        )
    if not run.is_compiled and config.vectorization == "compiled":
        raise UserError(f"{run.path} does not train on the compiled form of {config.env_id}; vectorization must stay")
    return run.is_compiled


def envs_for(config: Config, env: EnvSource, compiled: bool) -> Envs | CompiledEnvs:
    """The environments that a run trains on.

    Raises:
        UserError: The environment is unknown or not supported.
        EnvError: An environment could not be constructed.
        WorkerError: A worker died while starting.
    """
    vectorization = "compiled" if compiled else config.vectorization
    if vectorization == "auto" and not config.wants_workers and compiled_form(env) is not None:
        vectorization = "local"  # It could be compiled, and is to stay as it was.
    envs = make_envs(
        env,
        config.num_envs,
        env_kwargs=config.env_kwargs,
        vectorization=vectorization,
        num_workers=config.num_workers,
        isolate_envs=config.isolate_envs,
        env_timeout_seconds=config.env_timeout_seconds,
        seed=config.seed,
        max_episode_steps=config.max_episode_steps,
    )
    for wrapper in envs.normalizers if isinstance(envs, Envs) else ():
        field = "normalize_returns" if wrapper == "NormalizeReward" else "normalize_observations"
        warnings.warn(
            f"{wrapper} is around {env_name(env)}: its statistics are one per environment, in no policy that is saved "
            f"and others in an evaluation; leave it out and take {field} (--{field.replace('_', '-')})",
            stacklevel=2,
        )
    return envs


def _save_all(session: Session, error: Exception, failure: Failure | None) -> str:
    """Saves what there is, and what led to the error; returns where that is.

    Where saving fails too, says so: the first error is the one to report.
    """
    try:
        session.save_all()
        return session.keep_failure(error, failure)
    except (UserError, OSError) as another:
        warnings.warn(f"what was learnt is not saved: {another}", stacklevel=2)
        return ""
