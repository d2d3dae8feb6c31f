"""The CPU time of processes and of the machine."""

import time

import psutil


def seconds(pid: int) -> float:
    """Return the CPU seconds of a process so far, by its own clock: /proc/PID/stat counts in hundredths."""
    return time.clock_gettime(~pid << 3 | 2)  # as clock_getcpuclockid(3) makes the clock's id


def machine() -> float:
    """Return the CPU seconds that this machine has spent: those of a sandbox's processes are counted nowhere else."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)
