"""Adopts as many orphans as its argument says, ends them as a pool does each second, and prints what that took."""

import json
import os
import signal
import sys
import time

from functions.worker.pool.orphans import Orphans
from shared.host import processes


def main(count: int, pause: float) -> None:
    """Print the number of scans of /proc, the CPU and the time that it took, in s, and the processes that are left."""
    processes.adopt_orphans()
    server = _paused()
    parent = os.fork()
    if parent == 0:
        for number in range(count):
            # Half of them have a parent that is an orphan itself.
            if os.fork() == 0:
                if number % 2 and os.fork():
                    os._exit(0)
                signal.pause()
        os._exit(0)
    os.waitpid(parent, 0)
    scans = 0

    def excluded() -> set[int]:
        nonlocal scans
        scans += 1
        return {server}

    orphans = Orphans(excluded)
    cpu, started = 0.0, time.monotonic()
    step = orphans.end
    while True:
        before = time.process_time()
        step()
        cpu += time.process_time() - before
        # The measuring itself is not the pool's work.
        if not processes.below({server}):
            break
        step = orphans.check
        time.sleep(pause)
    measured = {"scans": scans, "cpu": cpu, "took": time.monotonic() - started}
    print(json.dumps({**measured, "server": os.waitpid(server, os.WNOHANG) == (0, 0)}))  # noqa: T201 -- its output
    os.kill(server, signal.SIGKILL)


def _paused() -> int:
    pid = os.fork()
    if pid == 0:
        signal.pause()
    return pid


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
