"""Run: a folder that holds everything about one training run."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import re
import shlex
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import gymnasium
import numpy as np
from numpy.typing import NDArray

from a2c import consent, files, notebook
from a2c.config import Config
from a2c.envs.construction import EnvSource
from a2c.envs.make import kind_for, make_env
from a2c.envs.wrapping import Wrapping
from a2c.errors import FailedEpisode, UserError, shown
from a2c.evaluation import Evaluation, Layout, evaluate, in_words
from a2c.model.own import is_own, name_of
from a2c.policy import Policy
from a2c.run import checkpoint, events, kept, logs, policies
from a2c.run.policies import Which
from a2c.run.versions import versions

_FORMAT = 1
_EPISODES = "evaluation.json"


def settled(path: str | os.PathLike[str]) -> Path:
    """The absolute path, as some environments change the working directory.

    Raises:
        UserError: It begins with the home of an unknown user.
    """
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as error:
        raise UserError(
            f"{shown(str(path))} begins with a home folder that does not exist; give the whole path"
        ) from error


class Run:
    """A run's folder, finished or not.

    Attributes:
        path: The folder.
        config: The run's settings.
        is_compiled: Whether it trains on the compiled form of its environment, which gives other numbers.
        is_callable: Whether a callable makes its environments; `config.env_id` is then only the callable's name.
        events: Its events.

    Example:
        >>> import a2c
        >>> run = a2c.train("CartPole-v1", total_steps=20_000)  # doctest: +SKIP
        >>> run.evaluate(episodes=10).mean  # doctest: +SKIP
        213.4
    """

    def __init__(self, path: str | os.PathLike[str], network: Any = None) -> None:
        """Opens a run.

        Args:
            path: Its folder.
            network: The layer of the user's own that its policy has, a class or `module:Class`. To name it says that it
                may be imported (`a2c.consent`); needed once, where the run was trained by somebody else.

        Raises:
            UserError: The folder is missing or not a run's, its config.json is damaged, or its network is another.
        """
        self.path = settled(path)
        self.events = events.Events(self.path)
        if not self.path.is_dir():
            raise UserError(f"there is no run folder {os.fspath(path)}")
        if not self.config_path.is_file():
            inside = [path.parent for pattern in ("*", "*/*") for path in self.path.glob(f"{pattern}/config.json")]
            hint = f"; the newest in it is {max(inside, key=lambda run: run.stat().st_mtime)}" if inside else ""
            raise UserError(f"{self.path} is not a run folder: it has no config.json{hint}")
        values = files.read_json(self.config_path)
        if values.get("format") != _FORMAT:
            raise UserError(
                f"{self.config_path} has format {shown(values.get('format'))}; this version reads {_FORMAT}"
            )
        try:
            self.config = Config.from_json(values.get("config"))
        except UserError as error:
            raise UserError(f"{self.config_path}: {error}") from error
        self.is_compiled = values.get("compiled") is True
        self.is_callable = values.get("callable") is True
        self._is_agreed = not is_own(self.config.network)
        if network is not None:
            self._agree(name_of(network))

    def _agree(self, network: str) -> None:
        """Takes note that the user wants this network to be imported.

        Raises:
            UserError: It is not the run's.
        """
        if network != self.config.network:
            raise UserError(
                f"{self.path} was trained with network {shown(self.config.network)}, not {shown(network)}; a run keeps "
                "its network"
            )
        if is_own(network):
            consent.remember(self.path, network)
            self._is_agreed = True

    @classmethod
    def create(cls, config: Config, origins: Mapping[str, str], is_compiled: bool, is_callable: bool = False) -> Run:
        """Makes the folder `<run_dir>/<environment>/<time>-seed<seed>` of a new run and writes config.json.

        Args:
            config: The settings.
            origins: Where each came from, by field name.
            is_compiled: Whether it trains on the compiled form of its environment.
            is_callable: Whether a callable makes its environments.

        Raises:
            UserError: The folder cannot be made.
        """
        path = new_folder(config)
        return cls._write_config(path, config, origins, is_compiled, is_callable)

    @classmethod
    def newest(cls, config: Config, is_compiled: bool) -> Run | None:
        """The newest run under `run_dir` with these settings, leaving aside those that do not change results.

        Args:
            config: The settings.
            is_compiled: Whether it trains on the compiled form of its environment.

        Returns:
            The run; None if there is none.
        """
        for path in sorted(folder_of(config).glob(f"*-seed{config.seed}*"), reverse=True):
            try:
                run = cls(path)
            except UserError:
                continue
            if run.is_callable:  # Its env_id is only a callable's name.
                continue
            if run.config.identity() == config.identity() and run.is_compiled == is_compiled:
                return opened(run, config.network if is_own(config.network) else None)
        return None

    @classmethod
    def _write_config(
        cls, path: Path, config: Config, origins: Mapping[str, str], is_compiled: bool, is_callable: bool
    ) -> Run:
        values = {"format": _FORMAT, "config": config.to_json(), "origins": dict(origins), "compiled": is_compiled}
        values["callable"] = is_callable
        files.write_json(path / "config.json", values | {"versions": versions()})
        return cls(path, config.network)  # Whoever trains with it has named it.

    def reconfigured(self, config: Config) -> Run:
        """This run with other settings; config.json is rewritten if they differ.

        Raises:
            UserError: It cannot be written.
        """
        if config == self.config:
            return self
        origins = files.read_json(self.config_path).get("origins")
        origins = dict(origins) if isinstance(origins, dict) else {}
        for field in dataclasses.fields(config):
            if getattr(config, field.name) != getattr(self.config, field.name):
                origins[field.name] = "chosen when resumed"
        return self._write_config(self.path, config, origins, self.is_compiled, self.is_callable)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Locks the run, so that no other process trains it; the lock ends with this process, however that ends.

        Raises:
            UserError: Another one is training it.
        """
        if os.name != "posix":  # Windows cannot lock a folder.
            yield
            return
        import fcntl

        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UserError(
                    f"{self.path} is being trained by another process; wait for its end, or stop it"
                ) from error
            except OSError:
                pass  # The file system has no locks.
            yield
        finally:
            os.close(descriptor)

    def sweep(self) -> None:
        """Removes unfinished files of killed processes.

        Raises:
            UserError: A folder that will be written to is a link to somewhere else.
        """
        files.sweep(files.no_link(self.path / "policy"))
        files.sweep(self.path)
        kept.sweep(self.path)
        checkpoint.sweep(self.checkpoints)

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints.

        Raises:
            UserError: It is a link to somewhere else.
        """
        return checkpoint.within(self.path)

    @property
    def is_finished(self) -> bool:
        """Whether it came to its end, according to summary.json."""
        return self.has_ended(self.config)

    def has_ended(self, config: Config) -> bool:
        """Whether nothing is left to do with these settings, according to summary.json."""
        try:
            summary = self.summary
        except UserError:
            return False
        steps = summary.get("steps")
        if not isinstance(steps, int) or summary.get("stopped_by") is not None:
            return False
        return steps >= config.total_steps or _has_reached(summary, config)

    def has_reached(self, config: Config) -> bool:
        """Whether an evaluation during training reached `stop_at_return` of a Config, according to summary.json.

        Raises:
            UserError: There is no summary yet, or it is damaged.
        """
        return _has_reached(self.summary, config)

    def forget_summary(self) -> None:
        """Removes summary.json and evaluation.json, because the run goes on.

        Raises:
            UserError: They cannot be removed.
        """
        for path in (self.path / "summary.json", self.path / _EPISODES):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise UserError(f"cannot remove {path}: {error.strerror or error}") from error

    def write_episodes(self, episodes: Mapping[str, Any]) -> None:
        """Writes evaluation.json, which `episodes` reads.

        Raises:
            UserError: It cannot be written.
        """
        text = json.dumps({"format": _FORMAT, **episodes}, allow_nan=False)  # Unindented: it has thousands of numbers.
        files.write_bytes(self.path / _EPISODES, f"{text}\n".encode())

    @property
    def episodes(self) -> dict[str, Any]:
        """The episodes of the evaluations at the end of the run, one by one: of the `best` and of the `final` policy.

        Raises:
            UserError: There are none, or the file is damaged.
        """
        return files.read_json(self.path / _EPISODES)

    def failed_episode(self) -> FailedEpisode:
        """The steps that led an environment to an error.

        Raises:
            UserError: There are none, or the files are damaged.
        """
        return events.saved_failed_episode(self.path)

    def command(self, verb: str) -> str:
        """A command line for this run, ready to paste into a shell: `a2c VERB FOLDER`."""
        env_id = self.config.env_id
        words = ["a2c", verb, str(self.path), *(["--env", env_id] if ":" in env_id else [])]
        if is_own(self.config.network) and verb != "replay":
            words += ["--network", self.config.network]
        return shlex.join(words)

    @property
    def config_path(self) -> Path:
        """The file with the settings, and where each came from."""
        return self.path / "config.json"

    @property
    def summary(self) -> dict[str, Any]:
        """summary.json: results, counters, times and versions, written when the run ends or is stopped.

        Raises:
            UserError: There is no summary yet, or it is damaged.
        """
        return files.read_json(self.path / "summary.json")

    @property
    def stopped_by(self) -> signal.Signals | None:
        """The signal that ended the run early.

        Raises:
            UserError: There is no summary yet, or it is damaged.
        """
        name = str(self.summary.get("stopped_by"))
        return signal.Signals[name] if name in signal.Signals.__members__ else None

    def _repr_html_(self) -> str:
        """The run in a notebook: its progress, its results, and its curve if one was drawn."""
        rows = {"folder": str(self.path)}
        with contextlib.suppress(UserError):
            steps = max((row["steps"] for row in self.metrics()), default=0)
            rows["steps"] = f"{steps:,} of {self.config.total_steps:,}"
        with contextlib.suppress(UserError):
            summary = self.summary
            for name, label in (("evaluation", "best policy"), ("final_evaluation", "final policy")):
                with contextlib.suppress(KeyError, TypeError, ValueError):  # The run is unfinished, or damaged.
                    rows[label] = in_words(summary[name])
            rows["ended"] = "yes" if self.is_finished else f"no; {self.command('resume')} goes on"
        if "ended" not in rows:
            rows["ended"] = "no"
        picture = None
        with contextlib.suppress(UserError):
            picture = files.read_bytes(self.path / "curve.png")
        return notebook.table(f"{self.config.env_id}, seed {self.config.seed}", rows, picture)

    def metrics(self) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl, in order of steps.

        Raises:
            UserError: The file is missing, or damaged before its last line (which a crash may have cut short).
        """
        return logs.rows(self.path)

    def curve(self) -> dict[str, NDArray[np.float64]]:
        """The rows of metrics.jsonl as columns, by name: `steps` [L] and every metric [L], NaN if a row lacks it.

        `pandas.DataFrame(run.curve())` is a frame of them.

        Raises:
            UserError: As in `metrics`.
        """
        rows = self.metrics()
        names = dict.fromkeys(["steps", *(name for row in rows for name in row)])
        # A row holds null if a number was not finite.
        numbers = {name: [row.get(name) for row in rows] for name in names}
        return {
            name: np.array([value if isinstance(value, float | int) else np.nan for value in values], np.float64)
            for name, values in numbers.items()
        }

    def policy(self, which: Which = "best") -> Policy:
        """The best policy by evaluation, that of the newest checkpoint, or one saved by `keep_policy_at`.

        Args:
            which: "best", "final", or the steps after which it was saved.

        Raises:
            UserError: It is missing or damaged; or it has a network in a module to import, and nobody has said that it
                may (`a2c.consent`).
        """
        self.require_agreed()
        return policies.read(self.path, which, self.config)

    def require_agreed(self) -> None:
        """Refuses to import a network because a folder names it.

        Raises:
            UserError: It names one, and nobody has said that it may be imported.
        """
        name = self.config.network
        if not self._is_agreed and not consent.is_remembered(self.path, name):
            raise UserError(
                f"{self.path} names a network in a module of its own, {name}; to import it, say so with "
                f"--network {name}, once (from Python: network=...)"
            )

    @property
    def steps(self) -> int:
        """Agent steps at its newest checkpoint, which `policy("final")` is read from.

        Raises:
            UserError: There is none.
        """
        return checkpoint.newest(self.checkpoints).counters["steps"]

    @property
    def kept_policies(self) -> list[int]:
        """The steps after which it saved its policy (`keep_policy_at`), in order; each is a `which` for `policy`.

        Raises:
            UserError: Their folder is a link to somewhere else.
        """
        return list(kept.kept(self.path))

    def evaluate(
        self,
        episodes: int = 100,
        greedy: bool = True,
        which: Which = "best",
        seed: int | None = None,
        env: EnvSource | None = None,
        eval_num_envs: int | Literal["auto"] = "auto",
    ) -> Evaluation:
        """Plays whole episodes with a policy, in new environments.

        Args:
            episodes: How many, at least 1.
            greedy: Whether to take the most probable action; False samples.
            which: "best", "final", or the steps after which the run saved it.
            seed: Decides the episodes; None: the run's seed.
            env: What to make instead of the run's `env_id`; required if the run was given a callable, or an id with a
                module to import.
            eval_num_envs: Environments stepped side by side; decides which episodes are played.

        Raises:
            UserError: The policy or the environment is missing or does not fit, or `episodes` is below 1.
        """
        if episodes < 1:
            raise UserError(f"episodes is {episodes}; it must be at least 1")
        if seed is not None and not 0 <= seed < 2**63:
            raise UserError(f"seed is {seed}; it must be from 0 to 2**63 - 1")
        if eval_num_envs != "auto" and not 1 <= eval_num_envs <= 1_000_000:
            raise UserError(f"eval_num_envs is {eval_num_envs}; it must be a whole number from 1 to 1,000,000")
        kind = kind_for(self.config, self.environment(env), seed)
        if kind.is_vector and eval_num_envs == "auto":
            eval_num_envs = self.config.num_envs
        return evaluate(
            self.policy(which),
            kind,
            episodes,
            greedy,
            layout=Layout(eval_num_envs),
            total_steps=self.config.total_steps,  # Gives up an endless episode after as many steps as in training.
        )

    def make_env(self, render_mode: str | None = None, env: EnvSource | None = None) -> gymnasium.Env[Any, Any]:
        """An environment for this run's policy, with the wrappers that the run's settings ask for.

        Args:
            render_mode: "human", "rgb_array" or None, as in Gymnasium.
            env: As in `evaluate`.

        Raises:
            UserError: The environment is missing, cannot be made, or does not support this render mode.
            EnvError: Its constructor raised.

        Example:
            >>> env = run.make_env("human")  # doctest: +SKIP
            >>> obs, info = env.reset()  # doctest: +SKIP
            >>> obs, *_ = env.step(policy.act(obs))  # doctest: +SKIP
        """
        return make_env(self.environment(env), self.config.env_kwargs, render_mode, Wrapping.of(self.config))

    def environment(self, env: EnvSource | None = None) -> EnvSource:
        """What to make for this run's policy: `env` if it is given, else what config.json names.

        Raises:
            UserError: config.json names a module to import, and the user has not allowed that yet (`a2c.consent`).
        """
        if env is None and self.is_callable:
            raise UserError(
                f"{self.path} was trained on what the callable {shown(self.config.env_id)[1:-1]} makes, which is not "
                "saved; pass it as env=... from Python, or an environment with --env on the command line"
            )
        env_id = self.config.env_id
        if ":" in env_id and env == env_id:
            consent.remember(self.path, env_id)
        if env is None and ":" in env_id and not consent.is_remembered(self.path, env_id):
            name, kwargs = shown(env_id)[1:-1], self.config.env_kwargs
            given = f" with {shown(kwargs)}" if kwargs else ""  # Arguments may name modules, too: shimmy's do.
            raise UserError(
                f"{self.path} names an environment in a module, {name}{given}, and importing it runs its code; if you "
                f"trust it, add --env {name}, once (from Python: env=...)"
            )
        return env or env_id


def folder_of(config: Config) -> Path:
    """The folder of the runs with these settings: `<run_dir>/<environment>`."""
    # Only characters that every file system allows: ids may hold slashes and colons.
    return settled(config.run_dir) / re.sub(r"[^A-Za-z0-9._-]", "-", config.env_id)


def new_folder(config: Config) -> Path:
    """Makes the folder `<run_dir>/<environment>/<time>-seed<seed>` of a new run.

    Raises:
        UserError: It cannot be made.
    """
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    name, path = f"{stamp}-seed{config.seed}", Path()
    for attempt in range(1, 1000):
        path = folder_of(config) / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            path.mkdir(parents=True)
            break
        except FileExistsError as error:
            if not path.is_dir():
                raise UserError(f"cannot make the run folder {path}: {error.strerror}") from error
        except OSError as error:
            raise UserError(f"cannot make the run folder {path}: {error.strerror or error}") from error
    else:
        raise UserError(f"cannot make a run folder: {path} and a thousand like it exist")
    for folder in (path.parent, path.parent.parent):
        files.sync_folder(folder)
    return path


def load(run: Run | str | os.PathLike[str], which: Which = "best", network: Any = None) -> Policy:
    """The policy of a run, ready to `act`.

    Args:
        run: The run, or its folder.
        which: "best", "final", or the steps after which it was saved.
        network: The run's own layer; needed if somebody else trained it.

    Raises:
        UserError: The run or the policy is missing or damaged.
    """
    return opened(run, network).policy(which)


def opened(run: Run | str | os.PathLike[str], network: Any = None) -> Run:
    """A run, or that of a folder; arguments as of `Run`.

    Raises:
        UserError: As there.
    """
    return run if isinstance(run, Run) and network is None else Run(run.path if isinstance(run, Run) else run, network)


def _has_reached(summary: Mapping[str, Any], config: Config) -> bool:
    best = summary.get("best")
    found = best.get("evaluation_return") if isinstance(best, dict) else None
    return config.stop_at_return is not None and isinstance(found, float | int) and found >= config.stop_at_return
