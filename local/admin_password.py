"""A password for the dashboard of this machine, when it is switched on and has none."""

import os
import secrets
import sys

from shared.configuration import env_file
from shared.configuration.booleans import parse_boolean


def make_if_missing() -> None:
    """Put a new ADMIN_PASSWORD into the environment and print it, this once; nothing when none is needed."""
    # Not through the settings, which refuse what is mended here.
    given = env_file.given()
    wanted = parse_boolean(given.get("ADMIN_ENABLED", ""))
    if wanted and "ADMIN_PASSWORD" not in given:
        os.environ["ADMIN_PASSWORD"] = secrets.token_urlsafe(12)
        name = given.get("ADMIN_USERNAME") or "admin"
        print(f"dashboard at /admin: name {name}, password {os.environ['ADMIN_PASSWORD']}", file=sys.stderr)
