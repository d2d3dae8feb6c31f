"""Who is calling."""

# Until callers have keys, everybody who reaches the gateway is one and the same.
ANONYMOUS = "anonymous"
