"""Read variables as text from the environment and from the file `.env`."""

import codecs
import io
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from shared.configuration.errors import SettingsError

ENV_FILE = Path(".env")
_HOW = "; it should be a text file in UTF-8 with a line NAME=value for each variable"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

# Silenced, because `claude-gateway` reports lines that cannot be parsed, with the correct form.
logging.getLogger("dotenv.main").setLevel(logging.ERROR)


def read(path: Path = ENV_FILE) -> dict[str, str]:
    """Return the variables of a file that are not empty; {} without the file. Raises SettingsError like `text`."""
    content = text(path)
    return {name: value for name, value in dotenv_values(stream=io.StringIO(content)).items() if value}


def text(path: Path = ENV_FILE) -> str:
    """Return the text of the file, "" without the file; raises SettingsError if it cannot be read."""
    try:
        if path.is_dir():
            if (path / "pyvenv.cfg").exists():  # a virtual environment of that name
                return ""
            raise SettingsError(f"{path.name}: is a directory, which mounting a missing file creates{_HOW}")
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise SettingsError(
            f"{path.name}: cannot be read: {error.strerror}. Give the gateway's user read access, or remove the file"
        ) from None
    if data.startswith(_UTF_16) or b"\0" in data:
        raise SettingsError(f"{path.name}: is UTF-16 or binary data{_HOW}. Save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{path.name}: line {line} is not UTF-8{_HOW}. Save it as UTF-8") from None


def cleaned(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without quotes and newlines around values.

    `docker run --env-file` keeps quotes and the `\\r` of Windows, and a secret created from a file keeps its last
    newline.
    """
    return {name: _clean(name, value) for name, value in environ.items()}


def given() -> dict[str, str]:
    """Return the variables of `.env` and of the environment that are not empty; the environment takes precedence."""
    return {**read(), **{name: value for name, value in cleaned(os.environ).items() if value}}


def _clean(name: str, value: str) -> str:
    # A space may be part of a password; a newline cannot.
    value = value.strip("\r\n") if "PASSWORD" in name.upper() else value.strip()
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if is_quoted else value
