"""Writes the seccomp filter of the sandbox and that of the worker's container: `make seccomp`.

Both are kept in the repository, so that a worker needs no libseccomp. The sandbox's is compiled: one program for x86-64
and AArch64; every other instruction set, 32-bit x86 and x32 among them, ends the process that uses it. The container's
is JSON for Docker. Docker's own would keep bubblewrap from making a sandbox.
"""

import errno
import json
from contextlib import suppress
from pathlib import Path

# The container's filter: every system call that libseccomp knows, but for those that neither gateway nor sandbox needs.
PROFILE = Path(__file__).with_name("seccomp.json")
FILTER = Path(__file__).parents[1] / "functions" / "worker" / "sandbox" / "seccomp.bpf"

# System calls that a tool never needs and that reach a part of the kernel where faults were found.
REFUSED = (
    # namespaces and mounts
    "unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "fsopen", "fsconfig", "fsmount", "fspick",
    "move_mount", "open_tree", "mount_setattr",
    # the kernel itself, its modules, keys, programs and counters
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "bpf", "perf_event_open",
    "userfaultfd", "keyctl", "add_key", "request_key", "syslog", "lookup_dcookie", "nfsservctl", "uselib", "sysfs",
    "_sysctl", "create_module", "get_kernel_syms", "query_module", "modify_ldt", "iopl", "ioperm", "vhangup",
    # the machine: clock, swap, quotas, accounting, other users' memory, files by handle
    "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "stime", "swapon", "swapoff", "reboot", "acct",
    "quotactl", "quotactl_fd", "move_pages", "migrate_pages", "open_by_handle_at", "fanotify_init", "fanotify_mark",
    "memfd_secret",
)  # fmt: skip
# System calls that programs try and do without: a filter cannot see the flags of `clone3`, and memory of a `memfd` that
# nobody has mapped counts for no process.
MISSING = ("clone3", "io_uring_setup", "io_uring_enter", "io_uring_register", "memfd_create")
# System calls that bubblewrap needs to make a sandbox, and the relay to listen in it: the container allows them.
FOR_BUBBLEWRAP = {"unshare", "setns", "mount", "umount2", "pivot_root"}
# System calls that the container is refused in addition to those of the sandbox.
REFUSED_TO_CONTAINER = {"io_uring_setup", "io_uring_enter", "io_uring_register"}
# Numbers of system calls end here in every version of libseccomp.
_LAST = 600
# Flags of `clone` that make a namespace: time, mount, cgroup, UTS, IPC, user, PID, network.
NEW_NAMESPACES = (0x80, 0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
# Terminal requests that type into the terminal of another process.
TYPING = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX
# Families of sockets that are left: local, IPv4, IPv6, and netlink for the list of interfaces.
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
# Bytes of one System V segment: one that nobody has attached counts for no process, and there may be 4,096 of them.
SEGMENT = 65_536


def compile_filter(target: Path) -> None:
    """Write the filter as the kernel loads it."""
    import pyseccomp as seccomp  # noqa: PLC0415 -- it fails where libseccomp is not installed

    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    rules.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)
    for machine in (seccomp.Arch.X86_64, seccomp.Arch.AARCH64):
        if not rules.exist_arch(machine):
            rules.add_arch(machine)
    refused, missing = seccomp.ERRNO(errno.EPERM), seccomp.ERRNO(errno.ENOSYS)
    for name in REFUSED:
        rules.add_rule(refused, name)
    for name in MISSING:
        rules.add_rule(missing, name)
    for flag in NEW_NAMESPACES:
        rules.add_rule(refused, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, flag, flag))
    for request in TYPING:
        rules.add_rule(refused, "ioctl", seccomp.Arg(1, seccomp.MASKED_EQ, 0xFFFFFFFF, request))
    no_family = seccomp.ERRNO(errno.EAFNOSUPPORT)
    rules.add_rule(no_family, "socket", seccomp.Arg(0, seccomp.GT, AF_NETLINK))
    for family in range(AF_NETLINK):
        if family not in {AF_UNIX, AF_INET, AF_INET6}:
            rules.add_rule(no_family, "socket", seccomp.Arg(0, seccomp.EQ, family))
    # NETLINK_ROUTE is protocol 0.
    rules.add_rule(no_family, "socket", seccomp.Arg(0, seccomp.EQ, AF_NETLINK), seccomp.Arg(2, seccomp.GT, 0))
    rules.add_rule(seccomp.ERRNO(errno.ENOMEM), "shmget", seccomp.Arg(1, seccomp.GT, SEGMENT))
    with target.open("wb") as file:
        rules.export_bpf(file)


def profile() -> str:
    """Return the container's filter as Docker reads it."""
    import pyseccomp as seccomp  # noqa: PLC0415 -- it fails where libseccomp is not installed

    known: set[str] = set()
    for machine in (seccomp.Arch.X86_64, seccomp.Arch.AARCH64):
        for number in range(_LAST):
            with suppress(ValueError):
                known.add(seccomp.resolve_syscall(machine, number).decode())
    allowed = sorted(known - (set(REFUSED) - FOR_BUBBLEWRAP) - REFUSED_TO_CONTAINER)
    filter_ = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": errno.ENOSYS,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "syscalls": [
            {"names": allowed, "action": "SCMP_ACT_ALLOW"},
            {"names": sorted(set(REFUSED) - FOR_BUBBLEWRAP), "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EPERM},
        ],
    }
    return json.dumps(filter_, indent=1) + "\n"


if __name__ == "__main__":
    compile_filter(FILTER)
    PROFILE.write_text(profile(), encoding="utf-8")
