"""Study: the trials so far, in a folder that several processes may share and that survives a crash.

The trials are Optuna's, in SQLite. Each process also holds a lock until it ends, so that later ones know which trials
were cut short, and repeat them. The settings of a trial follow from the seed and the trials that ended before it: a
study of one process that is killed and goes on makes the same trials as one that was never interrupted.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from a2c import files
from a2c.config import Config
from a2c.errors import UserError, shown
from a2c.run.folder import settled
from a2c.tuning.processes import Process, lock
from a2c.tuning.space import Space
from a2c.tuning.trial import Look

if TYPE_CHECKING:
    import optuna

_FORMAT = 1
_WHERE = (
    "run_dir", "num_threads", "num_workers", "isolate_envs", "cluster", "num_actors", "env_timeout_seconds", "log",
    "log_every_steps", "device", "save_every_seconds", "keep_checkpoints",
)  # fmt: skip
"""Settings that change no number: where runs are made and what is stored of them."""
_STARTUP = 10
"""Trials with random settings before TPE learns from earlier trials."""
_PATIENCE = 5
"""Trials that must be complete before one may be pruned."""
_GOES_ON = 75.0
"""A trial is pruned unless it is among this best share of the complete trials at the same look, in per cent. As only
good trials are completed, 50 got so strict that three of four trials were pruned at their first look, those that learn
late among them."""
_MOST_KILLS = 3
"""How often settings are tried whose process dies."""
KILLED = "its process was ended"
"""Why a trial failed whose process died."""


class Asked(NamedTuple):
    """What a study searches; trials of different ones cannot be compared."""

    config: Config
    """The default: the settings of the first trial, and in all others those that are not searched. Its seed is the
    first seed."""
    origins: Mapping[str, str]
    """Where each of these settings came from."""
    space: Space
    num_seeds: int
    """Seeds of each trial."""
    num_more: int
    """Further seeds of a trial that would be the best: among many trials, one looks best on a few seeds by luck."""
    episodes: int
    """Episodes of the evaluation at the end of each run."""

    @property
    def seeds(self) -> range:
        """The seeds of every trial; all have the same, so that only their settings differ."""
        return range(self.config.seed, self.config.seed + self.num_seeds)

    @property
    def more_seeds(self) -> range:
        """The further seeds of a trial that would be the best."""
        return range(self.seeds.stop, self.seeds.stop + self.num_more)

    def to_json(self) -> dict[str, Any]:
        """Everything in which trials must agree to be comparable."""
        config = self.config.to_json()
        for name in _WHERE:
            del config[name]
        return {
            "config": config,
            "space": self.space.to_json(),
            "num_seeds": self.num_seeds,
            "num_more": self.num_more,
            "episodes": self.episodes,
        }


class Trial(NamedTuple):
    """A trial, finished or not."""

    number: int
    is_default: bool
    settings: Mapping[str, Any]
    """Its values of the searched settings."""
    state: str
    """"complete", "pruned", "failed", "running" or "waiting"."""
    value: float | None
    """Interquartile mean over seeds of the final policies' returns, if it is complete."""
    looks: Sequence[tuple[int, float]]
    """Steps and interquartile mean of each measurement."""
    returns: Sequence[float]
    """The last measured return of each seed; of the further seeds, too, if it would have been the best."""
    seconds: float | None
    why: str
    """Why it is not complete."""

    @property
    def seconds_each(self) -> float:
        """How long each of its seeds took."""
        return (self.seconds or 0.0) / max(1, len(self.returns))


def open_optuna() -> Any:
    """Imports Optuna and turns off its messages.

    Raises:
        UserError: A package is not installed.
    """
    try:
        import optuna
        import tomli_w  # noqa: F401 - needed only at the end of a study, too late to find that it is missing
    except ImportError as error:
        raise UserError(f"tuning needs {error.name}; pip install 'a2c[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


class Study:
    """A study's folder.

    Attributes:
        path: The folder.
        asked: What it searches.
    """

    def __init__(self, path: Path, asked: Asked) -> None:
        """Opens a study, or begins it.

        Raises:
            UserError: The folder holds a study of something else, or cannot be used; or Optuna is not installed.
        """
        self._optuna = open_optuna()
        self.path, self.asked = settled(path), asked
        files.folder(self.path)
        files.folder(self.path / "processes")
        self._process = Process(self.path / "processes")
        try:
            with self.locked():
                self._check_same()
                self._study = self._opened()
        except BaseException:
            self._process.leave()
            raise

    def _check_same(self) -> None:
        """Writes study.json, or refuses the folder.

        Raises:
            UserError: It holds another study, or something that is not a study.
        """
        path = self.path / "study.json"
        asked = json.loads(json.dumps(self.asked.to_json()))
        if not path.exists():
            if [one for one in self.path.iterdir() if one.name not in ("processes", ".lock")]:
                raise UserError(f"{self.path} holds something else than a study; choose another folder with --study")
            files.write_json(path, {"format": _FORMAT, **asked})
            return
        found = files.read_json(path)
        if found.pop("format", None) != _FORMAT:
            raise UserError(f"{path} is not of a study that this version can read; choose another folder with --study")
        difference = _difference(found, asked)
        if difference is not None:
            raise UserError(f"{self.path} holds a study {difference}; choose another folder with --study")

    def _opened(self) -> optuna.Study:
        database = self.path / "study.db"
        try:
            if not database.exists():
                self._make(database)
            self._storage = self._storage_in(database)
            return self._optuna_study_in(self._storage)
        except Exception as error:  # SQLAlchemy and SQLite raise many kinds.
            reason = str(error).splitlines()[0]
            raise UserError(
                f"{database} cannot be used as a study's database: {reason}; choose another folder with --study"
            ) from error

    def _make(self, database: Path) -> None:
        """Makes the database under another name and renames it, so that nobody, Optuna's tools included, opens half."""
        unfinished = database.with_name(".study.db")
        for path in self.path.glob(
            f"{unfinished.name}*"
        ):  # Left by a process that was killed here; SQLite's journal, too.
            path.unlink()
        storage = self._storage_in(unfinished)
        self._optuna_study_in(storage)
        storage.remove_session()
        storage.engine.dispose()
        unfinished.rename(database)

    def _storage_in(self, database: Path) -> optuna.storages.RDBStorage:
        engine = {"connect_args": {"timeout": 60}}
        storage: optuna.storages.RDBStorage = self._optuna.storages.RDBStorage(f"sqlite:///{database}", engine)
        return storage

    def _optuna_study_in(self, storage: optuna.storages.RDBStorage) -> optuna.Study:
        study: optuna.Study = self._optuna.create_study(
            storage=storage,
            study_name="study",
            load_if_exists=True,
            direction="maximize",
            pruner=self._optuna.pruners.PercentilePruner(_GOES_ON, _PATIENCE, 0),
        )
        return study

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """While entered, other processes neither read nor change the trials."""
        with (self.path / ".lock").open("a") as file:
            lock(file.fileno(), waits=True)
            yield

    def trials(self) -> list[Trial]:
        """All trials, in the order of their numbers."""
        return [self._trial_of(one) for one in self._study.get_trials(deepcopy=False)]

    def next_trial(self, most: int | None) -> tuple[optuna.trial.Trial, dict[str, Any]] | None:
        """The next trial: first the default, then those that were cut short, then new ones.

        Args:
            most: How many trials the study shall have; None: no limit.

        Returns:
            Optuna's trial and its settings, {} for the default; None if there are enough trials.
        """
        with self.locked():
            self._repeat_cut_short()
            trials = self.trials()
            if all(one.state == "failed" for one in trials if one.is_default):
                parameters = self.asked.space.parameters(self.asked.config)
                self._study.enqueue_trial(parameters, user_attrs={"is_default": True})
            ended = [one for one in trials if one.state in ("complete", "pruned")]
            if most is not None and len(ended) + sum(one.state == "running" for one in trials) >= most:
                return None
            # A new sampler each time, so that the next trial depends on the ended ones alone, not on interruptions.
            seed = int(np.random.SeedSequence((self.asked.config.seed, len(ended))).generate_state(1)[0])
            self._study.sampler = self._optuna.samplers.TPESampler(seed=seed, n_startup_trials=_STARTUP)
            trial = self._study.ask()
            trial.set_user_attr("process", self._process.name)
            if trial.user_attrs.get("is_default"):
                self._store_default(trial)
                return trial, {}
            settings = self.asked.space.settings(self.asked.config, trial)
            trial.set_user_attr("settings", json.dumps(settings))
        return trial, settings

    def _store_default(self, trial: optuna.trial.Trial) -> None:
        """Stores the default's settings in its trial, and those within the space as Optuna's parameters."""
        config = self.asked.config
        known = self.asked.space.parameters(config)
        active = self.asked.space.active(config)
        settings = {dimension.name: getattr(config, dimension.name) for dimension in active}
        for dimension in active:
            if dimension.name in known:
                dimension.suggested(trial)
        trial.set_user_attr("settings", json.dumps(settings))

    def _repeat_cut_short(self) -> None:
        """Marks running trials whose process died as failed, and queues failed ones again (but not the default)."""
        states = self._optuna.trial.TrialState
        for one in self._study.get_trials(deepcopy=False, states=(states.RUNNING,)):
            if not self._process.is_alive(one.user_attrs.get("process", "")):
                self._storage.set_trial_user_attr(one._trial_id, "why", KILLED)
                self._study.tell(one.number, state=states.FAIL)
        trials = self._study.get_trials(deepcopy=False)
        repeated = {one.user_attrs.get("again") for one in trials}
        for one in trials:
            attrs = one.user_attrs
            has_begun = "settings" in attrs  # If not, the next new trial gets the same settings anyway.
            if one.state == states.FAIL and has_begun and not attrs.get("is_default") and one.number not in repeated:
                self._try_again(one, int(attrs.get("kills", 0)) + (attrs.get("why") == KILLED))

    def _try_again(self, one: optuna.trial.FrozenTrial, kills: int) -> None:
        """Queues a trial's settings, or counts the trial as pruned if its process has died too often."""
        if kills < _MOST_KILLS:
            self._study.enqueue_trial(one.params, user_attrs={"kills": kills, "again": one.number})
            return
        attrs = {"settings": one.user_attrs["settings"], "again": one.number, "why": f"{KILLED} {kills} times"}
        state = self._optuna.trial.TrialState.PRUNED
        self._study.add_trial(
            self._optuna.create_trial(state=state, params=one.params, distributions=one.distributions, user_attrs=attrs)
        )

    def known(self, trial: optuna.trial.Trial) -> Trial:
        """A trial under way, as far as it is stored."""
        return self._trial_of(self._storage.get_trial(trial._trial_id))

    def would_be_best(self, trial: optuna.trial.Trial, score: float) -> bool:
        """Whether a trial with this score would be the best so far, or is the default."""
        best = best_of(self.trials())
        return bool(trial.user_attrs.get("is_default")) or best is None or score > (best.value or 0.0)

    def note_confirmed(self, trial: optuna.trial.Trial, returns: Sequence[float]) -> None:
        """Stores the returns of all seeds of a trial, the further ones included."""
        trial.set_user_attr("returns", list(returns))

    def note(self, trial: optuna.trial.Trial, look: Look) -> bool:
        """Stores a measurement; returns whether to go on with the trial."""
        known = trial.user_attrs.get("looks", [])
        trial.set_user_attr("looks", [*known, [look.steps, look.score]])
        trial.set_user_attr("returns", look.returns)
        trial.report(look.score, look.number)
        return bool(trial.user_attrs.get("is_default")) or not trial.should_prune()

    def end(self, trial: optuna.trial.Trial, value: float | None, seconds: float, why: str = "") -> Trial:
        """Ends a trial, as complete or as pruned.

        Args:
            trial: The trial.
            value: Its score; None: it was pruned.
            seconds: How long it took.
            why: Why it was pruned; empty: because others were better at the same look.
        """
        states = self._optuna.trial.TrialState
        if value is not None and not math.isfinite(value):
            value, why = None, f"returns came to {value}"
        with self.locked():
            trial.set_user_attr("seconds", seconds)
            if why:
                trial.set_user_attr("why", why)
            # Optuna makes the last report the value of a pruned trial, by which TPE ranks it.
            state = states.PRUNED if value is None else states.COMPLETE
            ended = self._study.tell(trial, None if value is None else value, state=state)
        return self._trial_of(ended)

    def cut_short(self, trial: optuna.trial.Trial, why: str) -> None:
        """Ends a trial that is to be repeated when the study goes on."""
        with self.locked():
            trial.set_user_attr("why", why)
            self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)

    def leave(self) -> bool:
        """Ends this process's work on the study; returns whether no other process works on it."""
        with self.locked():
            self._process.leave()
            return not self._process.others()

    @property
    def optuna_study(self) -> optuna.Study:
        """Optuna's study."""
        return self._study

    def _trial_of(self, one: optuna.trial.FrozenTrial) -> Trial:
        attrs = one.user_attrs
        complete = one.state == self._optuna.trial.TrialState.COMPLETE
        state = "failed" if one.state.name == "FAIL" else one.state.name.lower()
        return Trial(
            one.number,
            bool(attrs.get("is_default")),
            _settings(attrs.get("settings")),
            state,
            one.value if complete else None,
            [(int(steps), float(score)) for steps, score in attrs.get("looks", [])],
            attrs.get("returns", []),
            attrs.get("seconds"),
            attrs.get("why", ""),
        )


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The best complete trial. Among equals the default, else the first: only something better replaces the default."""
    complete = [one for one in trials if one.value is not None]
    return max(complete, key=lambda one: (one.value or 0.0, one.is_default, -one.number), default=None)


def _settings(text: str | None) -> dict[str, Any]:
    values = json.loads(text) if text else {}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _difference(found: Mapping[str, Any], asked: Mapping[str, Any]) -> str | None:
    """The first difference between what a study searches and what is asked for, in words; None: there is none."""
    theirs, ours = found.get("config"), asked["config"]
    if not isinstance(theirs, dict):
        return "that is damaged"
    names = ["env_id", *(name for name in ours if name != "env_id")]
    for name in names:
        if theirs.get(name) != ours[name]:
            value, other = _shown(theirs.get(name)), _shown(ours[name])
            return f"of {value}, not {other}" if name == "env_id" else f"with {name} {value}, not {other}"
    for name, what in (
        ("num_seeds", "seeds a trial"),
        ("num_more", "confirm_seeds"),
        ("episodes", "final_eval_episodes"),
    ):
        if found.get(name) != asked[name]:
            return f"with {_shown(found.get(name))} {what}, not {asked[name]}"
    return None if found.get("space") == asked["space"] else "that searches another space"


def _shown(value: object) -> str:
    return value if isinstance(value, str) and value.isprintable() and len(value) < 80 else shown(value)
