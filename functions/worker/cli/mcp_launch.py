"""Becomes an MCP server, with an environment that holds what its entry gives and nothing of the CLI's.

`python -I -S mcp_launch.py PID_FILE NAME,NAME COMMAND ARGUMENT…`: the names are the variables that are kept. Their
values are in the environment and not on the command line, which every user of the machine can read. The process keeps
its id when it becomes the server, so the file says which process that is.
"""

import os
import sys

# What any program needs to find others, and to have a place of its own.
KEPT = ("HOME", "LANG", "PATH", "TMPDIR")


def main() -> None:
    """Write the process id, keep the named variables, and become the command."""
    pid_file, names, *command = sys.argv[1:]
    with open(pid_file, "w", encoding="ascii") as file:  # noqa: PTH123 -- pathlib takes longer to import
        file.write(str(os.getpid()))
    environment = {name: os.environ[name] for name in names.split(",") if name in os.environ}
    os.execvpe(command[0], command, environment)  # noqa: S606 -- no shell is wanted


if __name__ == "__main__":
    main()
