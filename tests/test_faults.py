"""The short form of the campaign in faults/: killed, stopped, hung or out of disk, a run ends with the same bits."""

import multiprocessing
import os
import shutil
import sys
from multiprocessing.shared_memory import SharedMemory

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from faults.cases import CASES
from faults.compare import differences, newest_checkpoint
from faults.kinds import disk, hangs, kills, stops, undisturbed, worker_kills
from faults.places import Place
from faults.several import alone, seeds

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds processes through /proc")


@pytest.fixture(autouse=True, scope="module")
def _runs_lie_in_memory():
    """As those of other tests do (tests/conftest.py), but in no deep folder: the path of a socket must be short."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", os.environ.get("PYTEST_DEBUG_TEMPROOT"))  # None: the usual folder.
        yield


def shortened(name, steps):
    return CASES[name].but(total_steps=steps, eval_every_steps=steps // 5, log_every_steps=steps // 20)


@pytest.fixture(scope="module")
def compiled():
    yield from with_undisturbed(shortened("compiled-cartpole", 1_000_000))


@pytest.fixture(scope="module")
def two_workers():
    yield from with_undisturbed(shortened("cartpole-2-workers", 20_000))


def with_undisturbed(case):
    place = Place()
    yield case, undisturbed(case, 0, place)
    assert place.leftovers() == []
    place.remove()


def check(outcome, faults):
    assert (outcome.differing, outcome.leftovers) == ([], [])
    assert outcome.faults == faults
    assert outcome.equal == outcome.runs >= 1


def test_a_run_killed_and_resumed_has_the_same_bits(compiled):
    check(kills(*compiled, 4, seed=0), 4)


def test_seeds_in_parallel_killed_and_resumed_have_the_bits_of_runs_one_by_one():
    case = shortened("compiled-cartpole", 1_000_000)
    each = alone(case, 0)
    try:
        check(seeds(case, each, 4, seed=0), 4)
    finally:
        each.remove()


def test_a_run_with_workers_killed_and_resumed_has_the_same_bits(two_workers):
    check(kills(*two_workers, 2, seed=0), 2)


def test_a_killed_worker_is_replaced_and_the_bits_are_the_same(two_workers):
    outcome = worker_kills(*two_workers, 3, seed=0)
    check(outcome, 3)
    assert outcome.events["worker_restarts"] >= 1  # One that is killed at the very end is not missed.


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        *[(name, 4_000) for name in ("camera-2-workers", "apart-2-workers", "lives-2-workers")],  # with convolutions
        ("pixels-2-workers", 10_000),
        ("nested-2-workers", 10_000),
        ("natural-2-workers", 10_000),
        ("memory-2-workers", 10_000),
        ("ahead-2-workers", 10_000),
        ("reinforce-2-workers", 10_000),
        ("own-network-2-workers", 4_000),  # on Paddle
    ],
)
def test_every_kind_of_run_has_the_same_bits_when_killed(name, steps):
    for case, expected in with_undisturbed(shortened(name, steps)):
        check(kills(case, expected, 2, seed=0), 2)
        check(worker_kills(case, expected, 2, seed=0), 2)


def test_an_environment_that_hangs_is_replaced_and_the_bits_are_the_same(two_workers):
    check(hangs(*two_workers, 1, seed=0), 1)


def test_a_process_stopped_for_a_while_does_not_change_the_bits(two_workers):
    check(stops(*two_workers, 2, seed=0), 2)


def test_a_full_disk_at_any_write_of_a_checkpoint_is_reported_and_survived():
    outcome = disk(CASES["compiled-cartpole"], seed=0)
    check(outcome, outcome.runs)
    calls = {call.split()[0] for call in outcome.during}
    assert {"mkdir", "open", "write", "fsync", "rename"} <= calls


def test_the_comparison_sees_one_bit(two_workers, tmp_path):
    run = two_workers[1].run
    copied = shutil.copytree(run, tmp_path / "run")
    assert differences(run, copied) == []
    path = newest_checkpoint(copied) / "state.safetensors"
    state = load_file(path)
    name = max(state, key=lambda name: state[name].nbytes)
    state[name].reshape(-1).view(np.uint8)[0] ^= 1
    save_file(state, path)
    (copied / "metrics.jsonl").write_text("".join((run / "metrics.jsonl").read_text().splitlines(True)[:-1]))
    first, second = differences(run, copied)
    assert first == f"state.safetensors: {name} differs"
    assert second.startswith("metrics.jsonl has ")


def test_shared_memory_is_left_over_only_where_no_process_has_it(monkeypatch):
    monkeypatch.setattr("faults.places._GONE_SECONDS", 0.0)
    place = Place()
    semaphore, memory = multiprocessing.get_context("spawn").Semaphore(), SharedMemory(create=True, size=8)
    try:
        assert semaphore.acquire(timeout=1)
        assert place.leftovers() == []
        memory.close()
        assert place.leftovers() == [f"shared memory {memory.name}"]
    finally:
        memory.unlink()
        place.remove()
