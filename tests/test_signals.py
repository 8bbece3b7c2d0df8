"""Ctrl-C while something is imported or compiled: never lost, and never a report of what it broke."""

import contextlib
import ctypes
import os
import signal
import threading

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

    from a2c.kernels.threads import dismiss, meet

    arrivals = np.zeros(1, np.int64)
    meet(arrivals, 1)  # compiled
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: [meet(arrivals, 2) for _ in range(3)])
        with pytest.raises(concurrent.futures.TimeoutError):
            waiting.result(0.2)
        dismiss(arrivals)
        waiting.result(10)
