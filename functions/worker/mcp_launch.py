"""Becomes an MCP server, with an environment that holds what its entry gives and nothing of the CLI's.

`python -I -S mcp_launch.py NAME,NAME COMMAND ARGUMENT…`: the names are the variables that are kept. The values stand in
the environment and not on the command line, which everybody could read.
"""

import os
import sys

# What any program needs to find others, and to have a place of its own.
KEPT = ("HOME", "LANG", "PATH", "TMPDIR")


def main() -> None:
    """Keep the named variables and become the command."""
    kept = sys.argv[1].split(",")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    os.execvpe(sys.argv[2], sys.argv[2:], environment)  # noqa: S606 -- no shell is wanted


if __name__ == "__main__":
    main()
