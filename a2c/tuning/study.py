"""Study: what was tried so far, in a folder that several processes may share and that survives whatever happens.

The trials are Optuna's, in SQLite. Beside them a process keeps a lock for as long as it lives, so that whoever comes
later knows which trials were cut short, and tries their settings again. What a trial tries follows from the seed and
the trials that ended before it: a study of one process that was killed and goes on is the one that was never touched.
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
"""Settings of where runs are made and what is kept of them, which change no number."""
_STARTUP = 10
"""Trials at random before those before them are learnt from."""
_PATIENCE = 5
"""Trials that come to their end before one may be given up."""
_GOES_ON = 75.0
"""Of the trials that came to their end, in per cent, those among which one must be at the same point to go on. They are
the better ones, as the worse were given up: with half of them, it got so strict that three of four were given up at
their first quarter, those that learn late among them."""
_MOST_KILLS = 3
"""How often settings are tried that end their process, or whose process was ended."""
KILLED = "its process was ended"
"""Why a trial failed that nobody ended in order."""


class Asked(NamedTuple):
    """What a study is of; trials of another cannot be compared with its own."""

    config: Config
    """The settings one had: the first trial, and whatever is not searched in all others. Its seed is the first seed."""
    origins: Mapping[str, str]
    """Where each of them came from."""
    space: Space
    num_seeds: int
    """Runs of each trial."""
    num_more: int
    """Further runs of a trial that would be the best: of many trials, one is the best of a few seeds by luck."""
    episodes: int
    """Of the evaluation that ends each run."""

    @property
    def seeds(self) -> range:
        """Those of each trial, always the same: what differs between trials are their settings."""
        return range(self.config.seed, self.config.seed + self.num_seeds)

    @property
    def more_seeds(self) -> range:
        """Those of the further runs."""
        return range(self.seeds.stop, self.seeds.stop + self.num_more)

    def to_json(self) -> dict[str, Any]:
        """What tells two studies apart."""
        config = self.config.to_json()
        # Where runs are made changes no number.
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
    """One that is known of, as far as it came."""

    number: int
    is_default: bool
    settings: Mapping[str, Any]
    """What it had, of what is searched."""
    state: str
    """"complete", "pruned", "failed", "running" or "waiting"."""
    value: float | None
    """Interquartile mean over seeds of what final policies reached, where it came to its end."""
    looks: Sequence[tuple[int, float]]
    """Steps and interquartile mean of what was measured on the way."""
    returns: Sequence[float]
    """Of each seed, the last time it was measured; of further seeds too, where it would have been the best."""
    seconds: float | None
    why: str
    """It did not come to its end."""

    @property
    def seconds_each(self) -> float:
        """How long each of its runs took."""
        return (self.seconds or 0.0) / max(1, len(self.returns))


def open_optuna() -> Any:
    """Optuna, quiet.

    Raises:
        UserError: It is not installed.
    """
    try:
        import optuna
        import tomli_w  # noqa: F401 - needed at the end, which is late to say so
    except ImportError as error:
        raise UserError(f"tuning needs {error.name}; pip install 'a2c[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


class Study:
    """A study's folder.

    Attributes:
        path: The folder.
        asked: What it is of.
    """

    def __init__(self, path: Path, asked: Asked) -> None:
        """Opens a study, or begins it.

        Raises:
            UserError: The folder holds a study of something else, or cannot be used; Optuna is not installed.
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
            UserError: It holds a study of something else, or something else than a study.
        """
        path = self.path / "study.json"
        asked = json.loads(json.dumps(self.asked.to_json()))
        if not path.exists():
            if [one for one in self.path.iterdir() if one.name not in ("processes", ".lock")]:
                raise UserError(f"{self.path} holds something else than a study; --study names another folder")
            files.write_json(path, {"format": _FORMAT, **asked})
            return
        found = files.read_json(path)
        if found.pop("format", None) != _FORMAT:
            raise UserError(f"{path} is not of a study that this version knows; --study names another folder")
        difference = _difference(found, asked)
        if difference is not None:
            raise UserError(f"{self.path} holds a study {difference}; --study names another folder for this one")

    def _opened(self) -> optuna.Study:
        database = self.path / "study.db"
        try:
            if not database.exists():
                self._make(database)
            self._storage = self._storage_in(database)
            return self._optuna_study_in(self._storage)
        except Exception as error:  # SQLAlchemy's and SQLite's, of many kinds.
            reason = str(error).splitlines()[0]
            raise UserError(f"{database} is not a study's database that can be used: {reason}") from error

    def _make(self, database: Path) -> None:
        """Makes the database beside its place: whoever opens it, with Optuna too, finds it whole or not at all."""
        unfinished = database.with_name(".study.db")
        for path in self.path.glob(f"{unfinished.name}*"):  # Of a process that was ended here, with SQLite's journal.
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
        """Keeps other processes from looking at the trials or changing them meanwhile."""
        with (self.path / ".lock").open("a") as file:
            lock(file.fileno(), waits=True)
            yield

    def trials(self) -> list[Trial]:
        """All of them, in the order of their numbers."""
        return [self._told(one) for one in self._study.get_trials(deepcopy=False)]

    def next_trial(self, most: int | None) -> tuple[optuna.trial.Trial, dict[str, Any]] | None:
        """A trial to make, and what it has other than the default; None where there are as many as there shall be.

        Trials that were cut short come first; the first of all is the default.

        Args:
            most: Trials that the study shall have; None: there is no end.
        """
        with self.locked():
            self._take_up_what_was_cut_short()
            trials = self.trials()
            if all(one.state == "failed" for one in trials if one.is_default):
                parameters = self.asked.space.parameters(self.asked.config)
                self._study.enqueue_trial(parameters, user_attrs={"is_default": True})
            ended = [one for one in trials if one.state in ("complete", "pruned")]
            if most is not None and len(ended) + sum(one.state == "running" for one in trials) >= most:
                return None
            # Whatever happened meanwhile, the same trials lead to the same next one.
            seed = int(np.random.SeedSequence((self.asked.config.seed, len(ended))).generate_state(1)[0])
            self._study.sampler = self._optuna.samplers.TPESampler(seed=seed, n_startup_trials=_STARTUP)
            trial = self._study.ask()
            trial.set_user_attr("process", self._process.name)
            if trial.user_attrs.get("is_default"):
                self._keep_parameters_of_default(trial)
                return trial, {}
            settings = self.asked.space.settings(self.asked.config, trial)
            trial.set_user_attr("settings", json.dumps(settings))
        return trial, settings

    def _keep_parameters_of_default(self, trial: optuna.trial.Trial) -> None:
        """Says what the default has of what is searched, as far as that lies in its range."""
        config = self.asked.config
        known = self.asked.space.parameters(config)
        active = self.asked.space.active(config)
        settings = {dimension.name: getattr(config, dimension.name) for dimension in active}
        for dimension in active:
            if dimension.name in known:
                dimension.suggested(trial)
        trial.set_user_attr("settings", json.dumps(settings))

    def _take_up_what_was_cut_short(self) -> None:
        """Trials whose process is no more have failed; what failed is tried again, the default as whatever comes."""
        states = self._optuna.trial.TrialState
        for one in self._study.get_trials(deepcopy=False, states=(states.RUNNING,)):
            if not self._process.is_alive(one.user_attrs.get("process", "")):
                self._storage.set_trial_user_attr(one._trial_id, "why", KILLED)
                self._study.tell(one.number, state=states.FAIL)
        trials = self._study.get_trials(deepcopy=False)
        taken_up = {one.user_attrs.get("again") for one in trials}
        for one in trials:
            kept = one.user_attrs
            has_begun = "settings" in kept  # If not, what is tried next is what it would have tried.
            if one.state == states.FAIL and has_begun and not kept.get("is_default") and one.number not in taken_up:
                self._try_again(one, int(kept.get("kills", 0)) + (kept.get("why") == KILLED))

    def _try_again(self, one: optuna.trial.FrozenTrial, kills: int) -> None:
        """Queues a trial's settings, or counts them as bad if they took their process down too often."""
        if kills < _MOST_KILLS:
            self._study.enqueue_trial(one.params, user_attrs={"kills": kills, "again": one.number})
            return
        kept = {"settings": one.user_attrs["settings"], "again": one.number, "why": f"{KILLED} {kills} times"}
        state = self._optuna.trial.TrialState.PRUNED
        self._study.add_trial(
            self._optuna.create_trial(state=state, params=one.params, distributions=one.distributions, user_attrs=kept)
        )

    def known(self, trial: optuna.trial.Trial) -> Trial:
        """A trial under way, as far as it came."""
        return self._told(self._storage.get_trial(trial._trial_id))

    def would_be_best(self, trial: optuna.trial.Trial, score: float) -> bool:
        """Whether a trial that ends with this is better than all others, or what they are compared with."""
        best = best_of(self.trials())
        return bool(trial.user_attrs.get("is_default")) or best is None or score > (best.value or 0.0)

    def note_confirmed(self, trial: optuna.trial.Trial, returns: Sequence[float]) -> None:
        """Keeps what a trial came to on all its seeds, the further ones included."""
        trial.set_user_attr("returns", list(returns))

    def note(self, trial: optuna.trial.Trial, look: Look) -> bool:
        """Keeps what was measured; whether to go on with the trial."""
        known = trial.user_attrs.get("looks", [])
        trial.set_user_attr("looks", [*known, [look.steps, look.score]])
        trial.set_user_attr("returns", look.returns)
        trial.report(look.score, look.number)
        return bool(trial.user_attrs.get("is_default")) or not trial.should_prune()

    def end(self, trial: optuna.trial.Trial, value: float | None, seconds: float, why: str = "") -> Trial:
        """Ends a trial that came to its end, or was given up.

        Args:
            trial: The trial.
            value: What it came to; None: it was given up.
            seconds: How long it took.
            why: It was given up; empty: as others were better at that point.
        """
        states = self._optuna.trial.TrialState
        if value is not None and not math.isfinite(value):
            value, why = None, f"returns came to {value}"
        with self.locked():
            trial.set_user_attr("seconds", seconds)
            if why:
                trial.set_user_attr("why", why)
            # Of what is given up, Optuna makes the last report the value, where TPE ranks it.
            state = states.PRUNED if value is None else states.COMPLETE
            told = self._study.tell(trial, None if value is None else value, state=state)
        return self._told(told)

    def cut_short(self, trial: optuna.trial.Trial, why: str) -> None:
        """Gives up a trial that is to be made again when the study goes on."""
        with self.locked():
            trial.set_user_attr("why", why)
            self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)

    def leave(self) -> bool:
        """Ends this process's part; whether it was the last that had one."""
        with self.locked():
            self._process.leave()
            return not self._process.others()

    @property
    def optuna_study(self) -> optuna.Study:
        """The study as Optuna has it."""
        return self._study

    def _told(self, one: optuna.trial.FrozenTrial) -> Trial:
        kept = one.user_attrs
        complete = one.state == self._optuna.trial.TrialState.COMPLETE
        state = "failed" if one.state.name == "FAIL" else one.state.name.lower()
        return Trial(
            one.number,
            bool(kept.get("is_default")),
            _settings(kept.get("settings")),
            state,
            one.value if complete else None,
            [(int(steps), float(score)) for steps, score in kept.get("looks", [])],
            kept.get("returns", []),
            kept.get("seconds"),
            kept.get("why", ""),
        )


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The best that came to its end; of several alike the first, so that the default is only left for better."""
    complete = [one for one in trials if one.value is not None]
    return max(complete, key=lambda one: (one.value or 0.0, one.is_default, -one.number), default=None)


def _settings(text: str | None) -> dict[str, Any]:
    values = json.loads(text) if text else {}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _difference(found: Mapping[str, Any], asked: Mapping[str, Any]) -> str | None:
    """What a study is of that another is not, in words; None: nothing."""
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
