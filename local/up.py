"""`make up`, `make down`, `make logs`: the Compose stack, with secrets of its own and, if need be, the demo model.

Needs Docker and nothing else, so it uses the standard library alone.
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
_OWN = _ROOT / ".data" / "compose.env"
_GIVEN = _ROOT / ".env"
CREDENTIALS = (*credentials.SECRETS, *credentials.FILES, *credentials.PROVIDERS)
_KEY_PAIR = ("CREDENTIALS_PUBLIC_KEY", "CREDENTIALS_PRIVATE_KEY")
# A line of `.env` as python-dotenv reads it, which need not be there: name, quote, value.
_LINE = re.compile(r"""\s*(?:export\s+)?(\w+)\s*=\s*(['"]?)(.*?)\2\s*(?:\s#.*)?""")
# As local/compose.yaml has them. Another one, or one by its digest, is named by the variable of the first column.
_IMAGES = {"VALKEY_IMAGE": "valkey/valkey:8.1", "GRAFANA_IMAGE": "grafana/grafana:11.6.0"}


def main(command: str) -> int:
    """Do one of the three; return the exit status."""
    match command:
        case "up":
            return _up()
        case "down":
            status = _compose(["--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "130"])
            if status == 0:
                _OWN.unlink(missing_ok=True)
                with suppress(OSError):  # an embedded Redis may have its data there
                    _OWN.parent.rmdir()
            return status
        case "logs":
            return _compose(["--profile", "*", "logs", "--follow"])
        case _:
            print("up, down or logs", file=sys.stderr)
            return 2


def _up() -> int:
    _make_secrets()
    if status := _make_key_pair():
        return status
    profiles = []
    if not any(setting(name) for name in CREDENTIALS):
        print("no Claude credentials in the environment or in .env: the built-in demo model answers", file=sys.stderr)
        profiles.append("demo")
    if _image_is_there(board := _image("GRAFANA_IMAGE")):
        profiles.append("board")
    else:
        print(f"{board} cannot be had: going on without the board", file=sys.stderr)
    chosen = [part for profile in profiles for part in ("--profile", profile)]
    status = _compose([*chosen, "up", "--detach", "--build", "--wait", "--wait-timeout", "180"])
    if status == 0:
        print(f"ready http://{_address()}")
        print(_about_dashboard(), file=sys.stderr)
    return status


def _about_dashboard() -> str:
    """Return where the dashboard is and where its password stands, by what Compose takes first."""
    if not parse_boolean(setting("ADMIN_ENABLED") or "true"):
        return "no dashboard: ADMIN_ENABLED is off"
    place = str(_OWN.relative_to(_ROOT))
    if setting("ADMIN_PASSWORD"):
        place = "the environment" if os.environ.get("ADMIN_PASSWORD") else ".env"
    return f"dashboard at /admin: user {setting('ADMIN_USERNAME') or 'admin'}, password in {place}"


def _compose(arguments: list[str]) -> int:
    _make_secrets()
    files = [part for file in (_OWN, _GIVEN) if file.exists() for part in ("--env-file", str(file))]
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
    # Compose would look for them beside its own file.
    environment |= {name: str((_ROOT / path).resolve()) for name, path in files_by_name.items() if path}
    # Its data directory belongs to this user, whichever build of the image it is.
    environment.setdefault("VALKEY_USER", owner_of_data() if "up" in arguments else "999:999")
    try:
        return subprocess.run(command, env=environment, check=False).returncode
    except KeyboardInterrupt:
        return 130


def _address() -> str:
    """Return where the gateway's port is, which Docker chose if PORT is 0."""
    command = ["docker", "compose", "--file", str(COMPOSE_FILE), "--env-file", str(_OWN), "port", "gateway", "3000"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _make_secrets() -> None:
    """Make what is asked for and not given, once; open to nobody else."""
    if _OWN.exists():
        return
    made = {name: secrets.token_hex(16) for name in ("API_REDIS_PASSWORD", "WORKER_REDIS_PASSWORD", "ADMIN_PASSWORD")}
    made["WEBHOOK_SECRET"] = "whsec_" + b64encode(secrets.token_bytes(32)).decode()
    _OWN.parent.mkdir(exist_ok=True)
    _OWN.touch(mode=0o600)
    _OWN.write_text("".join(f"{name}={value}\n" for name, value in made.items()), encoding="utf-8")


def _make_key_pair() -> int:
    """Make the keys that credentials are sealed with, once, in the image, which has the library; return a status."""
    if any(setting(name) for name in _KEY_PAIR) or _KEY_PAIR[0] in _OWN.read_text(encoding="utf-8"):
        return 0
    if status := _compose(["build", "gateway"]):
        return status
    command = ["docker", "run", "--rm", "--network", "none", "claude-gateway:local", "credentials", "key-pair"]
    lines = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout.splitlines()
    if [line.partition("=")[0] for line in lines] != list(_KEY_PAIR):
        print("the image made no key pair: going on without callers' credentials", file=sys.stderr)
        return 0
    with _OWN.open("a", encoding="utf-8") as own:
        own.writelines(f"{line}\n" for line in lines)
    return 0


def setting(name: str) -> str:
    """Return what the environment, or else `.env`, has under a name."""
    if os.environ.get(name):
        return os.environ[name]
    try:
        lines = _GIVEN.read_text(encoding="utf-8-sig").splitlines() if _GIVEN.is_file() else []
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8; save it again as UTF-8"
        print(f".env: cannot be read: {why}", file=sys.stderr)
        sys.exit(2)
    found = [match[3] for line in lines if (match := _LINE.fullmatch(line)) and match[1] == name]
    return found[-1] if found else ""


def _image(variable: str) -> str:
    """Return the image that Compose takes for a variable."""
    return setting(variable) or _IMAGES[variable]


def _image_is_there(image: str) -> bool:
    """Say whether an image is on this machine, or can be had."""
    for command in (["docker", "image", "inspect", image], ["docker", "pull", "--quiet", image]):
        if subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return True
    return False


def owner_of_data() -> str:
    """Return `uid:gid` of the user to whom the data directory of Valkey's image belongs."""
    command = ["docker", "run", "--rm", "--entrypoint", "stat", _image("VALKEY_IMAGE"), "-c", "%u:%g", "/data"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "999:999"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if sys.argv[1:] else ""))
