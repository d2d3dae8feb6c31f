"""Generates a password for the dashboard of `claude-gateway local` if it is on and has no password."""

import os
import secrets
import sys

from shared.configuration import env_file
from shared.configuration.booleans import parse_boolean


def make_if_missing() -> None:
    """Set and print a new ADMIN_PASSWORD if ADMIN_ENABLED is on and ADMIN_PASSWORD is unset."""
    # The settings classes cannot be used here: they reject an enabled dashboard without a password.
    given = env_file.given()
    wanted = parse_boolean(given.get("ADMIN_ENABLED", ""))
    if wanted and "ADMIN_PASSWORD" not in given:
        os.environ["ADMIN_PASSWORD"] = secrets.token_urlsafe(12)
        name = given.get("ADMIN_USERNAME") or "admin"
        print(f"dashboard at /admin: name {name}, password {os.environ['ADMIN_PASSWORD']}", file=sys.stderr)
