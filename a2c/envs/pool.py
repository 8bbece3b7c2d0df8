"""Pool: N environments in shares, one in this process and one per worker, that take every step together."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Sequence
from multiprocessing import util
from typing import Any

import cloudpickle
import gymnasium
import numpy as np
from numpy.typing import NDArray

from a2c.envs.episode import close
from a2c.envs.history import History, Recording
from a2c.envs.local import Share
from a2c.envs.memory import BEATS, FOREIGN, LINE, POSTED, ROW, WANT_INFOS, Field, Layout
from a2c.envs.notes import UNKNOWN
from a2c.envs.seeding import in_words
from a2c.envs.stepper import Arrays, Event, Info
from a2c.envs.values import Feedback
from a2c.envs.workers import Worker, may_spin, packed, room_for, start_context
from a2c.errors import EnvError, FailedEpisode, UserError, WorkerError, plain
from a2c.masks import mask_size
from a2c.spaces import row_type, unplain

MOST_DEATHS = 3
"""Workers lost at the same step before we give up."""

_STEP = b"step"
"""Stands for the posted step where a request is expected."""


class Pool:
    """A `Stepper` of N environments in consecutive shares: the first is stepped here, each other one by a worker.

    A worker that dies or hangs is replaced by a new one, which replays the episodes of its environments.

    Attributes:
        num_envs: N.
        seed: The run's seed.
        block: The arrays of the last vector step.
        is_stepping: Whether an environment of our own share is at work.
        broken: Whether a worker was lost for good or interrupted; only `close` may be called then.
        events: What happened since `take_events`.
    """

    def __init__(
        self,
        make: Callable[[], gymnasium.Env[Any, Any]],
        num_envs: int,
        action_space: gymnasium.Space[Any],
        observation_space: gymnasium.Space[Any],
        num_workers: int,
        isolate: bool,
        seed: int,
        timeout_seconds: float,
        first: gymnasium.Env[Any, Any] | None = None,
        feedback: Feedback = Feedback(),  # noqa: B008 - immutable
        offset: int = 0,
    ) -> None:
        """Starts the workers and constructs the environments, all at the same time.

        Args:
            make: Constructs one environment.
            num_envs: N.
            action_space: Of one environment.
            observation_space: Of one environment, only the parts that are learnt from.
            num_workers: Worker processes beside this one.
            isolate: Whether this process steps none itself.
            seed: The run's seed.
            timeout_seconds: How long an environment in a worker may make no progress.
            first: The first environment, if it was constructed already and this process steps it; closed on errors.
            feedback: How rewards, lives and infos are read.
            offset: The number that the first of these environments has in the run, if the others are stepped
                elsewhere; there are no workers then.

        Raises:
            EnvError: An environment could not be constructed; the others are closed.
            UserError: A constructor returned an environment that is in use, or the system has too little shared memory,
                too few processes or too few open files for the workers.
            WorkerError: Workers died or gave no answer in time, again and again.
        """
        self.broken = self.is_stepping = self._held = False
        self.events: list[Event] = []
        self._workers: list[Worker] = []
        # Ends the workers of a pool that nobody closed, at the latest before Python waits for them at its exit.
        util.Finalize(self, _kill, (self._workers,), exitpriority=10)
        self.num_envs, self.seed, self._offset = num_envs, seed, offset
        mask = Field((mask_size(action_space),), np.dtype(np.uint8))
        layout = Layout(
            num_envs, num_workers, _field(action_space), _field(observation_space), mask, len(feedback.info_keys)
        )
        try:
            pickled = _pickled((make, feedback)) if num_workers else b""
            buffer = _shared(layout.num_bytes()) if num_workers else bytearray(layout.num_bytes())
        except BaseException:
            if first is not None:
                close(first)
            raise
        self._flags, self.block = layout.map(buffer)
        self._history = History(num_envs, action_space, seed, offset)
        self._obs = self.block.obs.copy()  # as before the step under way, in which a worker may die
        self._attributes: dict[str, list[Any]] = {}  # that `set_attr` set, [N] each; a new worker needs them
        self._foreign = 0  # process-wide generators reported so far, as in `seeding.Watch.found`
        here, *elsewhere = shares = _shares(num_envs, num_workers, isolate)
        self._rows = [slice(share.start, share.stop) for share in shares]
        spins = may_spin(num_workers)
        self._starts = [
            functools.partial(Worker, number, pickled, seed, layout, buffer, self._flags, rows, spins, timeout_seconds)
            for number, rows in enumerate(elsewhere)
        ]
        ready = [first] if first is not None else []
        block, ours = self.block.rows(self._rows[0]), self._flags[:LINE]
        self._share = Share(make, seed, (), block, ours)  # Empty, so that `close` works if a constructor raises.

        def construct() -> None:
            indices = range(offset + here.start, offset + here.stop)
            self._share = Share(make, seed, indices, block, ours, ready.pop() if ready else None, feedback)

        try:
            for start in self._starts:
                self._workers.append(start())
            _, failures = _call_all([construct, *(self._answer_of(number, None) for number in range(num_workers))])
            if failures:
                raise failures[0]
        except BaseException as error:
            # Ask workers to close before killing them: a killed one leaves behind what its environments hold.
            self.broken = True
            for env in ready:
                close(env)
            try:
                self.close()
            finally:
                _kill(self._workers)
            if isinstance(error, OSError | EOFError):  # Too few open files or processes, say.
                raise UserError(
                    f"cannot start {num_workers} workers: {getattr(error, 'strerror', None) or type(error).__name__}; "
                    "set a smaller num_workers, or allow more open files and processes (ulimit -n, ulimit -u)"
                ) from error
            raise

    @property
    def num_workers(self) -> int:
        """Worker processes beside this one."""
        return len(self._workers)

    @property
    def placement(self) -> str:
        """Where the environments run, in words."""
        if not self.num_workers:
            return "in this process"
        here = " and this process" if self.num_here else ""
        return f"in {self.num_workers} worker process{'es' if self.num_workers > 1 else ''}{here}"

    @property
    def machine_code(self) -> None:
        """None: Python steps these environments."""

    @property
    def num_here(self) -> int:
        """Environments that this process steps itself."""
        return self._rows[0].stop - self._rows[0].start

    @property
    def beats(self) -> int:
        """Grows with every step and reset of our own share."""
        return int(self._flags[BEATS])

    @property
    def at(self) -> int:
        """The environment of our own share that is, or was last, at work."""
        return int(self._flags[ROW])

    def take_events(self) -> list[Event]:
        """What happened since the last call; also that environments draw from process-wide generators, once."""
        found = self._foreign
        for number in range(1 + self.num_workers):
            found |= self._flags[number * LINE + FOREIGN]
        if found != self._foreign:
            self._foreign = found
            self.events.append(Event("foreign_randomness", in_words(found)))
        events, self.events = self.events, []
        return events

    def numbers(self) -> NDArray[np.int64]:
        """[N] number of the episode under way, from 0; -1: never reset."""
        return self._history.numbers()

    def mark(self) -> None:
        """Makes `state` describe this moment from now on."""
        self._history.mark()

    def bound(self) -> None:
        """Limits the recorded actions to the last `history.UNMARKED_BYTES`, until `mark` is called."""
        self._history.bound()

    def state(self) -> Arrays:
        """The episodes under way at the last mark and their actions: `History.state`."""
        return self._history.state()

    def recording_to(self, n: int) -> Recording:
        """The episode so far of environment n, with the action under way."""
        recording = self._history.recording(n)
        return recording._replace(actions=np.concatenate([recording.actions, self.block.action[n : n + 1]]))

    def failed_episode(self, error: Exception) -> FailedEpisode | None:
        """The steps that led an environment to an error or a hang; None if they are not known or not all recorded."""
        if not isinstance(error, EnvError | WorkerError) or error.env_index is None:
            return None
        recording = self.recording_to(error.env_index - self._offset)
        if recording.dropped and not (isinstance(error, EnvError) and error.phase == "reset"):
            return None
        if isinstance(error, WorkerError):
            return FailedEpisode(error.env_index, recording.episode, recording.seed, recording.actions)
        if error.phase not in ("reset", "step") or error.episode_seed is None:
            return None
        # A reset that raised began an episode without actions.
        actions = recording.actions if error.phase == "step" else recording.actions[:0]
        return FailedEpisode(error.env_index, error.episode, error.episode_seed, actions)

    def episode_up_to(self, n: int, episode: int, length: int, steps_ago: int) -> FailedEpisode:
        """The first `length` steps of an episode of environment n, the last of them `steps_ago` vector steps ago."""
        actions = self._history.actions(n, length, steps_ago)
        return FailedEpisode(n, episode, self._history.seed_of(n, episode), actions)

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """Each environment's method called with the same arguments, or its attribute read; [N]."""
        return self.everywhere("call", [(name, args, kwargs) for _ in self._rows])

    def generators(self) -> list[np.random.Generator]:
        """Each environment's random number generator, [N]."""
        return self.call("np_random", (), {})

    def generator_seeds(self) -> list[int]:
        """[N] the seed that was last passed to a reset of each environment; if none was, that of its episode."""
        own = self.call("np_random_seed", (), {})
        given = self._history.given_seeds()
        return [mine if seed is None else seed for seed, mine in zip(given, own, strict=True)]

    def everywhere(self, method: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Calls a method of every share, each with its own arguments, and joins the returned lists.

        Raises:
            Exception: A share raised it.
            WorkerError: Workers died or gave no answer in time, again and again.
        """
        requests = [packed(method, args) for args in arguments[1:]]
        self._send(requests)
        ours = functools.partial(self._here, getattr(self._share, method), *arguments[0])
        answers = [self._answer_of(number, request) for number, request in enumerate(requests)]
        results = self._gather([ours, *answers])
        return [item for result in results for item in result or []]

    def reset(self, seeds: Sequence[int | None], mask: Sequence[bool], options: dict[str, Any] | None) -> list[Info]:
        """Begins the next episode of the masked environments; returns the infos, [N].

        Args:
            seeds: [N] the seed of the episode, from which those of later ones follow; None: the next in order.
            mask: [N] which environments.
            options: Passed to each of them.

        Raises:
            EnvError: A reset raised.
            WorkerError: Workers died or gave no answer in time, again and again.
        """
        infos = self.everywhere("reset", [(seeds[rows], mask[rows], options) for rows in self._rows])
        for n in range(self.num_envs):
            if mask[n]:
                self._history.begin(n, seeds[n], options)
        self._obs[...] = self.block.obs
        return infos

    def begin_anew(self, seed: int) -> None:
        """Behaves, from the next reset on, as if made with another seed."""
        self.everywhere("begin_anew", [(seed,) for _ in self._rows])
        self._history.begin_anew(seed)

    def set_attr(self, name: str, values: Sequence[Any]) -> None:
        """Sets an attribute of each environment to its own value, [N]."""
        self.everywhere("set_attr", [(name, values[rows]) for rows in self._rows])
        self._attributes[name] = list(values)

    def restore(self, state: dict[str, NDArray[Any]], obs: NDArray[Any]) -> NDArray[np.bool_]:
        """Replays every environment's episode so far; one whose replay differs begins its next episode.

        Args:
            state: As `state` returned it.
            obs: [N, ...] the observations that the replays must reproduce, as rows or in the form of `plain`.

        Returns:
            [N] which ones differed.

        Raises:
            KeyError, ValueError: The state does not belong to these environments.
            EnvError: A reset raised.
            WorkerError: Workers died or gave no answer in time, again and again.
        """
        self._history.restore(state)
        obs = unplain(obs, self._obs.dtype)
        if obs.shape != self._obs.shape or obs.dtype != self._obs.dtype:
            raise ValueError(f"obs is {obs.dtype} {obs.shape}; it must be {self._obs.dtype} {self._obs.shape}")
        self._obs[...] = obs
        episodes = state["episode"].copy()
        self._send([packed("restore", self._recordings(rows)) for rows in self._rows[1:]])
        ours = functools.partial(self._here, self._share.restore, *self._recordings(self._rows[0]))
        answers = self._gather([ours, *(self._answer_of(number, None) for number in range(self.num_workers))])
        for rows, faults in zip(self._rows, answers, strict=True):
            self._lose(rows, faults or [], stepping=False)
        self._history.mark()
        self._obs[...] = self.block.obs
        lost: NDArray[np.bool_] = self._history.numbers() != episodes
        return lost

    def post(self, action: NDArray[Any], want_infos: bool) -> None:
        """Begins a vector step: action [N, ...]."""
        self.block.action[...] = action
        try:
            self._flags[WANT_INFOS] = want_infos
            self._flags[POSTED] += 1
            for worker in self._workers:
                worker.ring()
        except BaseException:
            self.abandon()
            raise

    def finish(self) -> list[Info]:
        """Does our share of the step and waits for the workers.

        Returns:
            The infos [N], {} for environments whose worker had none; an empty list if infos are not wanted.

        Raises:
            EnvError: An environment raised.
            WorkerError: Workers died or gave no answer in time, again and again.
        """
        of_shares = self._gather([self._step_here, *map(self._step_of, range(len(self._workers)))])
        block = self.block
        self._history.append(block.action)
        done = block.terminated | block.truncated
        if done.any():
            for n in np.flatnonzero(done).tolist():
                self._history.begin(n)
        if self._workers:
            self._obs[...] = block.obs
        if not self._flags[WANT_INFOS]:
            return []
        return [
            info
            for rows, infos in zip(self._rows, of_shares, strict=True)
            for info in infos or [{} for _ in range(rows.stop - rows.start)]
        ]

    def close(self) -> None:
        """Closes every environment and ends the workers."""
        for worker in self._workers:
            worker.ask_to_close()
        try:
            self._share.close()
        finally:
            for worker in self._workers:
                worker.close()

    def abandon(self) -> None:
        """Ends the workers at once: they are out of step with us, or no longer needed."""
        self.broken = True
        _kill(self._workers)

    def hold(self) -> None:
        """Blocks the thread that steps our own share once it comes back from it, until `release`."""
        self._held = True

    def release(self) -> None:
        """Lets that thread go on."""
        self._held = False

    def _here(self, call: Callable[..., Any], *args: Any) -> Any:
        """Calls a method of our own share."""
        self.is_stepping = True
        try:
            return call(*args)
        finally:
            self.is_stepping = False
            while self._held:  # Another thread is ending the run.
                time.sleep(0.1)

    def _send(self, requests: Sequence[bytes]) -> None:
        """Sends a request to each worker."""
        try:
            for worker, request in zip(self._workers, requests, strict=True):
                worker.request(request)
        except BaseException:
            self.abandon()
            raise

    def _step_here(self) -> list[Info]:
        """Steps our own share."""
        infos: list[Info] = self._here(self._share.step)
        return infos

    def _step_of(self, number: int) -> Callable[[], list[Info] | None]:
        """Returns a function that waits for a worker's share of the step; a replacement is asked to do the step."""

        def wait() -> list[Info] | None:
            try:
                return self._workers[number].wait()
            except WorkerError as error:
                infos: list[Info] | None = self._replace(number, _STEP, error)
                return infos if self._flags[WANT_INFOS] else None

        return wait

    def _answer_of(self, number: int, request: bytes | None) -> Callable[[], Any]:
        """Returns a function that waits for a worker's answer; a replacement gets the request again, if not None."""

        def wait() -> Any:
            try:
                return self._workers[number].reply()
            except WorkerError as error:
                return self._replace(number, request, error)

        return wait

    def _replace(self, number: int, request: bytes | None, error: WorkerError) -> Any:
        """Replaces a lost worker: the new one replays the episodes so far, and gets the request again.

        Args:
            number: Which worker.
            request: The request to the lost worker; _STEP: the posted step; None: nothing beyond the replay.
            error: How it was lost.

        Returns:
            The new worker's answer to the request.

        Raises:
            EnvError: An environment raised.
            WorkerError: Its replacements were lost there, too.
        """
        for _ in range(MOST_DEATHS - 1):
            self.events.append(Event("worker_restarts", f"{error}; a new worker replaces it"))
            self._workers[number].kill()
            try:
                worker = self._workers[number] = self._starts[number]()
                worker.reply()
                rows = slice(worker.rows.start, worker.rows.stop)
                for name, values in self._attributes.items():
                    worker.ask(packed("set_attr", (name, values[rows])))
                lost = self._lose(
                    rows, worker.ask(packed("restore", self._recordings(rows))), stepping=request is _STEP
                )
                if request is None:
                    return None
                return worker.ask(packed("step", (lost,)) if request is _STEP else request)
            except WorkerError as another:
                error = another
        raise self._lost_for_good(number, error)

    def _recordings(self, rows: slice) -> tuple[list[Recording], NDArray[Any]]:
        """The arguments of `Share.restore` that bring environments to before the step under way."""
        return [self._history.recording(n) for n in range(rows.start, rows.stop)], self._obs[rows].copy()

    def _lose(self, rows: slice, faults: Sequence[str | None], stepping: bool) -> list[int]:
        """Records that environments could not be replayed and began their next episode.

        No transition is invented: if a step is under way, the lost episode is truncated at its last observation.

        Args:
            rows: The rows of the share.
            faults: For each of them why its replay differed, or None.
            stepping: Whether a step is under way.

        Returns:
            The lost environments, by their place in the share.
        """
        lost = [row for row, fault in enumerate(faults) if fault is not None]
        for row in lost:
            n, block = rows.start + row, self.block
            self.events.append(
                Event(
                    "episodes_lost",
                    f"environment {self._offset + n} does not replay: {faults[row]}; it began its next episode",
                )
            )
            if stepping:  # `finish` then records the next episode, as for every environment whose episode ended.
                block.final_obs[n], block.reward[n] = self._obs[n], 0.0
                block.terminated[n], block.truncated[n], block.noted[n] = False, True, UNKNOWN
            else:
                self._history.begin(n)
                self._obs[n] = block.obs[n]
        return lost

    def _lost_for_good(self, number: int, error: WorkerError) -> WorkerError:
        worker = self._workers[number]
        n = worker.at
        recording = self._history.recording(n)
        place = (
            f"environment {n}, episode {recording.episode}, episode seed {recording.seed}, step {recording.length + 1}"
        )
        return WorkerError(f"{error}; {MOST_DEATHS} workers were lost there, at {place}", n)

    def _gather(self, calls: Sequence[Callable[[], Any]]) -> list[Any]:
        """Calls all, and only then raises the first exception; if an answer is missing, the pool is broken."""
        try:
            results, failures = _call_all(calls)
        except BaseException:
            self.abandon()
            raise
        if failures:
            raise failures[0]
        return results


def _call_all(calls: Sequence[Callable[[], Any]]) -> tuple[list[Any], list[Exception]]:
    """Calls all, and returns their results and their exceptions.

    All must be called: an answer left in a pipe would be taken for the answer to the next request. What prevents that
    (an interrupt, a worker lost for good) is raised at once.
    """
    results, failures = [], []
    for call in calls:
        try:
            results.append(call())
        except WorkerError:
            raise
        except Exception as error:  # noqa: BLE001 - returned
            failures.append(error)
    return results, failures


def _pickled(make: tuple[Callable[[], gymnasium.Env[Any, Any]], Feedback]) -> bytes:
    """The constructor and the feedback as bytes for a worker.

    Raises:
        UserError: They cannot be pickled.
    """
    try:
        return bytes(cloudpickle.dumps(make))
    except Exception as error:
        raise UserError(
            f"the callable that makes the environment cannot be sent to a worker: {plain(str(error))}; it must refer "
            "to nothing that belongs to this process, or set vectorization 'local' to use no workers"
        ) from error


def _shared(num_bytes: int) -> Any:
    """Bytes shared with the workers, in an unlinked file without a name.

    Raises:
        UserError: There is no room for them.
    """
    if not room_for(num_bytes):
        raise UserError(
            f"workers share {num_bytes:,} bytes, for which there is no room in /dev/shm and {util.get_temp_dir()}; set "
            "vectorization 'local', which needs none"
        )
    return start_context().RawArray("b", num_bytes)


def _kill(workers: Sequence[Worker]) -> None:
    for worker in workers:
        worker.kill()


def _shares(num_envs: int, num_workers: int, isolate: bool) -> list[range]:
    """Consecutive environments for this process and for each worker, as equal as possible; ours is the smallest."""
    parts = num_workers if isolate else num_workers + 1
    bounds = [num_envs * part // parts for part in range(parts + 1)]
    shares = [range(start, stop) for start, stop in itertools.pairwise(bounds)]
    return [range(0), *shares] if isolate else shares


def _field(space: gymnasium.Space[Any]) -> Field:
    row = row_type(space)
    return Field(row.shape, row.base)
