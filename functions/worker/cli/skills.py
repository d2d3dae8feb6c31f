"""The skills of a run: copies of the operator's, as a plugin of the CLI that has nothing else."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from shared.configuration.skills import FILE, Skill

Skills = Mapping[str, Skill | None]

# The tool by which the model reads a skill.
TOOL = "Skill"
# The CLI names a skill `gateway:NAME`.
_PLUGIN = "gateway"


class SkillUnavailableError(Exception):
    """This worker lacks a skill that the API knows; the text names it."""

    @property
    def message(self) -> str:
        """What a client reads of it."""
        return f"The worker has no skill {self}: SKILLS_DIR of the API and of the worker should have the same skills"


def check(skills: Skills) -> None:
    """Raise SkillUnavailableError when the worker lacks one of the skills."""
    for name, skill in skills.items():
        if skill is None or not (skill.folder / FILE).is_file():
            raise SkillUnavailableError(name)


def listing(skills: Skills) -> str:
    """Return the text that names the skills: the CLI lists them in an attachment, and attachments are off."""
    lines = [f"- {_PLUGIN}:{name}: {skill.description}" for name, skill in skills.items() if skill is not None]
    return "\n".join([f"The following skills are available for use with the {TOOL} tool:", "", *lines])


def place(skills: Skills, plugin: Path) -> None:
    """Copy skills into the directory of a plugin; raise SkillUnavailableError when one cannot be read."""
    manifest = plugin / ".claude-plugin" / "plugin.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"name": _PLUGIN, "version": "1.0.0"}))
    for name, skill in skills.items():
        if skill is None:
            raise SkillUnavailableError(name)
        try:
            # Links were refused at the start. One that came later is copied as a link, which a run cannot follow.
            shutil.copytree(skill.folder, plugin / "skills" / name, symlinks=True, copy_function=shutil.copy)
        except OSError:
            raise SkillUnavailableError(name) from None
