"""What runs the gateway on one machine."""

# Before redis-py is imported; shared/__init__.py says why.
import shared as shared
