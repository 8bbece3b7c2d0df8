"""Training: how a run begins, is resumed, and ends."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from a2c import consent, fitting, start
from a2c.acting import ActingMaker, LocalActing
from a2c.cluster.acting import acting_on
from a2c.cluster.fleet import Fleet
from a2c.config import FREE, Config, check_field_names
from a2c.envs import Envs
from a2c.envs.construction import EnvSource, env_name
from a2c.envs.leftovers import sweep_temporary_folders
from a2c.envs.make import envs_for
from a2c.envs.placement import is_compiled, stays_compiled
from a2c.envs.watchdog import watched
from a2c.errors import UserError, WorkerError
from a2c.kernels.compiler import compilation_shown
from a2c.learner import Learner
from a2c.model.architecture import leaves_of
from a2c.model.images import is_image
from a2c.model.own import name_of
from a2c.presets import check_have_effect, configure, fit_beside_preset, origins, warn_of_other_environment
from a2c.run import kept, resumption
from a2c.run.checkpoint import Checkpoint
from a2c.run.evaluations import Surroundings
from a2c.run.folder import Run, opened
from a2c.run.logs import Logs, cut_back, log_openers, open_logs
from a2c.run.session import Session
from a2c.run.writers import LogOpener
from a2c.screen import Begun, Display, display_for
from a2c.signals import Stopped, StopSignals, interrupts_remembered, pass_on
from a2c.spaces import parts

_CALL_SECONDS = 0.1
"""About how long one call of many fused updates may take; signals are handled between two calls."""


def train(env: EnvSource, *, preset: str | os.PathLike[str] = "auto", progress: bool = False, **settings: Any) -> Run:
    """Trains a policy and writes everything about it to a run folder.

    Ctrl-C, SIGTERM and SIGHUP stop the run after the current update, with everything saved. Then they have their usual
    effect: Ctrl-C raises KeyboardInterrupt, SIGTERM raises SystemExit.

    Args:
        env: A Gymnasium id, `module:Id`, or a callable that constructs an environment.
        preset: "auto": the preset named like the id, if there is one and the id is Gymnasium's own; "none"; a preset's
            name; or a preset file, such as `a2c tune` writes.
        progress: Whether to print progress on standard error, as a live view if that is a terminal.
        **settings: Fields of `Config`, which override the preset's. `start_from` may be a `Run`,
            and `network` a class.

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
    return passed_on(_train(new(env, os.fspath(preset), progress, settings), None))


def resume(
    run: Run | str | os.PathLike[str],
    *,
    env: EnvSource | None = None,
    network: Any = None,
    progress: bool = False,
    **changes: Any,
) -> Run:
    """Continues a run from its newest checkpoint, to the same bits as if it had never been interrupted.

    Args:
        run: The run, or its folder.
        env: The environment; needed if the run was trained on a callable, or on an id that imports a module.
        network: The run's own layer; needed if somebody else trained it.
        progress: As in `train`.
        **changes: Fields of `Config` that may change within a run: `total_steps` (to train further), `engine`,
            `num_workers` and the like.

    Returns:
        The run. A finished run is left as it is.

    Raises:
        UserError: The folder is damaged, another process trains this run, or a change is not possible.
        EnvError: An environment raised; a checkpoint was saved.
        WorkerError: Workers died or gave no answer in time, again and again; a checkpoint was saved.
    """
    return passed_on(go_on(opened(run, network), env, display_for(progress), **changes))


def go_on(
    run: Run | str | os.PathLike[str],
    env: EnvSource | None,
    display: Display,
    owns_process: bool = False,
    **changes: Any,
) -> Run:
    """`resume` for the command line: a signal only ends the run, without raising. Arguments as there, and as in `fit`.

    Raises:
        UserError: The folder is damaged, another process trains this run, or a change is not possible.
        EnvError: An environment raised; a checkpoint was saved.
        WorkerError: Workers died or gave no answer in time, again and again; a checkpoint was saved.
    """
    asked, run = again(run, env, display, owns_process, changes)
    return run if run.is_finished and run.has_ended(asked.config) else _train(asked, run)


def passed_on(run: Run) -> Run:
    """Returns the run; if a signal stopped it, the signal has its usual effect now."""
    if run.stopped_by:
        pass_on(run.stopped_by, str(run.path))
    return run


def fit(
    config: Config, env: EnvSource, settings_from: Mapping[str, str], display: Display, owns_process: bool = False
) -> Run:
    """Trains with a given Config; `train` makes one.

    Args:
        config: The settings.
        env: The environment: `config.env_id`, or the callable of that name.
        settings_from: Where each setting came from, for config.json.
        display: Shows progress.
        owns_process: Whether this process may exit if an environment in it hangs, as a command line may; otherwise an
            error is raised in the hanging thread.

    Raises:
        UserError: A setting was chosen that has no effect, or the environment or the run folder is not usable.
        EnvError: An environment raised; a checkpoint was saved.
        WorkerError: Workers died or gave no answer in time, again and again; a checkpoint was saved.
    """
    check_have_effect(config, settings_from)
    return _train(Asked(start.settled(config), env, settings_from, display, owns_process), None)


class Asked(NamedTuple):
    """What to train, and how to show it."""

    config: Config
    env: EnvSource
    """`config.env_id`, or the callable of that name."""
    settings_from: Mapping[str, str]
    """Where each setting came from, for config.json."""
    display: Display
    """Shows progress."""
    owns_process: bool = False
    """Whether this process may exit if an environment in it hangs."""
    is_one_call: bool = True
    """Whether many updates may be fused into one call of machine code."""


def new(env: EnvSource, preset: str, progress: bool, settings: dict[str, Any]) -> Asked:
    """What `train` was asked to train; arguments as there.

    Raises:
        UserError: A setting or the environment is not usable, or a setting was chosen that has no effect.
    """
    if "network" in settings:
        settings["network"] = name_of(settings["network"])
    fits = fit_beside_preset(env, preset, settings)
    if preset == "auto" and not isinstance(env, str):
        preset = "none"  # Presets are for ids; a callable may happen to have the name of one, such as `tutorial`.
    warn_of_other_environment(env_name(env), preset)
    if isinstance(settings.get("start_from"), Run):
        settings["start_from"] = str(settings["start_from"].path)
    config = configure(env_name(env), preset, settings, fits)
    settings_from = origins(config, preset, fits)
    check_have_effect(config, settings_from)
    return Asked(start.settled(config), env, settings_from, display_for(progress))


def again(
    run: Run | str | os.PathLike[str],
    env: EnvSource | None,
    display: Display,
    owns_process: bool,
    changes: dict[str, Any],
) -> tuple[Asked, Run]:
    """What `resume` was asked to train, and the run; arguments as there and in `fit`.

    Raises:
        UserError: The folder is damaged, or a change is not possible.
    """
    sweep_temporary_folders()
    run = opened(run)
    source = run.environment(env)
    run.require_agreed()
    check_field_names(changes)
    fixed = [name for name in changes if name not in FREE]
    if fixed:
        raise UserError(f"{fixed[0]} decides results and cannot change within a run; train a new one with it")
    config = dataclasses.replace(run.config, **changes)
    if (config.vectorization == "vector") != (run.config.vectorization == "vector"):
        raise UserError(
            f"vectorization is {config.vectorization!r}, but {run.path} trains with {run.config.vectorization!r}; "
            "a run cannot change between vector and the others"
        )
    return Asked(config, source, {}, display, owns_process), run


def _train(asked: Asked, run: Run | None) -> Run:
    """Trains a new run, or continues one."""
    with under_way(asked, run) as training:
        _loop(training)
        training.session.evaluate_at_the_end()
    return training.run


class UnderWay(NamedTuple):
    """A run in training, with all that it needs."""

    run: Run
    config: Config
    learner: Learner
    session: Session
    stop: StopSignals


@contextlib.contextmanager
def under_way(asked: Asked, run: Run | None, *loggers: LogOpener) -> Iterator[UnderWay]:
    """Everything that training needs, for a new or a resumed run; closed at the end of the block in any case.

    If the block raises, what was learnt is saved, and a `Stopped` is not raised further. Then the summary is written.

    Args:
        asked: What to train.
        run: The run to continue; None: a new one.
        loggers: Further logs of the rows of metrics.

    Raises:
        UserError: The environment or the run folder is not usable, or another process trains this run.
        EnvError: An environment could not be created.
    """
    asked.config.check_spreads()
    with contextlib.ExitStack() as cleanup:
        cleanup.enter_context(compilation_shown(asked.display.line))
        saved = None if run is None else _checkpoint_of(run, asked.config, cleanup)
        envs, learner = _envs_and_learner(asked, run, saved, cleanup)
        openers = log_openers(asked.config)
        # Only now, so that an error above leaves no new folder.
        lost = None
        if run is None:
            run = _new_run(asked, envs.stepper.machine_code is not None, cleanup)
        else:
            run, lost = _run_again(run, asked.config, saved)
        logs = open_logs([*openers, *loggers], run.path)
        cleanup.callback(logs.close)
        # Only now: importing Paddle sets signal handlers of its own.
        stop = cleanup.enter_context(StopSignals())
        session = _session(asked, run, learner, envs, logs, stop)
        cleanup.callback(session.close)
        reasons = [] if saved is None else _restore(session, saved, asked.config, learner, lost)
        for line in fitting.lines(asked.config, asked.settings_from):
            asked.display.line(line)
        if saved is not None:
            how = f", not exactly: {'; '.join(reasons)}" if reasons else ""
            asked.display.line(f"resumed after {learner.steps} steps{how}")
        cleanup.enter_context(asked.display.shown(_begun(asked.config, run, learner, envs), session.standing))
        session.save()  # The first checkpoint: from here on, the run can be resumed.
        cleanup.enter_context(session.watch(envs))
        try:
            yield UnderWay(run, asked.config, learner, session, stop)
        except Exception as error:
            # A signal to all processes may kill a worker before it reaches us: that is a stop, not an error.
            hint = session.save_after(error, learner.failed_episode(error))
            if not isinstance(error, Stopped) and not (isinstance(error, WorkerError) and stop.received):
                if hint:
                    asked.display.line(hint)
                raise
        session.summarize(envs.placement)


def _checkpoint_of(run: Run, config: Config, cleanup: contextlib.ExitStack) -> Checkpoint | None:
    """The checkpoint to continue from; None: start anew. From here on, no other process may train the run."""
    cleanup.enter_context(run.locked())
    run.sweep()
    return resumption.newest(run, config)


def _envs_and_learner(
    asked: Asked, run: Run | None, saved: Checkpoint | None, cleanup: contextlib.ExitStack
) -> tuple[Envs, Learner]:
    """Environments and learner, at the start or as at the checkpoint."""
    config, env = asked.config, asked.env
    begins_with = start.read(config) if saved is None else None  # A checkpoint already includes what was read.
    with interrupts_remembered():
        compiled = is_compiled(config, env) if run is None else stays_compiled(run.is_compiled, config, str(run.path))
        envs, acting = _acted_in(config, env, compiled)
        cleanup.callback(envs.close)
        _warn_of_images(envs, config)
        learner = Learner(config, envs, begins_with, asked.is_one_call, acting)
        if saved is not None:
            with resumption.fitting(saved):
                learner.restore(saved.arrays, saved.counters["updates"])
    return envs, learner


def _acted_in(config: Config, env: EnvSource, compiled: bool) -> tuple[Envs, ActingMaker]:
    """The environments, and what acts in them: in this process, or on a cluster."""
    if config.cluster == "none":
        return envs_for(config, env, compiled), LocalActing
    fleet = Fleet(config, env)
    return fleet.envs, acting_on(fleet, config)


def _new_run(asked: Asked, compiled: bool, cleanup: contextlib.ExitStack) -> Run:
    """Creates the run's folder and locks it."""
    config, env = asked.config, asked.env
    run = Run.create(config, asked.settings_from, compiled, not isinstance(env, str))
    if env == config.env_id and ":" in config.env_id:
        consent.remember(run.path, config.env_id)
    cleanup.enter_context(run.locked())
    return run


def _run_again(run: Run, config: Config, saved: Checkpoint | None) -> tuple[Run, str | None]:
    """Cuts a run's folder back to the checkpoint; returns the run, and a sentence on what is lost of its logs."""
    run = run.reconfigured(config)
    run.forget_summary()
    kept.cut_back(run.path, saved.counters["steps"] if saved else -1)
    return run, cut_back(run.path, saved.notes["logs"] if saved else {"metrics.jsonl": 0})


def _session(
    asked: Asked,
    run: Run,
    learner: Learner,
    envs: Envs,
    logs: Logs,
    stop: StopSignals,
) -> Session:
    """The session of a run, with a watchdog that ends the run if an environment of this process hangs."""

    def watch(here: Envs) -> contextlib.AbstractContextManager[None]:
        where = "" if here is envs else " in an evaluation"
        return watched(
            here.stepper,
            asked.config.env_timeout_seconds,
            lambda n: _end(session, here, n, where, asked.display, None if asked.owns_process else stop),
        )

    surroundings = Surroundings(stop, asked.display, watch, envs.num_workers)
    session = Session(run, asked.config, asked.env, learner, logs, surroundings)
    return session


def _restore(session: Session, saved: Checkpoint, config: Config, learner: Learner, lost: str | None) -> list[str]:
    """Restores a session from a checkpoint; returns the reasons why the run may not be exact."""
    with resumption.fitting(saved):
        session.restore(saved)
    reasons = resumption.why_inexact(saved, config, learner.engine_name)
    if lost is not None:
        warnings.warn(lost, stacklevel=2)
        reasons.append(lost)
    session.note_resumed(reasons)
    return reasons


def _begun(config: Config, run: Run, learner: Learner, envs: Envs) -> Begun:
    several = "s" if config.num_envs > 1 else ""
    place = f"engine {learner.engine_name}, {config.num_envs} environment{several} {envs.placement}"
    return Begun(f"{config.env_id}, seed {config.seed}", place, run.path)


def _warn_of_images(envs: Envs, config: Config) -> None:
    space = envs.single_observation_space
    kinds = {leaf.name: leaf.kind for leaf in leaves_of(space, config.normalize_observations, config.network)}
    for name, _, part in parts(space):
        if is_image(part) and kinds[name] != "pixels":
            what = f"{name!r} of the observations is" if name else "observations are"
            how = "; bytes are scaled to [0, 1]" if kinds[name] == "scaled" else ""
            why = "" if config.network == "mlp" else ": its convolutions are for 36 x 36 to about 200 x 200 pixels"
            warnings.warn(f"{what} images {part.shape}, and the network sees them as numbers{why}{how}", stacklevel=3)


def _loop(training: UnderWay) -> None:
    config, learner, session = training.config, training.learner, training.session
    at_most = 1
    session.keep_policy_if_due()  # At step 0; or a resumed run may have been killed just before it was due.
    session.evaluate_if_due()  # A resumed run may have been killed in the middle of an evaluation.
    while learner.updates < config.num_updates and not session.has_reached:
        training.stop.check()
        count = updates_until_due(config, learner.steps, at_most)
        seconds = session.update(count)
        if learner.is_fused:
            at_most = max(1, int(_CALL_SECONDS * count / seconds))
        session.keep_policy_if_due()
        session.evaluate_if_due()
        session.save_if_due()


def _end(session: Session, envs: Envs, n: int, where: str, display: Display, stop: StopSignals | None) -> None:
    """Ends a run in which an environment hangs. It is called in another thread than the hanging one.

    Args:
        session: The run's session, to save it.
        envs: The environments.
        n: The index of the hanging environment.
        where: " in an evaluation"; "" in training.
        display: The display to close.
        stop: Raises the error in the hanging thread; None: this process exits.
    """
    recording = envs.stepper.recording_to(n)
    error = WorkerError(
        f"environment {n}, which this process steps itself, did not return{where} within env_timeout_seconds "
        f"(episode {recording.episode}, episode seed {recording.seed}, step {recording.length}); with isolate_envs, "
        "environments are in workers, which are replaced",
        n,
    )
    try:
        hint = session.save_after(error, envs.stepper.failed_episode(error))
        if stop is None:
            display.close()
            print(f"\na2c: {error}\n{hint}", file=sys.stderr, flush=True)
        else:
            error = WorkerError(f"{error}; {hint}", n)
    finally:
        if stop is None:
            os._exit(1)
        envs.stepper.release()
        stop.interrupt(error)


def updates_until_due(config: Config, steps: int, at_most: int) -> int:
    """Updates until the next evaluation, the next policy to save, or the end; at most `at_most`."""
    until = min([config.num_updates * config.steps_per_update, *(at for at in config.keep_policy_at if at > steps)])
    until -= steps
    if config.eval_every_steps:
        until = min(until, config.eval_every_steps - steps % config.eval_every_steps)
    return min(-(-until // config.steps_per_update), at_most)
