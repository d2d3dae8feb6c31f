"""`python -m local` is the command `claude-gateway`."""

from local.cli import main

main()
