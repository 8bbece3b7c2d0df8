"""The shares of all processes, ours and the workers', kept in step with each other."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import cloudpickle
import gymnasium
import numpy as np
from numpy.typing import NDArray

from a2c.envs.local import Info, Share
from a2c.envs.memory import POSTED, WANT_INFOS, Field, Layout
from a2c.envs.workers import Worker, may_spin, packed, start_context
from a2c.errors import WorkerError


class Pool:
    """N environments in consecutive shares, the first of them stepped here, the others by a worker each.

    Attributes:
        num_envs: N.
        block: The arrays of the last vector step.
        rows: The environments of each share, ours first.
        broken: Whether a worker was lost or interrupted; nothing can be asked of it any more.
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
    ) -> None:
        """Starts the workers and constructs the environments, all at the same time.

        Args:
            make: Constructs one environment.
            num_envs: N.
            action_space: Of one environment.
            observation_space: Of one environment.
            num_workers: Worker processes beside this one.
            isolate: Whether this process steps none itself.
            seed: The run's seed.
            timeout_seconds: How long a worker may leave us without an answer.

        Raises:
            EnvError: An environment could not be constructed.
            WorkerError: A worker died or gave no answer in time.
        """
        self.broken = False
        self._workers: list[Worker] = []
        self.num_envs = num_envs
        layout = Layout(num_envs, num_workers, _field(action_space), _field(observation_space))
        # A RawArray of a start context lies in an unlinked file: shared with the workers, and nameless.
        buffer = start_context().RawArray("b", layout.num_bytes()) if num_workers else bytearray(layout.num_bytes())
        self._flags, self.block = layout.map(buffer)
        here, *elsewhere = shares = _shares(num_envs, num_workers, isolate)
        self.rows = [slice(share.start, share.stop) for share in shares]
        try:
            for number, indices in enumerate(elsewhere):
                spins, pickled = may_spin(num_workers), cloudpickle.dumps(make)
                self._workers.append(
                    Worker(number, pickled, seed, layout, buffer, self._flags, indices, spins, timeout_seconds)
                )
            self._share = Share(make, seed, here, self.block.rows(self.rows[0]))
            for worker in self._workers:
                worker.reply()
        except BaseException:
            self.abandon()
            raise

    @property
    def num_workers(self) -> int:
        """Worker processes beside this one."""
        return len(self._workers)

    def everywhere(self, method: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Calls a method of every share, each with its own arguments, and joins the lists they return.

        Raises:
            Exception: What a share raised.
            WorkerError: A worker died or gave no answer in time.
        """
        requests = [packed(method, args) for args in arguments[1:]]
        try:
            for worker, request in zip(self._workers, requests, strict=True):
                worker.request(request)
        except BaseException:
            self.abandon()
            raise
        ours = functools.partial(getattr(self._share, method), *arguments[0])
        results = self._gather([ours, *(worker.reply for worker in self._workers)])
        return [item for result in results for item in result or []]

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

    def finish(self) -> list[list[Info] | None]:
        """Does our share of the step and waits for the others.

        Returns:
            The infos of each share; None where a worker had none, or none were wanted.

        Raises:
            EnvError: An environment raised.
            WorkerError: A worker died or gave no answer in time.
        """
        return self._gather([self._share.step, *(worker.wait for worker in self._workers)])

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
        """Ends the workers at once: they are no longer in step with us, or nobody wants them any more."""
        self.broken = True
        for worker in self._workers:
            worker.kill()

    def _gather(self, calls: Sequence[Callable[[], Any]]) -> list[Any]:
        """Calls all, and only then raises what one of them answered with.

        An answer left in a pipe would be taken for the next one; so whatever keeps us from hearing all of them (an
        interrupt, a worker that died) breaks the pool.
        """
        results, failures = [], []
        try:
            for call in calls:
                try:
                    results.append(call())
                except WorkerError:
                    raise
                except Exception as error:  # noqa: BLE001 - raised below
                    failures.append(error)
        except BaseException:
            self.abandon()
            raise
        if failures:
            raise failures[0]
        return results

    def __del__(self) -> None:
        """Ends the workers of a pool that nobody closed."""
        self.abandon()


def _shares(num_envs: int, num_workers: int, isolate: bool) -> list[range]:
    """Consecutive environments for this process and for each worker, as equal as can be; ours is never the larger."""
    parts = num_workers if isolate else num_workers + 1
    bounds = [num_envs * part // parts for part in range(parts + 1)]
    shares = [range(start, stop) for start, stop in itertools.pairwise(bounds)]
    return [range(0), *shares] if isolate else shares


def _field(space: gymnasium.Space[Any]) -> Field:
    return Field(tuple(space.shape or ()), np.dtype(space.dtype).str)
