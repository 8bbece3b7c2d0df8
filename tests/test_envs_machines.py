"""Workers if processes, files or memory are short, and in programs that start processes themselves."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from analytic import MatchTheCue

import a2c
from a2c.envs import workers

pytestmark = pytest.mark.skipif(os.name != "posix", reason="limits and signals of a system like Unix")


def python(script, *words, prefix="", timeout=120):
    command = f"{prefix} exec {sys.executable} -c '{script}' {' '.join(map(str, words))}"
    environment = {**os.environ, "PYTHONPATH": f"{Path(__file__).parent}:{os.environ.get('PYTHONPATH', '')}"}
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=timeout, env=environment)


SCRIPT = """
import gymnasium, numpy as np, a2c

class Here(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return np.full(2, self.t, np.float32), {}

    def step(self, action):
        self.t += 1
        return np.full(2, self.t / 10, np.float32), 1.0, self.t == 5, False, {}

gymnasium.register("Here-v0", entry_point="__main__:Here")
envs = a2c.make_envs("Here-v0", 3, num_workers=2)
envs.begin()
print(envs.advance(np.zeros(3, np.int64)).obs[:, 0].tolist())
envs.close()
"""


def test_an_environment_that_a_script_registers_goes_to_workers(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("[0.10000000149011612, 0.10000000149011612, 0.10000000149011612]\n", "")


def double(pipe):
    while True:
        pipe.send(2 * pipe.recv())


class HasAProcess(MatchTheCue):
    """Its simulator is a process of its own."""

    def __init__(self):
        super().__init__()
        self._pipe, theirs = multiprocessing.get_context("spawn").Pipe()
        self._process = multiprocessing.get_context("spawn").Process(target=double, args=(theirs,), daemon=True)
        self._process.start()

    def step(self, action):
        self._pipe.send(21)
        assert self._pipe.recv() == 42
        return super().step(action)

    def close(self):
        self._process.kill()
        self._process.join()


def test_environments_may_have_processes_of_their_own_in_workers():
    envs = a2c.make_envs(HasAProcess, 2, num_workers=1)
    envs.begin()
    assert envs.advance(np.zeros(2, np.int64)).obs.shape == (2, 3)
    envs.close()


CHILD = """
import multiprocessing, sys, a2c
def work(words):
    try:
        envs = a2c.make_envs("CartPole-v1", 4, **words)
        print(envs.placement, flush=True)
        envs.close()
    except a2c.UserError as error:
        print(error, flush=True)
for words in ({}, {"num_workers": 1}, {"isolate_envs": True}):
    for daemon in (True, False):
        process = multiprocessing.get_context("fork").Process(target=work, args=(words,), daemon=daemon)
        process.start()
        process.join()
"""


def test_a_child_of_multiprocessing_has_workers_if_it_may_start_processes():
    done = python(CHILD)
    auto, auto_free, daemonic, free, isolated, isolated_free = done.stdout.splitlines()
    assert auto == "in this process"
    assert auto_free.startswith("in ")
    assert daemonic == isolated
    assert daemonic.startswith("workers are asked for in a daemonic process of multiprocessing, which may start none")
    assert free == "in 1 worker process and this process"
    assert isolated_free.startswith("in ")


def test_a_callable_that_cannot_be_sent_to_a_worker_is_refused_in_a_sentence():
    lock, closed = threading.Lock(), []

    class Closes(MatchTheCue):
        def close(self):
            closed.append(self)

    with pytest.raises(a2c.UserError, match=r"cannot be sent to a worker: .*lock.*; it must refer to nothing"):
        a2c.make_envs(lambda: Closes() if lock else None, 2, num_workers=1)
    assert len(closed) == 1


LIMITED = """
import a2c
try:
    a2c.make_envs("CartPole-v1", 21, num_workers=20)
except a2c.UserError as error:
    print(error)
"""


def test_too_few_open_files_for_so_many_workers_are_a_sentence():
    done = python(LIMITED, prefix="ulimit -n 32;")
    assert done.stdout.startswith("cannot start 20 workers: "), done.stderr
    assert done.stdout.count("\n") == 1


def test_no_room_to_share_is_a_sentence_and_the_first_environment_is_closed(monkeypatch):
    closed = []

    class Closes(MatchTheCue):
        def close(self):
            closed.append(self)

    monkeypatch.setattr(workers.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(a2c.UserError, match=r"workers share [\d,]+ bytes, for which there is no room in /dev/shm and"):
        a2c.make_envs(Closes, 2, num_workers=1)
    assert len(closed) == 1
    a2c.make_envs(Closes, 2, vectorization="local").close()


STOPPED = """
import os, signal, threading, time, a2c
from multiprocessing import forkserver
from a2c.envs import workers
workers._SLOW_START_SECONDS = 0.5
a2c.make_envs("CartPole-v1", 2, num_workers=1).close()
pid = forkserver._forkserver._forkserver_pid
os.kill(pid, signal.SIGSTOP)
threading.Timer(2.0, lambda: os.kill(pid, signal.SIGCONT)).start()
a2c.make_envs("CartPole-v1", 2, num_workers=1).close()
print("went on")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="stops the server that forks")
def test_a_stopped_fork_server_is_warned_of():
    done = python(STOPPED)
    assert done.stdout == "went on\n"
    assert "a worker has not started for 0.5 s; the process that forks workers (" in done.stderr


def test_workers_of_a_program_that_forgets_them_end_with_it():
    script = 'import a2c; envs = a2c.make_envs("CartPole-v1", 3, num_workers=2)'
    done = python(f"{script}; print(*[worker._process.pid for worker in envs.stepper._workers])", timeout=30)
    assert done.returncode == 0
    for pid in map(int, done.stdout.split()):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                break
            time.sleep(0.05)
        else:
            os.kill(pid, signal.SIGKILL)
            pytest.fail("a worker is left")


@pytest.fixture
def scarce(monkeypatch):
    """Lets so many threads start, and no more: what a limit of processes, or of a container, does."""

    begin = threading.Thread.start

    def let(count):
        left = [count]

        def start(self):
            if not left[0]:
                raise RuntimeError("can't start new thread")
            left[0] -= 1
            begin(self)

        monkeypatch.setattr(threading.Thread, "start", start)

    return let


@pytest.mark.parametrize("count", [0, 1, 2])
def test_threads_that_cannot_start_are_done_without(quick, monkeypatch, scarce, count):
    monkeypatch.setattr("a2c.machine.cores", lambda: 4)
    many = {**quick, "num_envs": 64, "rollout_length": 8, "total_steps": 64 * 8 * 4, "num_threads": 4}
    whole = a2c.train("CartPole-v1", **many)
    assert whole.summary["engine"] == "compiled, 4 threads"
    scarce(count)
    message = rf"of 4 threads of the compiled engine, this machine allows {count + 1} \(can't start new thread\)"
    # Those that did start end before as many are asked for anew.
    monkeypatch.setattr("concurrent.futures.ThreadPoolExecutor.shutdown", _giving_back(count, scarce))
    with pytest.warns(UserWarning, match=message):
        few = a2c.train("CartPole-v1", **many)
    assert few.summary["engine"] == f"compiled, {count + 1} thread{'s' if count else ''}"
    assert policy(few) == policy(whole)


def policy(run):
    return (run.path / "policy" / "policy.safetensors").read_bytes()


def _giving_back(count, scarce):
    shutdown = ThreadPoolExecutor.shutdown

    def end(self, *args, **kwargs):
        shutdown(self, *args, **kwargs)
        scarce(count)

    return end


def test_without_a_thread_to_watch_there_is_a_warning_and_training_goes_on(quick, scarce):
    config = {**quick, "vectorization": "local", "num_threads": 1}
    whole = a2c.train("CartPole-v1", **config)
    scarce(0)
    with pytest.warns(UserWarning, match="environments of this process are not watched"):
        run = a2c.train("CartPole-v1", **config)
    assert policy(run) == policy(whole)
