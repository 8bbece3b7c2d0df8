"""Ctrl-C while something is imported or compiled is never lost, and never printed as an error of that code."""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from a2c.signals import Stopped, StopSignals, interrupts_held, interrupts_remembered

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def forget_an_interrupt():
    """As a callback from machine code does with what is raised in it."""
    with contextlib.suppress(KeyboardInterrupt):
        interrupt()


@pytest.fixture(autouse=True)
def _handlers_are_put_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    yield
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_an_interrupt_that_is_held_comes_at_the_end_of_the_block():
    reached = []
    with pytest.raises(KeyboardInterrupt), interrupts_held():
        interrupt()
        reached.append("the end")
    assert reached == ["the end"]


def test_an_interrupt_that_is_remembered_comes_at_once():
    reached = []
    with pytest.raises(KeyboardInterrupt), interrupts_remembered():
        interrupt()
        reached.append("the end")
    assert reached == []


def test_an_interrupt_that_was_lost_comes_at_the_end_of_the_block():
    reached = []
    with pytest.raises(KeyboardInterrupt), interrupts_remembered():
        forget_an_interrupt()
        reached.append("the end")
    assert reached == ["the end"]


def test_an_interrupt_that_a_callback_forgets_is_not_printed(capfd):
    # Python prints what is raised in a callback from C; where this comes from a Ctrl-C it says nothing to anybody.
    reached = []
    with pytest.raises(KeyboardInterrupt), interrupts_remembered():
        ctypes.CFUNCTYPE(None)(interrupt)()
        reached.append("the end")
    assert reached == ["the end"]
    assert capfd.readouterr() == ("", "")


def test_what_a_callback_raises_besides_is_printed(monkeypatch):
    heard = []
    monkeypatch.setattr("sys.unraisablehook", lambda raised: heard.append(raised.exc_type))
    with interrupts_remembered():
        ctypes.CFUNCTYPE(None)(lambda: [][0])()
    assert heard == [IndexError]


def test_what_a_lost_interrupt_broke_is_not_reported():
    # Interrupted in a callback of LLVM's, Numba finds "no compiled object yet", some of the times.
    with pytest.raises(KeyboardInterrupt), interrupts_remembered():
        forget_an_interrupt()
        raise RuntimeError("no compiled object yet")


@pytest.mark.parametrize("block", [interrupts_held, interrupts_remembered])
def test_an_error_without_an_interrupt_is_itself(block):
    with pytest.raises(RuntimeError, match="of its own"), block():
        raise RuntimeError("of its own")


@pytest.mark.parametrize("block", [interrupts_held, interrupts_remembered, StopSignals])
def test_other_threads_may_come_through(block):
    reached = []

    def work():
        with block():
            reached.append("the end")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert reached == ["the end"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_ends(number):
    with pytest.raises(SystemExit) as caught, StopSignals() as stop:
        stop.check()
        os.kill(os.getpid(), number)
        assert stop.received == number
        with pytest.raises(Stopped):
            stop.check()
        with contextlib.suppress(Exception, SystemExit):  # As whoever calls an environment does.
            os.kill(os.getpid(), number)
        raise AssertionError("it went on")
    assert caught.value.code == 128 + number


def test_threads_do_not_wait_for_one_that_was_interrupted_before_its_part():
    import concurrent.futures

    import numpy as np

    from a2c.kernels.threads import Crew, dismiss, meet

    crew = Crew(2, np.zeros(1, np.int64))
    meet(Crew(1, crew.arrivals))  # compiled
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: [meet(crew) for _ in range(3)])
        with pytest.raises(concurrent.futures.TimeoutError):
            waiting.result(0.2)
        dismiss(crew)
        waiting.result(10)


SEVERAL = """
import signal, sys, a2c
signal.signal(signal.SIGINT, signal.default_int_handler)
done = []
try:
    for seed in range(3):
        settings = dict(total_steps=10**9, seed=seed, run_dir=sys.argv[1], eval_every_steps=0, final_eval_episodes=0)
        a2c.train("CartPole-v1", preset="none", **settings)
        done.append(seed)
finally:
    print("finally", done, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of a shell")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, -signal.SIGINT)], ids=str
)
def test_a_script_that_trains_several_is_ended_by_one_signal_with_its_run_saved(tmp_path, number, code):
    process = subprocess.Popen(
        [sys.executable, "-c", SEVERAL, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size for path in tmp_path.glob("*/*/metrics.jsonl")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert out == "finally []\n"
    assert process.returncode == code, err
    (summary,) = tmp_path.rglob("summary.json")
    assert json.loads(summary.read_text())["stopped_by"] == number.name


HANGING = """
import sys, time, gymnasium, numpy as np, a2c

class Hangs(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    count = 0
    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32), {}
    def step(self, action):
        Hangs.count += 1
        while Hangs.count > 100:
            HOW
        return np.zeros(2, np.float32), 0.0, False, False, {}

try:
    settings = dict(num_envs=2, vectorization="local", env_timeout_seconds=0.5, eval_every_steps=0)
    a2c.train(Hangs, run_dir=sys.argv[1], **settings)
except a2c.WorkerError as error:
    print("raised", str(error)[:60], flush=True)
finally:
    print("finally", flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="wakes a thread by a signal")
@pytest.mark.parametrize("how", ["time.sleep(1000)", "pass"])
def test_a_hang_in_a_script_is_an_error_where_it_hangs_and_the_run_is_saved(tmp_path, how):
    script = HANGING.replace("HOW", how)
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == [
        "raised environment 0, which this process steps itself, did not retu", "finally"
    ], done.stderr  # fmt: skip
    assert list(tmp_path.rglob("checkpoints/step_*"))


@pytest.mark.skipif(os.name != "posix", reason="redirections of a shell")
@pytest.mark.parametrize(
    ("redirection", "code"),
    [("2>/dev/full", 0), ("2>&-", 0), ("2>&1 >/dev/full", 1), (">&-", 0), (">&- 2>&-", 0)],
)
def test_training_goes_on_where_nobody_listens(tmp_path, redirection, code):
    settings = "--preset none --total-steps 256 --num-envs 2 --rollout-length 4 --final-eval-episodes 2"
    command = f"{sys.executable} -m a2c train CartPole-v1 {settings} --run-dir {tmp_path} {redirection}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    (folder,) = (tmp_path / "CartPole-v1").iterdir()
    assert {"summary.json", "curve.png", "video.gif"} <= {path.name for path in folder.iterdir()}
    assert json.loads((folder / "summary.json").read_text())["steps"] == 256
