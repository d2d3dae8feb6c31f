"""The functions of the gateway; each can run by itself."""

# Before redis-py is imported; shared/__init__.py says why.
import shared as shared
