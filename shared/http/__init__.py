"""HTTP: requests, responses, errors and documents of every function."""

import sys

# FastAPI looks for models of pydantic 1 in each route, and imports them if they are there: 60 ms of a function's start.
# It goes on without them, as with a Python that has none.
sys.modules.setdefault("pydantic.v1", None)  # type: ignore[arg-type]
