"""The skills of SKILLS_DIR: a directory `NAME` for each, with a `SKILL.md` in the CLI's own format and any other files.

    ---
    name: reviewing
    description: How we review changes. Use before a review.
    ---
    Read the change twice. ...

`name` is the directory's name, and may be left out. What else the front matter has is the CLI's.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import PrivateAttr, model_validator

from shared.configuration.sources import TextSettings

FILE = "SKILL.md"
# Each run that names a skill gets a copy of it.
_MOST_SKILLS, _MOST_FILES, _MOST_BYTES = 100, 200, 4 << 20
_LONGEST = 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_HEAD = re.compile(r"---[ \t]*\n(?P<head>.*?\n)---[ \t]*\n.*\S", re.DOTALL)
_FIELD = re.compile(r"^(name|description):[ \t]*(.*?)[ \t]*$", re.MULTILINE)


class SkillError(ValueError):
    """A directory of SKILLS_DIR is invalid; the text names it."""


@dataclass(frozen=True, slots=True)
class Skill:
    """A skill that runs may read: its directory, and what the model sees of it before."""

    folder: Path
    description: str


class SkillFields(TextSettings):
    """The directory of the skills, and the skills in it by name."""

    skills_dir: Path | None = None
    _skills: dict[str, Skill] = PrivateAttr(default_factory=dict)

    @property
    def skills(self) -> dict[str, Skill]:
        """The skills that requests may name."""
        return self._skills

    @model_validator(mode="after")
    def _read_skills(self) -> Self:
        if self.skills_dir is not None:
            try:
                self._skills = read(self.skills_dir)
            except SkillError as error:
                raise ValueError(f"SKILLS_DIR: {error}") from None
        return self


def read(folder: Path) -> dict[str, Skill]:
    """Read all skills of a directory; raise SkillError."""
    try:
        found = sorted(path for path in folder.resolve().iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        raise SkillError("should be a directory that the gateway's user can read") from None
    if len(found) > _MOST_SKILLS:
        raise SkillError(f"should have at most {_MOST_SKILLS} skills")
    return {skill.name: _skill(skill) for skill in found}


def _skill(skill: Path) -> Skill:
    if not _NAME.fullmatch(skill.name):
        raise SkillError(f"{skill.name}: a name has 1 to 64 letters, digits, - and _")
    try:
        files = sorted(path for path in skill.rglob("*") if path.is_symlink() or not path.is_dir())
        if any(path.is_symlink() or not path.is_file() for path in files):
            raise SkillError(f"{skill.name} should have regular files only, and no links")
        if len(files) > _MOST_FILES or sum(path.stat().st_size for path in files) > _MOST_BYTES:
            raise SkillError(f"{skill.name} should have at most {_MOST_FILES} files and {_MOST_BYTES} bytes")
        text = (skill / FILE).read_bytes().decode().removeprefix("\ufeff").replace("\r\n", "\n")
    except OSError as error:
        raise SkillError(f"{skill.name}/{FILE} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SkillError(f"{skill.name}/{FILE} is not UTF-8") from None
    head = _HEAD.match(text)
    fields = {} if head is None else dict(_FIELD.findall(head["head"]))
    description = fields.get("description", "").strip("\"'")
    if not description or len(description) > _LONGEST:
        raise SkillError(
            f"{skill.name}/{FILE} should have a front matter with a description on one line, at most {_LONGEST} "
            "characters, and a text below it"
        )
    if fields.get("name", skill.name).strip("\"'") != skill.name:
        raise SkillError(f"{skill.name}/{FILE}: name should be {skill.name}, as the directory's")
    return Skill(skill, description)
