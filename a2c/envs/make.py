"""From a name or a callable to environments: `make_env` for one, `make_envs` for N."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import importlib
import importlib.util
import os
import re
import sys
import textwrap
import time
import types
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, overload

import gymnasium
import numpy as np

from a2c.envs.compiled.classic import CLASSIC_CONTROL, classic_control
from a2c.envs.compiled.form import CompiledEnv
from a2c.envs.episode import claim, close, own_traceback
from a2c.envs.pool import Pool
from a2c.envs.vector import Envs
from a2c.errors import EnvError, UserError, shown
from a2c.machine import cores

if TYPE_CHECKING:
    from a2c.envs.compiled.vector import CompiledEnvs

EnvSource = str | Callable[[], gymnasium.Env[Any, Any]]
"""A Gymnasium id, `module:Id`, or a callable that constructs an environment."""

_WORTH_A_WORKER_SECONDS = 200e-6
"""A vector step shorter than this gains less from a second process than the hand-over costs."""


@dataclasses.dataclass(frozen=True)
class EnvMaker:
    """Constructs one environment, here or (pickled) in a worker that knows nothing of what was registered here."""

    source: gymnasium.envs.registration.EnvSpec | Callable[[], gymnasium.Env[Any, Any]]
    kwargs: dict[str, Any]
    max_episode_steps: int | None = None

    def __call__(self) -> gymnasium.Env[Any, Any]:
        """A new environment."""
        if isinstance(self.source, gymnasium.envs.registration.EnvSpec):
            env = gymnasium.make(self.source, **self.kwargs)
        else:
            env = self.source(**self.kwargs)
        if self.max_episode_steps is None or not isinstance(env, gymnasium.Env):
            return env
        return gymnasium.wrappers.TimeLimit(env, self.max_episode_steps)


def make_env(
    env: EnvSource,
    env_kwargs: Mapping[str, Any] | None = None,
    render_mode: str | None = None,
    max_episode_steps: int | None = None,
) -> gymnasium.Env[Any, Any]:
    """One ordinary Gymnasium environment.

    Args:
        env: A Gymnasium id, `module:Id`, or a callable.
        env_kwargs: Arguments of its constructor.
        render_mode: "human", "rgb_array" or None, as Gymnasium has it.
        max_episode_steps: Cut episodes off after so many steps; None: only where the environment does.

    Raises:
        UserError: It is unknown, lacks a package, does not take these arguments, or its spaces are not supported.
        EnvError: Its constructor raised something else.
    """
    kwargs = dict(env_kwargs or {}) | ({"render_mode": render_mode} if render_mode else {})
    return _construct(_maker(env, kwargs, max_episode_steps), env_name(env), kwargs)


def compiled_form(env: EnvSource) -> CompiledEnv | None:
    """The environment in compiled form: itself, one of our own named by `module:NAME`, or Gymnasium's classic control.

    Raises:
        UserError: The module cannot be imported.
    """
    if isinstance(env, str):
        return _in_module(env) or classic_control(env)
    return env if isinstance(env, CompiledEnv) else None


@overload
def make_envs(
    env: EnvSource,
    num_envs: int = 8,
    *,
    env_kwargs: Mapping[str, Any] | None = None,
    vectorization: Literal["local", "workers"],
    num_workers: int | Literal["auto"] = "auto",
    isolate_envs: bool = False,
    env_timeout_seconds: float = 60.0,
    seed: int = 0,
    max_episode_steps: int | None = None,
) -> Envs: ...


@overload
def make_envs(
    env: EnvSource,
    num_envs: int = 8,
    *,
    env_kwargs: Mapping[str, Any] | None = None,
    vectorization: Literal["auto", "compiled", "local", "workers"] = "auto",
    num_workers: int | Literal["auto"] = "auto",
    isolate_envs: bool = False,
    env_timeout_seconds: float = 60.0,
    seed: int = 0,
    max_episode_steps: int | None = None,
) -> Envs | CompiledEnvs: ...


def make_envs(
    env: EnvSource,
    num_envs: int = 8,
    *,
    env_kwargs: Mapping[str, Any] | None = None,
    vectorization: Literal["auto", "compiled", "local", "workers"] = "auto",
    num_workers: int | Literal["auto"] = "auto",
    isolate_envs: bool = False,
    env_timeout_seconds: float = 60.0,
    seed: int = 0,
    max_episode_steps: int | None = None,
) -> Envs | CompiledEnvs:
    """N environments behind one interface, which is also a `gymnasium.vector.VectorEnv`.

    Args:
        env: A Gymnasium id, `module:Id`, or a callable; callables need no `__main__` guard.
        num_envs: N, at least 1.
        env_kwargs: Arguments of the constructor.
        vectorization: "local" in this process, "workers" in worker processes too, "auto" the faster of them, found by
            stepping one for a moment; the numbers that come out are the same. "compiled": in compiled form, of a
            CompiledEnv (where it is also what "auto" takes) or of Gymnasium's classic control, whose resets then draw
            other numbers than Gymnasium's.
        num_workers: Worker processes beside this one; "auto": one per spare core.
        isolate_envs: Put every environment in a worker. By default this process steps a share itself.
        env_timeout_seconds: A worker in which an environment does nothing for this long is replaced.
        seed: Decides every episode of every environment.
        max_episode_steps: Cut episodes off after so many steps; None: only where the environment does.

    Raises:
        UserError: The environment is unknown or not supported, or an argument is out of range.
        EnvError: An environment could not be constructed.
        WorkerError: A worker died while starting.

    Example:
        >>> envs = make_envs("CartPole-v1", num_envs=2, seed=7)
        >>> obs = envs.begin()
        >>> step = envs.advance(np.array([0, 1]))
        >>> step.reward.tolist()
        [1.0, 1.0]
        >>> envs.close()
    """
    from a2c.config import Config  # Here, because worker processes import this package and need no command line.

    config = Config(
        env_name(env),
        num_envs=num_envs,
        vectorization=vectorization,
        num_workers=num_workers,
        isolate_envs=isolate_envs,
        env_timeout_seconds=env_timeout_seconds,
        seed=seed,
        max_episode_steps=max_episode_steps,
    )
    kwargs = dict(env_kwargs or {})
    own = env if isinstance(env, CompiledEnv) else _in_module(env) if isinstance(env, str) else None
    may_be_compiled = own is not None and not config.wants_workers and max_episode_steps is None
    if vectorization == "compiled" or (vectorization == "auto" and may_be_compiled):
        return _make_compiled(env, num_envs, kwargs, seed, max_episode_steps)
    make = _maker(env, kwargs, max_episode_steps)
    # The first environment tells spaces and metadata. It may hold a port, or a licence: never are there more than N.
    probe = _construct(make, env_name(env), kwargs)
    first: gymnasium.Env[Any, Any] | None = probe
    try:
        workers, was_stepped = _choose_workers(probe, num_envs, vectorization, num_workers, isolate_envs)
    except BaseException:
        close(probe)
        raise
    if isolate_envs or was_stepped:  # One that remembers what it did before would begin otherwise than the rest.
        close(probe)
        first = None
    pool = Pool(
        make,
        num_envs,
        probe.action_space,
        probe.observation_space,
        workers,
        isolate_envs,
        seed,
        env_timeout_seconds,
        first,
    )
    return Envs(probe, pool)


def _make_compiled(
    env: EnvSource, num_envs: int, kwargs: Mapping[str, Any], seed: int, max_episode_steps: int | None
) -> CompiledEnvs:
    form = compiled_form(env)
    if form is None:
        name = env_name(env)
        if name in CLASSIC_CONTROL:
            name += ", which here is not what Gymnasium registers under that name,"
        raise UserError(
            f"vectorization is 'compiled', and {name} has no compiled form; there are "
            f"{', '.join(CLASSIC_CONTROL)} and any a2c.CompiledEnv"
        )
    if kwargs:
        raise UserError(f"env_kwargs is {shown(dict(kwargs))}; the compiled form of {form.name} takes none")
    if max_episode_steps is not None:
        raise UserError(
            f"max_episode_steps is {max_episode_steps}; the compiled form of {form.name} has a limit of its own, "
            "vectorization 'local' takes another"
        )
    from a2c.envs.compiled.vector import CompiledEnvs  # Here: importing Numba takes a while.

    return CompiledEnvs(form, num_envs, seed)


def _choose_workers(
    probe: gymnasium.Env[Any, Any],
    num_envs: int,
    vectorization: Literal["auto", "compiled", "local", "workers"],
    num_workers: int | Literal["auto"],
    isolate_envs: bool,
) -> tuple[int, bool]:
    """How many workers, and whether the probe was stepped to find that out."""
    at_most = num_envs if isolate_envs else num_envs - 1  # Every process has at least one environment.
    if num_workers != "auto":
        if num_workers > at_most:
            raise UserError(
                f"num_workers is {num_workers}; with {num_envs} environments it must be at most {at_most}"
                + ("" if isolate_envs else " (this process steps a share, too)")
            )
        return num_workers, False
    if vectorization == "local" or (num_envs == 1 and not isolate_envs and vectorization == "auto"):
        return 0, False
    wanted = isolate_envs or vectorization == "workers"
    if wanted and not at_most:
        raise UserError(
            "vectorization is 'workers' with 1 environment, which this process steps itself; isolate_envs puts it in a "
            "worker"
        )
    spare = min(at_most, cores() if isolate_envs else max(1, cores() - 1))
    if wanted or cores() == 1:
        return (spare if wanted else 0), False
    return (spare if _seconds_per_step(probe) * num_envs >= _WORTH_A_WORKER_SECONDS else 0), True


def _seconds_per_step(env: gymnasium.Env[Any, Any]) -> float:
    """How long a step takes, from some random ones; 0 if the environment raises (it will again, where it is named)."""
    seconds: list[float] = []
    with contextlib.suppress(Exception):
        env.action_space.seed(0)
        env.reset(seed=0)
        stop = time.perf_counter() + 0.05
        while time.perf_counter() < stop and len(seconds) < 200:
            action = env.action_space.sample()
            start = time.perf_counter()
            _, _, terminated, truncated, _ = env.step(action)
            seconds.append(time.perf_counter() - start)
            if terminated or truncated:
                env.reset()
    return float(np.median(seconds)) if seconds else 0.0


def env_name(env: EnvSource) -> str:
    """The id, or the name of the callable."""
    return env if isinstance(env, str) else getattr(env, "__qualname__", type(env).__name__)


def _in_module(name: str) -> CompiledEnv | None:
    """The CompiledEnv that `module:NAME` names, if it does name one.

    Raises:
        UserError: The module cannot be imported.
    """
    module, _, attribute = name.rpartition(":")
    found = getattr(_import(module, name), attribute, None) if module else None
    return found if isinstance(found, CompiledEnv) else None


def _callable_in_module(name: str) -> Callable[..., gymnasium.Env[Any, Any]] | None:
    """What `module:Class` or `module:function` names, where no environment is registered under that."""
    module, _, attribute = name.rpartition(":")
    if not module or attribute in gymnasium.registry:
        return None
    found = getattr(_import(module, name), attribute, None)
    return found if callable(found) and attribute not in gymnasium.registry else None


def _import(module: str, name: str) -> types.ModuleType:
    try:
        return importlib.import_module(module)
    except Exception as error:
        fault = f"{type(error).__name__}: {error}"
        raise UserError(
            f"cannot import the module of {name!r} ({fault}); it must be installed, or in this folder or PYTHONPATH"
        ) from error


def _maker(env: EnvSource, kwargs: dict[str, Any], max_episode_steps: int | None) -> EnvMaker:
    if isinstance(env, str):
        env = _in_module(env) or _callable_in_module(env) or env
    if isinstance(env, gymnasium.Env | gymnasium.vector.VectorEnv):
        raise UserError(
            f"env is made already, a {type(env).__name__}; it must be what makes one: lambda: {type(env).__name__}(...)"
        )
    if isinstance(env, gymnasium.envs.registration.EnvSpec):
        raise UserError(f"env is a specification; it must be its id, {env.id!r}, or a callable")
    if not isinstance(env, str) and not callable(env):
        raise UserError(f"env is {shown(env)}; it must be a Gymnasium id, module:Id, or a callable that makes one")
    if isinstance(env, str):
        return EnvMaker(_find_spec(env), kwargs | {"disable_env_checker": True}, max_episode_steps)
    return EnvMaker(env, kwargs, max_episode_steps)


_PACKAGES = {
    r"ALE/": ("ale_py", "ale-py"),
    r"(highway|merge|roundabout|parking|intersection|racetrack|exit|two-way|u-turn)(-fast)?-v": (
        "highway_env",
        "highway-env",
    ),
    r"(MiniGrid|BabyAI)-": ("minigrid", "minigrid"),
    r"MiniWorld-": ("miniworld", "miniworld"),
    r"Panda[A-Z]": ("panda_gym", "panda-gym"),
    r"(Fetch|HandReach|HandManipulate|PointMaze|AntMaze|FrankaKitchen|AdroitHand)": (
        "gymnasium_robotics",
        "gymnasium-robotics",
    ),
    r"FlappyBird-": ("flappy_bird_gymnasium", "flappy-bird-gymnasium"),
    r"(dm_control|atari|openspiel)/": ("shimmy", "shimmy"),
}
"""Well-known families of ids, the module that registers each, and what to pip install for it."""


def _package_hint(env_id: str) -> str | None:
    for pattern, (module, package) in _PACKAGES.items():
        if re.match(pattern, env_id):
            is_there = importlib.util.find_spec(module) is not None
            return f"its module goes before it, {module}:{env_id}" + ("" if is_there else f" (pip install {package})")
    return None


def _find_spec(env_id: str) -> gymnasium.envs.registration.EnvSpec:
    """The registered specification, by value: a worker need not know the registration."""
    module, _, name = env_id.rpartition(":")
    if module:
        _import(module, env_id)
    if name not in gymnasium.registry:
        hint = _package_hint(name) if not module else None
        if hint is not None:
            raise UserError(f"unknown environment {env_id!r}; {hint}")
        known = list(gymnasium.registry)
        close = (
            difflib.get_close_matches(name, known, n=3) or [k for k in known if k.lower().startswith(name.lower())][:3]
        )
        hint = f"did you mean {' or '.join(close)}?" if close else "it must be a Gymnasium id or module:Id"
        raise UserError(f"unknown environment {env_id!r}; {hint}")
    # We never step before a reset, so the wrapper that checks for it would only cost time.
    return dataclasses.replace(gymnasium.spec(name), order_enforce=False)


def _construct(make: EnvMaker, name: str, kwargs: dict[str, Any]) -> gymnasium.Env[Any, Any]:
    try:
        env = make()
    except UserError:
        raise
    except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
        raise UserError(f"{name} needs a package that is not installed: {error}") from error
    except TypeError as error:
        missing = re.search(r"missing \d+ required [a-z -]*arguments?: (.*)", str(error))
        if missing and _is_the_calls_own(error):
            first = missing[1].split("'")[1]
            raise UserError(
                f"{name} needs {missing[1]}: --env-kwargs '{{\"{first}\": ...}}' (from Python: env_kwargs)"
            ) from error
        if kwargs:
            why = textwrap.shorten(str(error), 200)
            raise UserError(f"{name} does not take env_kwargs {shown(kwargs)}: {why}") from error
        raise _construction_error() from error
    except gymnasium.error.Error as error:
        raise UserError(f"cannot make {name}: {error}") from error
    except (Exception, SystemExit) as error:
        hint = display_hint(error)
        if hint:
            raise UserError(f"cannot make {name}: {textwrap.shorten(str(error), 200)}; {hint}") from error
        raise _construction_error() from error
    if not isinstance(env, gymnasium.Env):
        is_old = any(cls.__module__.partition(".")[0] == "gym" for cls in type(env).__mro__)
        old = ", whose package `gym` is no longer kept; the package shimmy makes the one of the other" if is_old else ""
        raise UserError(f"{name} made a {type(env).__name__}{old}; it must make a gymnasium.Env")
    claim(env)
    try:
        _check_spaces(env, name)
        _warn_of_wrappers(env)
    except BaseException:
        close(env)
        raise
    return env


def _is_the_calls_own(error: BaseException) -> bool:
    """Whether calling the constructor raised, not something that it called."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = str(trace.tb_frame.f_globals.get("__name__")) if trace is not None else ""
    return where in (__name__, "gymnasium.envs.registration")


def display_hint(error: BaseException) -> str:
    """What helps where an environment found no display to draw on; empty where that is not what it raised."""
    text = str(error)
    if re.search(r"opengl|gladload|glfw|osmesa|\begl|\bglx", text, re.IGNORECASE) and not os.environ.get("MUJOCO_GL"):
        return "without a display, MUJOCO_GL=egl or MUJOCO_GL=osmesa lets MuJoCo draw"
    if re.search(r"video device|video system|no display|\$DISPLAY|NoSuchDisplay|\bx11\b|xcb", text, re.IGNORECASE):
        return "without a display, `xvfb-run a2c ...` pretends that there is one"
    return ""


def _warn_of_wrappers(env: gymnasium.Env[Any, Any]) -> None:
    """Warns of statistics that each environment keeps for itself, and nobody saves."""
    layer: Any = env
    while isinstance(layer, gymnasium.Wrapper):
        name = {"NormalizeObservation": "normalize_observations", "NormalizeReward": "normalize_returns"}.get(
            type(layer).__name__
        )
        if name is not None and type(layer).__module__.startswith("gymnasium."):
            warnings.warn(
                f"the environment is wrapped in Gymnasium's {type(layer).__name__}, whose statistics each environment "
                f"keeps for itself and no run saves; {name} does it for all of them",
                stacklevel=2,
            )
        layer = layer.env


def _construction_error() -> EnvError:
    return EnvError(0, "construction", -1, None, 0, own_traceback(sys.exc_info()[1]))


def _check_spaces(env: gymnasium.Env[Any, Any], name: str) -> None:
    for attribute in ("observation_space", "action_space"):
        try:
            space = getattr(env, attribute, None)
        except Exception as error:
            raise _construction_error() from error
        if space is None:
            raise UserError(f"{name} has no {attribute}; a gymnasium.Env must have one")
        if not isinstance(space, gymnasium.Space):
            raise UserError(
                f"the {attribute} of {name} is {shown(space)}; it must be a gymnasium.spaces.Box or the like"
            )
    obs, action = env.observation_space, env.action_space
    if not isinstance(obs, gymnasium.spaces.Box):
        raise UserError(
            f"the observation space of {name} is {obs}, which is not supported; it must be a Box "
            "(gymnasium.wrappers.FlattenObservation makes one of many other spaces)"
        )
    real_box = isinstance(action, gymnasium.spaces.Box) and np.issubdtype(action.dtype, np.floating)
    if not real_box and not isinstance(action, gymnasium.spaces.Discrete):
        raise UserError(
            f"the action space of {name} is {action}, which is not supported; it must be a Discrete or a real Box"
        )
    if 0 in obs.shape or 0 in (action.shape or ()):
        raise UserError(f"{name} has an empty space: observations {obs}, actions {action}; both must have elements")
