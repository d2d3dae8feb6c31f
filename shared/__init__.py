"""What functions and the local tools have in common."""

import sys

# redis-py imports the metrics of OpenTelemetry's SDK wherever the SDK is installed: 200 ms of every start, and for the
# gateway nothing. A module that is None counts as one that is not installed.
sys.modules.setdefault("opentelemetry.sdk.metrics", None)  # type: ignore[arg-type]
