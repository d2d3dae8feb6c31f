"""The environment of the CLI: an allow-list that keeps the gateway's own variables out of it."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from functions.worker.relay.credential import Credential, UnusableUrlError
from shared.configuration import credentials, env_file
from shared.configuration.errors import SettingsError

# Variables that any program needs to find other programs, choose its language and reach the network.
_PLAIN = {
    "PATH", "TMPDIR", "LANG", "LANGUAGE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
}  # fmt: skip
# Variables for the CLI's credentials and provider, as its documentation names them.
_CREDENTIALS = re.compile(
    r"ANTHROPIC_\w+|CLAUDE_CODE_OAUTH_TOKEN|CLAUDE_CODE_USE_\w+|CLAUDE_CODE_SKIP_\w+_AUTH"
    r"|AWS_\w+|CLOUD_ML_REGION|VERTEX_\w+|GOOGLE_\w+|GCLOUD_\w+"
)
# Credential variables that hold no secret; the CLI needs their values.
_NO_SECRET = re.compile(r"ANTHROPIC_(MODEL|SMALL_FAST_MODEL|DEFAULT_\w+_MODEL|CUSTOM_MODEL_OPTION\w*|BETAS)")


def is_credential(name: str) -> bool:
    """Return whether the CLI reads a variable for its credentials or its provider."""
    return _CREDENTIALS.fullmatch(name) is not None


def is_plain(name: str) -> bool:
    """Return whether any program may need a variable."""
    return name in _PLAIN or name.startswith("LC_")


def with_dotenv(environ: Mapping[str, str], path: Path = env_file.ENV_FILE) -> dict[str, str]:
    """Return the environment and the credentials of a `.env` file, which the environment overrides.

    A variable with the suffix `_FILE` names a file that holds the credential. Raise SettingsError when it cannot be
    read.
    """
    from_file = {name: value for name, value in env_file.read(path).items() if is_credential(name)}
    cleaned = env_file.cleaned({name: value for name, value in environ.items() if is_credential(name)})
    merged = {**environ, **cleaned, **{name: value for name, value in from_file.items() if not cleaned.get(name)}}
    return {
        **_from_files(merged),
        **{name: value for name, value in merged.items() if value or name not in credentials.SECRETS},
    }


def _from_files(environ: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for name in credentials.SECRETS:
        if path := environ.get(f"{name}_FILE"):
            found[name] = _credential_in(f"{name}_FILE", Path(path))
    return found


def _credential_in(variable: str, path: Path) -> str:
    try:
        credential = path.read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        raise SettingsError(f"{variable}: the file that it names cannot be read: {error.strerror}") from None
    except UnicodeError:
        raise SettingsError(f"{variable}: the file that it names is not UTF-8; save it again as UTF-8") from None
    if not credential.isprintable() or not credential:
        raise SettingsError(f"{variable}: the file that it names should hold one line, the credential")
    return credential


def has_credentials(environ: Mapping[str, str]) -> bool:
    """Return whether an environment holds credentials with which the CLI can reach Claude."""
    return any(environ.get(name) for name in credentials.KINDS)


def uses_cloud(environ: Mapping[str, str]) -> bool:
    """Return whether the CLI reaches Claude through a cloud provider and signs its requests for it."""
    return any(environ.get(name) for name in credentials.PROVIDERS)


def credential_kind(environ: Mapping[str, str]) -> str:
    """Return the kind of credential in an environment, without the secret."""
    return next((kind for name, kind in credentials.KINDS.items() if environ.get(name)), "none")


def allowed(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of an environment that the CLI may see."""
    cloud = uses_cloud(environ)
    kept = {}
    for name, value in environ.items():
        # A run does not need the path of the file that a credential was read from.
        credential = _CREDENTIALS.fullmatch(name) and not name.endswith("_FILE")
        # The CLI gets cloud credentials only when it reaches Claude through a cloud provider.
        if name.startswith(("AWS_", "GOOGLE_", "GCLOUD_")) and not cloud:
            continue
        if is_plain(name) or credential:
            kept[name] = value
    return kept | _without_proxy_for_loopback(kept)


def _without_proxy_for_loopback(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that exclude loopback addresses from the proxy, which cannot reach them."""
    if not any(name.lower() in {"http_proxy", "https_proxy"} for name in environ):
        return {}
    given = [environ[name] for name in ("no_proxy", "NO_PROXY") if environ.get(name)]
    excluded = ",".join([*given[:1], "127.0.0.1", "localhost", "::1"])
    return {"no_proxy": excluded, "NO_PROXY": excluded}


def plain(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of an environment that any program may see: none is a credential."""
    return {name: value for name, value in environ.items() if is_plain(name)}


def scrub() -> None:
    """Remove from this process's environment what the CLI may not see: the SDK passes on all of it."""
    kept = allowed(with_dotenv(os.environ))
    os.environ.clear()
    # Without this the SDK starts the CLI again to read its version. The SDK reads it here, not in a run's environment.
    os.environ.update(kept | {"CLAUDE_AGENT_SDK_SKIP_VERSION_CHECK": "1"})


def check_credential(environ: Mapping[str, str]) -> None:
    """Raise SettingsError when the relay cannot use the credential or URL in the environment."""
    if not uses_cloud(environ):
        try:
            Credential.of(environ)
        except UnusableUrlError as error:
            raise SettingsError(str(error)) from None


def take_credential() -> Credential | None:
    """Remove the deployment's credential from the environment and return it; None for a cloud provider.

    Names of models and betas stay: every other credential variable may be a secret.
    """
    if uses_cloud(os.environ):
        return None
    credential = Credential.of(os.environ)
    for name in list(os.environ):
        if is_credential(name) and not _NO_SECRET.fullmatch(name):
            del os.environ[name]
    return credential


def for_relay(socket: str, credential: Credential) -> dict[str, str]:
    """Return the variables with which the CLI reaches Claude through its relay."""
    return {
        "ANTHROPIC_UNIX_SOCKET": socket,
        "ANTHROPIC_BASE_URL": "http://relay",
        **credential.placeholders(),
        # The relay retries until the job's deadline, which is longer than the CLI would.
        "CLAUDE_CODE_MAX_RETRIES": "0",
        "API_TIMEOUT_MS": "172800000",
    }


def for_run(home: Path, config: Path, temporary: Path) -> dict[str, str]:
    """Return what a run's environment holds beside the allowed: its own directories, and quiet."""
    return {
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "CLAUDE_CONFIG_DIR": str(config),
        # With the fallback, a stream that is cut is requested again as a whole: one more retry, and other text than the
        # text already streamed.
        "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK": "1",
        # Milliseconds that the model waits for all MCP servers together. The CLI allows each server half of the second
        # value for the first response and half for initialization.
        "CLAUDE_CODE_MCP_STARTUP_WAIT_MS": "10000",
        "MCP_TIMEOUT": "20000",
        # The model receives all tools at once and does not have to search for them.
        "ENABLE_TOOL_SEARCH": "false",
        # The CLI's runtime collects garbage whenever it is idle: a third of the CPU time of a start, and more later, in
        # a process that serves one job. It still collects when memory grows. Other runtimes ignore the variable.
        "BUN_GC_TIMER_DISABLE": "1",
        "CLAUDE_CODE_DISABLE_ATTACHMENTS": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
        "CLAUDE_CODE_DISABLE_TERMINAL_TITLE": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
    }
