"""The version of the gateway: pyproject.toml, OpenAPI and `claude-gateway --version` read it here."""

VERSION = "0.1.0"
