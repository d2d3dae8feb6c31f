"""Runs the gateway on one machine, and its commands."""

import sys

# httpx imports its own command line where rich and click are installed, which takes longer than the rest of httpx. The
# import system refuses a module that is None, and httpx does without it.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
