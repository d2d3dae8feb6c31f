"""The functions of the gateway; each can run by itself."""

import gc
import os

if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    # An import makes no garbage, and looking for it takes a sixth of a cold start. `lambda_handler` enables it again.
    gc.disable()

# Before redis-py is imported; shared/__init__.py says why.
import shared as shared
