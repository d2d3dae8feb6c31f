"""`make up`, `make down`, `make logs`: runs the Compose stack, with generated secrets and, if needed, the demo model.

Requires only Docker, so it uses only the standard library.
"""

import os
import re
import secrets
import subprocess
import sys
from base64 import b64encode
from contextlib import suppress
from pathlib import Path

from shared.configuration import credentials
from shared.configuration.booleans import parse_boolean

_ROOT = Path(__file__).parent.parent
COMPOSE_FILE = _ROOT / "local/compose.yaml"
_SECRETS = _ROOT / ".data" / "compose.env"
_DOTENV = _ROOT / ".env"
CREDENTIALS = (*credentials.SECRETS, *credentials.FILES, *credentials.PROVIDERS)
_KEY_PAIR = ("CREDENTIALS_PUBLIC_KEY", "CREDENTIALS_PRIVATE_KEY")
# A line of `.env` as parsed by python-dotenv, which may not be installed: name, quote, value.
_LINE = re.compile(r"""\s*(?:export\s+)?(\w+)\s*=\s*(['"]?)(.*?)\2\s*(?:\s#.*)?""")
# The defaults of local/compose.yaml. The variable can name another image, or the same by its digest.
_IMAGES = {"VALKEY_IMAGE": "valkey/valkey:8.1", "GRAFANA_IMAGE": "grafana/grafana:11.6.0"}


def main(command: str) -> int:
    """Run a command and return the exit status."""
    match command:
        case "up":
            return _up()
        case "down":
            status = _compose(["--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "130"])
            if status == 0:
                _SECRETS.unlink(missing_ok=True)
                with suppress(OSError):  # the directory may contain the data of an embedded Redis
                    _SECRETS.parent.rmdir()
            return status
        case "logs":
            return _compose(["--profile", "*", "logs", "--follow"])
        case _:
            print("usage: python -m local.up up|down|logs", file=sys.stderr)
            return 2


def _up() -> int:
    _make_secrets()
    if status := _make_key_pair():
        return status
    profiles = []
    if not any(setting(name) for name in CREDENTIALS):
        print("no Claude credentials in the environment or in .env: the built-in demo model answers", file=sys.stderr)
        profiles.append("demo")
    if _image_is_available(board := _image("GRAFANA_IMAGE")):
        profiles.append("board")
    else:
        print(f"{board} cannot be pulled: starting without Grafana", file=sys.stderr)
    chosen = [part for profile in profiles for part in ("--profile", profile)]
    status = _compose([*chosen, "up", "--detach", "--build", "--wait", "--wait-timeout", "180"])
    if status == 0:
        print(f"ready http://{_address()}")
        print(_about_dashboard(), file=sys.stderr)
    return status


def _about_dashboard() -> str:
    """Return the path of the dashboard and where its password is, in Compose's order of precedence."""
    if not parse_boolean(setting("ADMIN_ENABLED") or "true"):
        return "no dashboard: ADMIN_ENABLED is off"
    place = str(_SECRETS.relative_to(_ROOT))
    if setting("ADMIN_PASSWORD"):
        place = "the environment" if os.environ.get("ADMIN_PASSWORD") else ".env"
    return f"dashboard at /admin: user {setting('ADMIN_USERNAME') or 'admin'}, password in {place}"


def _compose(arguments: list[str]) -> int:
    _make_secrets()
    files = [part for file in (_SECRETS, _DOTENV) if file.exists() for part in ("--env-file", str(file))]
    command = ["docker", "compose", "--file", str(COMPOSE_FILE), *files, *arguments]
    environment = dict(os.environ)
    if not any(setting(name) for name in CREDENTIALS):
        environment |= {
            "ANTHROPIC_BASE_URL": "http://demo-model:8080",
            "ANTHROPIC_API_KEY": "demo",
            "DEMO_MODEL": "true",
        }
    files_by_name = {name: setting(name) for name in credentials.FILES}
    if setting("CLAUDE_CODE_USE_VERTEX"):
        files_by_name["VERTEX_KEY_FILE"] = setting("GOOGLE_APPLICATION_CREDENTIALS")
    # Compose would resolve relative paths from the directory of its file.
    environment |= {name: str((_ROOT / path).resolve()) for name, path in files_by_name.items() if path}
    # Builds of the image differ in the user that owns the data directory.
    environment.setdefault("VALKEY_USER", owner_of_data() if "up" in arguments else "999:999")
    try:
        return subprocess.run(command, env=environment, check=False).returncode
    except KeyboardInterrupt:
        return 130


def _address() -> str:
    """Return the gateway's published address, whose port Docker chooses if PORT is 0."""
    command = ["docker", "compose", "--file", str(COMPOSE_FILE), "--env-file", str(_SECRETS), "port", "gateway", "3000"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _make_secrets() -> None:
    """Generate the secrets once, in a file that only this user can read."""
    if _SECRETS.exists():
        return
    made = {name: secrets.token_hex(16) for name in ("API_REDIS_PASSWORD", "WORKER_REDIS_PASSWORD", "ADMIN_PASSWORD")}
    made["WEBHOOK_SECRET"] = "whsec_" + b64encode(secrets.token_bytes(32)).decode()
    _SECRETS.parent.mkdir(exist_ok=True)
    _SECRETS.touch(mode=0o600)
    _SECRETS.write_text("".join(f"{name}={value}\n" for name, value in made.items()), encoding="utf-8")


def _make_key_pair() -> int:
    """Generate the key pair for callers' credentials once, in the image, which has the library; return a status."""
    if any(setting(name) for name in _KEY_PAIR) or _KEY_PAIR[0] in _SECRETS.read_text(encoding="utf-8"):
        return 0
    if status := _compose(["build", "gateway"]):
        return status
    command = ["docker", "run", "--rm", "--network", "none", "claude-gateway:local", "credentials", "key-pair"]
    lines = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout.splitlines()
    if [line.partition("=")[0] for line in lines] != list(_KEY_PAIR):
        print("the image did not generate a key pair: starting without callers' credentials", file=sys.stderr)
        return 0
    with _SECRETS.open("a", encoding="utf-8") as own:
        own.writelines(f"{line}\n" for line in lines)
    return 0


def setting(name: str) -> str:
    """Return a variable of the environment, or else of `.env`."""
    if os.environ.get(name):
        return os.environ[name]
    try:
        lines = _DOTENV.read_text(encoding="utf-8-sig").splitlines() if _DOTENV.is_file() else []
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8; save it again as UTF-8"
        print(f".env: cannot be read: {why}", file=sys.stderr)
        sys.exit(2)
    found = [match[3] for line in lines if (match := _LINE.fullmatch(line)) and match[1] == name]
    return found[-1] if found else ""


def _image(variable: str) -> str:
    """Return the image that Compose uses for a variable."""
    return setting(variable) or _IMAGES[variable]


def _image_is_available(image: str) -> bool:
    """Return whether an image is on this machine or can be pulled."""
    for command in (["docker", "image", "inspect", image], ["docker", "pull", "--quiet", image]):
        if subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return True
    return False


def owner_of_data() -> str:
    """Return `uid:gid` of the owner of the data directory in Valkey's image."""
    command = ["docker", "run", "--rm", "--entrypoint", "stat", _image("VALKEY_IMAGE"), "-c", "%u:%g", "/data"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "999:999"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if sys.argv[1:] else ""))
