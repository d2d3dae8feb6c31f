"""The processor cores that this process may use."""

import os
from pathlib import Path

# The limit of a container, as "QUOTA PERIOD" in µs, or "max PERIOD" without one (cgroup v2).
_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def available(limit: Path = _LIMIT) -> float:
    """Return the cores that the affinity and the limit of the container leave; a container may have parts of one."""
    cores = float(len(os.sched_getaffinity(0)))
    try:
        quota, period = limit.read_text(encoding="ascii").split()
        return cores if quota == "max" else min(cores, int(quota) / int(period))
    except (OSError, ValueError, ZeroDivisionError):  # another version of cgroups, or none
        return cores
