"""Constructs one environment, checks its spaces, and turns whatever goes wrong into a sentence for the user."""

from __future__ import annotations

import contextlib
import copy
import difflib
import functools
import inspect
import json
import os
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec, load_env_creator

from a2c.envs.episode import claim, close, own_traceback
from a2c.envs.masks import without_mask
from a2c.envs.wrapping import frame_limit, wrappers_of
from a2c.errors import EnvError, UserError, shown, with_article
from a2c.space_files import describe
from a2c.spaces import Path, left_out, named, numbers_only, parts

EnvSource = str | EnvSpec | Callable[[], gymnasium.Env[Any, Any]]
"""A Gymnasium id, `module:Id`, a specification, or a callable that constructs an environment."""

_PIP_NAMES = {
    "cv2": "opencv-python",
    "PIL": "pillow",
    "yaml": "pyyaml",
    "sklearn": "scikit-learn",
    "Box2D": "gymnasium[box2d]",
    "mujoco": "gymnasium[mujoco]",
    "pygame": "gymnasium[classic-control]",
    "ale_py": "ale-py",
    "gym": "gymnasium",
    "pkg_resources": "setuptools<81",
    "distutils": "setuptools",
}
"""The pip name of a module, if it differs from the module's name."""

# Error texts that mean "no display": of MuJoCo, GLFW and PyOpenGL; then of pygame, pyglet, Tk, Qt and GLFW.
_NO_OPENGL = re.compile(
    r"opengl|gladload|glfw|osmesa|mujoco_gl|\begl|\bglx",
    re.IGNORECASE,
)
_NO_DISPLAY = re.compile(
    r"no available video device|video system not initialized|\$?DISPLAY environment variable|no display name"
    r"|(cannot|could not|couldn't|can't) (connect to|open|find) (the )?(\"none\"|display|x server)|nosuchdisplay"
    r"|video device|video system|no display|\$DISPLAY|\bx11\b|\bxcb\b",
    re.IGNORECASE,
)


class Traits(NamedTuple):
    """What is read from one environment and holds for all N; copies, which outlive it."""

    observation_space: gymnasium.Space[Any]
    """Only the parts that are learnt from: `learnable`."""
    action_space: gymnasium.Space[Any]
    spec: EnvSpec | None
    metadata: dict[str, Any]
    render_mode: str | None
    max_episode_steps: int | None
    """Steps after which it truncates an episode; None if neither a wrapper nor its registration says."""
    normalizers: tuple[str, ...] = ()
    """Names of Gymnasium's normalising wrappers around it."""
    left_out: str = ""
    """The parts of its observations that are not numbers, and are ignored, in words; empty if there are none."""


def construct(
    make: Callable[[], Any], name: str, source: EnvSource, kwargs: Mapping[str, Any]
) -> gymnasium.Env[Any, Any]:
    """An environment that can be trained on.

    Args:
        make: Constructs it.
        name: What errors call it.
        source: The id, specification or callable behind `make`.
        kwargs: Arguments of its constructor, as the user gave them.

    Raises:
        UserError: A package, an argument or a display is missing, the result is not a gymnasium.Env, or its spaces are
            not supported.
        EnvError: Its constructor raised something else.
    """
    try:
        with only_warnings():
            made = make()
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise _refusal(error, name, source, kwargs) from error
    if not isinstance(made, gymnasium.Env):
        with contextlib.suppress(Exception):  # It may hold something (a window, N environments), or have no close().
            made.close()
        raise UserError(f"{name} made {_instead(made)}")
    claim(made)
    try:
        _check_spaces(made, name)
    except BaseException:
        close(made)
        raise
    return made


@contextlib.contextmanager
def only_warnings() -> Iterator[None]:
    """Removes the filters by which a package, while it is imported, turns warnings of the whole process into errors."""
    filters: Any = warnings.filters
    before = list(filters)
    try:
        yield
    finally:
        for one in list(filters):
            if one[0] == "error" and one not in before:
                filters.remove(one)


def traits(env: gymnasium.Env[Any, Any]) -> Traits:
    """Reads the `Traits` of an environment."""
    metadata = _attribute(env, "metadata")
    normalizing = (gymnasium.wrappers.NormalizeObservation, gymnasium.wrappers.NormalizeReward)
    observed = _copied(env.observation_space)
    left = learnable(observed, env.action_space)
    return Traits(
        observed if left is None else left,  # Not `left or observed`: a space may have a length of 0.
        _copied(env.action_space),
        _attribute(env, "spec"),
        dict(metadata) if isinstance(metadata, Mapping) else {},
        _attribute(env, "render_mode"),
        _time_limit(env),
        tuple(type(wrapper).__name__ for wrapper in wrappers_of(env) if isinstance(wrapper, normalizing)),
        not_learnable(env.observation_space, env.action_space),
    )


def _time_limit(env: gymnasium.Env[Any, Any]) -> int | None:
    spec: Any = _attribute(env, "spec")
    limits = [spec.max_episode_steps if spec is not None else None]
    inner = env
    for wrapper in wrappers_of(env):
        if isinstance(wrapper, gymnasium.wrappers.TimeLimit):
            limits.append(wrapper._max_episode_steps)
        inner = wrapper.env
    own = getattr(inner, "max_episode_steps", None)
    if isinstance(own, int):
        limits.append(own)
    limits.append(frame_limit(env, spec))
    return min((limit for limit in limits if limit is not None), default=None)


def _attribute(env: gymnasium.Env[Any, Any], name: str) -> Any:
    """An attribute that is nice to have; None if reading it raises."""
    with contextlib.suppress(Exception):
        return getattr(env, name)
    return None


def _copied(space: gymnasium.Space[Any]) -> gymnasium.Space[Any]:
    """A copy of our own: sampling from the original would advance a generator that the environment may use, too."""
    with contextlib.suppress(Exception):  # A stranger's subclass may not let itself be copied.
        return copy.deepcopy(space)
    return space


def checked_source(env: Any) -> EnvSource:
    """Checks that environments can be made from an argument, and returns it.

    Raises:
        UserError: It is an environment, a vector environment, or nothing that makes one.
    """
    if isinstance(env, gymnasium.Env):
        spec = None
        with contextlib.suppress(Exception):
            spec = env.spec
        how = f'"{spec.id}"' if spec is not None else f"lambda: {type(env).__name__}(...)"
        raise UserError(
            f"env is an environment that is made already (a {type(env).__name__}); pass what makes one, as {how}: "
            "training and evaluation need several"
        )
    if isinstance(env, gymnasium.vector.VectorEnv) or _is_gyms(type(env)):
        raise UserError(f"env is {_instead(env)}")
    if isinstance(env, str | EnvSpec) or callable(env):
        source: EnvSource = env
        return source
    raise UserError(
        f"env is {shown(env)} (a {type(env).__name__}); it must be a Gymnasium id, module:Id, or one callable that "
        "constructs an environment"
    )


def checked_kwargs(kwargs: Any) -> dict[str, Any]:
    """The arguments of a constructor as a dictionary; None is an empty one.

    Raises:
        UserError: They are not a mapping from names.
    """
    kwargs = {} if kwargs is None else kwargs
    if not isinstance(kwargs, Mapping) or not all(isinstance(name, str) for name in kwargs):
        raise UserError(
            f"env_kwargs is {shown(kwargs)}; it must be a dictionary of the constructor's arguments by name"
        )
    return dict(kwargs)


def checked_weights(weights: Any) -> tuple[float, ...] | None:
    """The weight of each number of a vector reward; None for a scalar reward.

    Raises:
        UserError: They are not finite numbers.
    """
    if weights is None:
        return None
    try:
        array = np.asarray(weights, np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise UserError(f"reward_weights is {shown(weights)}; it must be a finite number for each number of a reward")
    return tuple(array.tolist())


def env_name(env: Any) -> str:
    """The id, or the name of the callable."""
    if isinstance(env, EnvSpec):
        return env.id
    if isinstance(env, functools.partial):
        return env_name(env.func)
    name = env if isinstance(env, str) else getattr(env, "__qualname__", None)
    return name if isinstance(name, str) else type(env).__name__


def _is_gyms(kind: Any) -> bool:
    """Whether a class belongs to Gym, the predecessor of Gymnasium."""
    return isinstance(kind, type) and any(base.__module__.partition(".")[0] == "gym" for base in kind.__mro__)


_OF_GYM = (
    "which Gymnasium has replaced; import gymnasium instead of gym, let reset return (obs, info) and step five values, "
    "or wrap it with the package shimmy"
)


def _instead(made: Any) -> str:
    """Describes what was made instead of a gymnasium.Env, and what would be right."""
    kind = type(made).__name__
    if _is_gyms(type(made)):
        return f"an environment of Gym (a {kind}), {_OF_GYM}"
    if any(base.__module__.partition(".")[0] == "pettingzoo" for base in type(made).__mro__):
        what = f"an environment of several agents (PettingZoo's {kind})"
        return f"{what}, and a2c trains one; it must make a gymnasium.Env"
    if isinstance(made, gymnasium.vector.VectorEnv):
        return f"a vector environment (a {kind}); vectorization 'vector' steps it, else give what makes a single one"
    if isinstance(made, type):
        return f"the class {made.__name__} (a {kind}); it must make a gymnasium.Env: give the class itself"
    return f"{with_article(kind)}; it must make a gymnasium.Env"


def _refusal(error: BaseException, name: str, env: EnvSource, kwargs: Mapping[str, Any]) -> UserError | EnvError:
    """The error to raise for what a constructor raised."""
    text = textwrap.shorten(str(error), 300)
    if isinstance(error, ModuleNotFoundError) and error.name:
        module = error.name.partition(".")[0]
        return UserError(
            f"{name} needs a package that is not installed, {module}: pip install {shown(pip_name(module))}"
        )
    hint = display_hint(error)
    if hint:
        return UserError(f"cannot make {name}: {type(error).__name__}: {text}; {hint}")
    newest = _newest(name)
    if isinstance(error, gymnasium.error.Error | ImportError) and "install" not in text and newest != name:
        return UserError(f"cannot make {name}: {text}; {newest} is the newest version of it")
    if isinstance(error, gymnasium.error.DependencyNotInstalled | ImportError):
        return UserError(f"{name} needs a package that is not installed: {text}")
    if isinstance(error, gymnasium.error.Error):
        return UserError(f"cannot make {name}: {text}")
    if isinstance(error, TypeError):
        if text.startswith("Gym is incompatible with Gymnasium") or _is_gyms(_creator(env)):
            return UserError(f"cannot make {name}: it is of Gym, {_OF_GYM}")
        if text.startswith("The environment must inherit from"):
            return UserError(f"cannot make {name}: {text}")
        why = _misfit(env, kwargs)
        if why:
            return UserError(f"{name} {why}")
        if kwargs:
            return UserError(f"{name} does not take env_kwargs {shown(dict(kwargs))}: {text}")
    return EnvError(0, "construction", -1, None, 0, own_traceback(error) + _alone_hint(error))


def _alone_hint(error: BaseException) -> str:
    """The options that help if a process can hold only one of these environments; empty if the error is another."""
    if not _ONLY_ONE.search(str(error)):
        return ""
    return "\n\nwith --isolate-envs and as many --num-workers as --num-envs, each has a process of its own"


_ONLY_ONE = re.compile(
    r"(multiple|more than one|only one|two) [\w ]*(per|in (the|this|one|a)( same)?) process", re.IGNORECASE
)
"""What emulators of game consoles raise when a process creates a second one."""


def _newest(env_id: str) -> str:
    """The id of an environment's newest registered version; the id itself if it has no version or is the newest."""
    name, dash, version = env_id.rpartition("-v")
    if not (dash and version.isdigit()):
        return env_id
    versions = (known.removeprefix(f"{name}-v") for known in gymnasium.registry if known.startswith(f"{name}-v"))
    return f"{name}-v{max([int(known) for known in versions if known.isdigit()], default=int(version))}"


def pip_name(module: str) -> str:
    """The name under which pip installs a module."""
    return _PIP_NAMES.get(module, module)


def display_hint(error: BaseException) -> str:
    """What to type if an environment found no display to draw on; empty if the error is another."""
    text = f"{type(error).__name__}: {error}"
    if _NO_OPENGL.search(text) and not os.environ.get("MUJOCO_GL"):
        return (
            "without a display, set MUJOCO_GL=egl or MUJOCO_GL=osmesa for MuJoCo, or start `xvfb-run a2c ...` for "
            "other environments"
        )
    if _NO_DISPLAY.search(text):
        return "without a display, start `xvfb-run a2c ...`, which emulates one"
    return ""


def _misfit(env: EnvSource, kwargs: Mapping[str, Any]) -> str:
    """Why the arguments do not fit the constructor; empty if they do, or its signature is not known."""
    given = dict(kwargs)
    try:
        if isinstance(env, str | EnvSpec):
            given = {**(gymnasium.spec(env.rpartition(":")[2]) if isinstance(env, str) else env).kwargs, **given}
        parameters = inspect.signature(_creator(env)).parameters
    except Exception:  # noqa: BLE001 - e.g. a callable written in C, which has no signature
        return ""
    kinds = {parameter.kind for parameter in parameters.values()}
    named = [p for p in parameters.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    lacking = [p.name for p in named if p.default is p.empty and p.name not in given]
    if lacking:
        example = json.dumps(dict.fromkeys(lacking, "...")).replace('"..."', "...")
        names = " and ".join(repr(name) for name in lacking)
        return (
            f"needs {names}: --env-kwargs '{example}' (from Python env_kwargs=..., or a callable that fills in what "
            "JSON cannot hold)"
        )
    unknown = [name for name in given if name not in {p.name for p in named}]
    if unknown and inspect.Parameter.VAR_KEYWORD not in kinds:
        known = [p.name for p in named]
        near = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(known) or 'none'}"
        return f"does not take env_kwargs {shown(dict(kwargs))}: there is no {unknown[0]!r}; {hint}"
    return ""


def _creator(env: EnvSource) -> Any:
    """The class or function that constructs the environment; None if it cannot be found."""
    if not isinstance(env, str | EnvSpec):
        return env
    with contextlib.suppress(Exception):
        entry_point = (gymnasium.spec(env.rpartition(":")[2]) if isinstance(env, str) else env).entry_point
        return load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point
    return None


def _check_spaces(env: gymnasium.Env[Any, Any], name: str) -> None:
    """Refuses environments whose spaces are not supported.

    Raises:
        UserError: A space is missing, empty or not supported.
        EnvError: Reading a space raised.
    """
    for which in ("observation_space", "action_space"):
        try:
            space = getattr(env, which, None)
        except Exception as error:
            raise EnvError(0, "construction", -1, None, 0, own_traceback(error)) from error
        if space is None:
            raise UserError(f"{name} has no {which} (it is None); a gymnasium.Env must have one")
        if isinstance(space, type):
            raise UserError(f"the {which} of {name} is the class {space.__name__}; it must be an instance of it")
        if not isinstance(space, gymnasium.Space):
            hint = "; import gymnasium instead of gym" if _is_gyms(type(space)) else ""
            raise UserError(f"the {which} of {name} is {shown(space)}; it must be a gymnasium.Space{hint}")
    obs, action = env.observation_space, env.action_space
    for path, part in left_out(action):
        if 0 in (part.shape or ()):
            raise UserError(f"{_which(path, name)} is {shown(part)}, which is empty; remove it from the space")
        raise UserError(f"{_which(path, name)} is {shown(part)}, which is not supported; {_ACTIONS}")
    for _, path, part in parts(action):
        if np.dtype(part.dtype).kind == "b":
            raise UserError(
                f"{_which(path, name)} is {shown(part)}, which is not supported; use a MultiBinary for bits"
            )
    left = learnable(obs, action)
    if left is None and left_out(obs):
        raise UserError(
            f"the observation space of {name} is {shown(obs)}, which is not supported: it must have a part that is "
            "made of numbers"
        )
    if left is None or not parts(action):
        raise UserError(
            f"{name} has an empty space: observations {shown(obs)}, actions {shown(action)}; both must have elements"
        )
    for which, space in (("observation", left), ("action", action)):
        try:
            describe(space)
        except TypeError as error:
            raise UserError(f"the {which} space of {name} {error}") from error


def _which(path: Path, name: str) -> str:
    return f"the part {named(path)} of the action space of {name}" if path else f"the action space of {name}"


_ACTIONS = "it must be a Discrete, a MultiDiscrete, a MultiBinary, a Box of numbers, or a Dict or a Tuple of these"


def learnable(
    observation_space: gymnasium.Space[Any], action_space: gymnasium.Space[Any]
) -> gymnasium.Space[Any] | None:
    """The part of the observation space that is learnt from: numbers only, without the action mask; None if empty."""
    return numbers_only(without_mask(observation_space, action_space))


def not_learnable(observation_space: gymnasium.Space[Any], action_space: gymnasium.Space[Any]) -> str:
    """The parts of the observations that are ignored because they are not numbers, in words; empty if none are."""
    found = left_out(without_mask(observation_space, action_space))
    return ", ".join(f"{named(path)} ({type(part).__name__})" for path, part in found if 0 not in (part.shape or ()))
