"""The CPU time of processes, by the clock of each: /proc/PID/stat counts in hundredths of a second."""

import time


def seconds(pid: int) -> float:
    """Return the CPU seconds of a process so far."""
    return time.clock_gettime(~pid << 3 | 2)  # as clock_getcpuclockid(3) makes the clock's id
