"""Warnings about names in `.env` that have no effect, each with the most similar known name."""

import difflib
import io
import re
from pathlib import Path

from dotenv.parser import parse_stream

from functions.worker.cli.environment import is_credential, is_plain
from shared.configuration import credentials, env_file
from shared.configuration.settings import ALL_SETTINGS

# Variables of the command line, and of `make up`, which passes the same file to Compose.
_OTHERS = frozenset(
    re.findall(
        r"\w+",
        """
        CLAUDE_GATEWAY_URL CLAUDE_GATEWAY_API_KEY POWERTOOLS_SERVICE_NAME MCP_FETCH_ALLOWED WORKERS WORKER_MEMORY
        PROMETHEUS_PORT GRAFANA_PORT VALKEY_USER VALKEY_IMAGE GRAFANA_IMAGE API_REDIS_PASSWORD WORKER_REDIS_PASSWORD
        """,
    )
)
_FOREIGN = re.compile(r"(COMPOSE|DOCKER|BUILDKIT|POSTGRES|GF)_\w+")
# The documented credentials of the CLI, for suggestions; the pattern accepts more.
_CREDENTIALS = (*credentials.SECRETS, "ANTHROPIC_BASE_URL")
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)")
_NAME = re.compile(r"[\w.-]{1,80}")
# The similarity of PROT and PORT.
_NEAR = 0.75


def warnings() -> list[str]:
    """Return a warning for each line of `.env` that has no effect. Raises SettingsError if the file is unreadable."""
    text = env_file.text()
    settings = {name.upper() for one in ALL_SETTINGS for name in one.model_fields}
    known = settings | _OTHERS | set(_REFERENCE.findall(text)) | _named_by_servers()
    found = []
    for binding in parse_stream(io.StringIO(text)):
        where = f".env: line {binding.original.line}"
        if binding.error or (binding.key and binding.value is None):
            found.append(f"{where} is ignored: it should be NAME=value")
        elif binding.key and _NAME.fullmatch(binding.key) and not _is_known(binding.key, known):
            # A name that resembles no variable of the gateway is assumed to belong to another program.
            near = nearest(binding.key, [*settings, *_OTHERS, *_CREDENTIALS])
            if near is not None:
                found.append(
                    f"{where}: {binding.key} is not a variable of the gateway and is ignored; did you mean {near}?"
                )
    return found


def nearest(name: str, names: list[str]) -> str | None:
    """Return the most similar of the names, or None if none is similar."""
    close = difflib.get_close_matches(name.upper(), sorted(names), n=1, cutoff=_NEAR)
    return close[0] if close else None


def _is_known(name: str, known: set[str]) -> bool:
    return name.upper() in known or name in known or is_credential(name) or is_plain(name) or bool(_FOREIGN.match(name))


def _named_by_servers() -> set[str]:
    """Return the variables that the MCP configuration references, even if the file is invalid."""
    try:
        written = Path(env_file.given().get("MCP_CONFIG", "mcp.json")).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    return set(_REFERENCE.findall(written))
