"""Waiting in the main thread for the work of another."""

import asyncio
import os
import signal
import sys
import threading
import traceback
from concurrent.futures import Future

import pytest

from functions.worker.pool.tasks import wait_here
from tests.support.waiting import until


@pytest.fixture
def signaled():
    """Whether SIGTERM was handled, which the kernel delivers to another thread than the main one."""
    handled = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: handled.set())
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    yield handled
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    signal.signal(signal.SIGTERM, before)


def main_thread_waits():
    """Return whether the main thread is below `wait_here`, in the wait for a condition."""
    frame = sys._current_frames()[threading.main_thread().ident or 0]
    names = [one.f_code.co_name for one, _ in traceback.walk_stack(frame)]
    return "wait_here" in names and names[0] == "wait"


@pytest.mark.timeout(20)
def test_a_signal_is_handled_while_the_main_thread_waits(signaled):
    done: Future[None] = Future()
    seen = []

    def work():
        until(main_thread_waits)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        os.kill(os.getpid(), signal.SIGTERM)
        signaled.wait(10)
        seen.append(signaled.is_set())
        done.set_result(None)

    thread = threading.Thread(target=work)
    thread.start()
    wait_here(done)
    thread.join()
    assert seen == [True]


async def test_an_exception_of_the_work_is_raised_to_the_waiter():
    async def work() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        await asyncio.to_thread(wait_here, asyncio.run_coroutine_threadsafe(work(), asyncio.get_running_loop()))
