"""Coverage of the processes that tests start with an environment of their own."""

import os

# Set by `make coverage` only: with it, a process of Python records its coverage.
COVERAGE = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_PROCESS_")}
