"""What the CLI may know of its surroundings: an allow-list, so that nothing of the gateway's own gets through."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from functions.worker.relay.credential import Credential, UnusableUrlError
from shared.configuration import credentials, env_file
from shared.configuration.errors import SettingsError

# What any program needs to find its programs, speak its language and reach the network.
_PLAIN = {
    "PATH", "TMPDIR", "LANG", "LANGUAGE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
}  # fmt: skip
# The CLI's own credentials and choice of provider, as its documentation names them.
_CREDENTIALS = re.compile(
    r"ANTHROPIC_\w+|CLAUDE_CODE_OAUTH_TOKEN|CLAUDE_CODE_USE_\w+|CLAUDE_CODE_SKIP_\w+_AUTH"
    r"|AWS_\w+|CLOUD_ML_REGION|VERTEX_\w+|GOOGLE_\w+|GCLOUD_\w+"
)
# Of these the CLI needs the value, and none is a secret.
_NO_SECRET = re.compile(r"ANTHROPIC_(MODEL|SMALL_FAST_MODEL|DEFAULT_\w+_MODEL|CUSTOM_MODEL_OPTION\w*|BETAS)")


def is_credential(name: str) -> bool:
    """Say whether the CLI reads a variable for its credentials or its provider."""
    return _CREDENTIALS.fullmatch(name) is not None


def is_plain(name: str) -> bool:
    """Say whether a variable is one that any program may need, whatever it does."""
    return name in _PLAIN or name.startswith("LC_")


def with_dotenv(environ: Mapping[str, str], path: Path = env_file.ENV_FILE) -> dict[str, str]:
    """Return the environment and the credentials of a `.env` file, which the environment overrides.

    A credential may stand in a file of its own, named by its variable and `_FILE`. Raise SettingsError for a file that
    cannot be read.
    """
    written = {name: value for name, value in env_file.read(path).items() if is_credential(name)}
    cleaned = env_file.cleaned({name: value for name, value in environ.items() if is_credential(name)})
    both = {**environ, **cleaned, **{name: value for name, value in written.items() if not cleaned.get(name)}}
    return {
        **_from_files(both),
        **{name: value for name, value in both.items() if value or name not in credentials.SECRETS},
    }


def _from_files(environ: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for name in credentials.SECRETS:
        if place := environ.get(f"{name}_FILE"):
            found[name] = _credential_in(f"{name}_FILE", Path(place))
    return found


def _credential_in(variable: str, place: Path) -> str:
    try:
        credential = place.read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        raise SettingsError(f"{variable}: the file that it names cannot be read: {error.strerror}") from None
    except UnicodeError:
        raise SettingsError(f"{variable}: the file that it names is not UTF-8; save it again as UTF-8") from None
    if not credential.isprintable() or not credential:
        raise SettingsError(f"{variable}: the file that it names should hold one line, the credential")
    return credential


def has_credentials(environ: Mapping[str, str]) -> bool:
    """Say whether the CLI would find a way to Claude in an environment."""
    return any(environ.get(name) for name in credentials.KINDS)


def uses_cloud(environ: Mapping[str, str]) -> bool:
    """Say whether the CLI reaches Claude through a cloud provider, which it signs its requests for."""
    return any(environ.get(name) for name in credentials.PROVIDERS)


def credential_kind(environ: Mapping[str, str]) -> str:
    """Say what kind of way to Claude the CLI has in an environment, and nothing of the secret."""
    return next((kind for name, kind in credentials.KINDS.items() if environ.get(name)), "none")


def allowed(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what the CLI may see of an environment."""
    cloud = uses_cloud(environ)
    kept = {}
    for name, value in environ.items():
        # Where a credential was read from is nothing that a run has to know.
        credential = _CREDENTIALS.fullmatch(name) and not name.endswith("_FILE")
        # A cloud's credentials are the CLI's only when it reaches Claude through that cloud.
        if name.startswith(("AWS_", "GOOGLE_", "GCLOUD_")) and not cloud:
            continue
        if is_plain(name) or credential:
            kept[name] = value
    return kept | _without_proxy_for_loopback(kept)


def _without_proxy_for_loopback(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that exclude this machine from a proxy, which could not reach its loopback."""
    if not any(name.lower() in {"http_proxy", "https_proxy"} for name in environ):
        return {}
    given = [environ[name] for name in ("no_proxy", "NO_PROXY") if environ.get(name)]
    excluded = ",".join([*given[:1], "127.0.0.1", "localhost", "::1"])
    return {"no_proxy": excluded, "NO_PROXY": excluded}


def plain(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what any program may see of an environment: no credential of any kind."""
    return {name: value for name, value in environ.items() if is_plain(name)}


def scrub() -> None:
    """Leave in this process's environment only what the CLI may see: the SDK hands on all of it."""
    kept = allowed(with_dotenv(os.environ))
    os.environ.clear()
    # The SDK would start the CLI once more, for its version; it reads this here and not in a run's environment.
    os.environ.update(kept | {"CLAUDE_AGENT_SDK_SKIP_VERSION_CHECK": "1"})


def check_credential(environ: Mapping[str, str]) -> None:
    """Raise SettingsError when the relay cannot use what the environment says of the way to Claude."""
    if not uses_cloud(environ):
        try:
            Credential.of(environ)
        except UnusableUrlError as error:
            raise SettingsError(str(error)) from None


def take_credential() -> Credential | None:
    """Take the deployment's credential out of this process's environment; None when the CLI signs for a cloud itself.

    What is left are names of models and betas: everything else may be a secret.
    """
    if uses_cloud(os.environ):
        return None
    credential = Credential.of(os.environ)
    for name in list(os.environ):
        if is_credential(name) and not _NO_SECRET.fullmatch(name):
            del os.environ[name]
    return credential


def for_relay(socket: str, credential: Credential) -> dict[str, str]:
    """Return the variables that make a CLI reach Claude through its relay."""
    return {
        "ANTHROPIC_UNIX_SOCKET": socket,
        "ANTHROPIC_BASE_URL": "http://relay",
        **credential.placeholders(),
        # The relay retries, for as long as the job's clock allows, which is longer than the CLI waits by itself.
        "CLAUDE_CODE_MAX_RETRIES": "0",
        "API_TIMEOUT_MS": "172800000",
    }


def for_run(home: Path, config: Path) -> dict[str, str]:
    """Return what a run's environment holds beside the allowed: its own directories, and quiet."""
    return {
        "HOME": str(home),
        "TMPDIR": str(home),
        "CLAUDE_CONFIG_DIR": str(config),
        # A stream that is cut would be asked for again, whole: another retry, and not the text already streamed.
        "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK": "1",
        # How long the model waits for all MCP servers together, ms. The CLI gives each half of the second figure to
        # answer its first question, and the other half to say hello.
        "CLAUDE_CODE_MCP_STARTUP_WAIT_MS": "10000",
        "MCP_TIMEOUT": "20000",
        # The model is told of every tool at once, and asked nothing about them first.
        "ENABLE_TOOL_SEARCH": "false",
        # Its runtime would collect garbage as soon as it waits: a third of a start's CPU, and more each second, in a
        # process that serves one job. It still does when memory grows. Another runtime does not know the name.
        "BUN_GC_TIMER_DISABLE": "1",
        "CLAUDE_CODE_DISABLE_ATTACHMENTS": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
        "CLAUDE_CODE_DISABLE_TERMINAL_TITLE": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
    }
