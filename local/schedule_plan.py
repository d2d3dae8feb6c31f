"""Schedules in a file, and the plan that makes a caller's schedules those of the file. Schedules are known by name."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from local import yaml_file
from shared.api.schedules import ScheduleRequest
from shared.api.wire import Body

_FIELDS = ("name", "cron", "timezone", "overlap", "catchUp", "query")
Definition = dict[str, Any]


class _File(Body):
    schedules: list[ScheduleRequest]


@dataclass(frozen=True, slots=True)
class Step:
    """One change: `verb` is create, change or delete; `fields` are those that differ."""

    verb: str
    name: str
    schedule_id: str = ""
    fields: tuple[str, ...] = ()
    body: Definition | None = None

    def __str__(self) -> str:
        sign = {"create": "+", "change": "~", "delete": "-"}[self.verb]
        return f"{sign} {self.verb} {self.name}" + (f": {', '.join(self.fields)}" if self.fields else "")


def read(path: Path) -> list[Definition]:
    """Read the definitions of a file; raise FileRefused."""
    try:
        found = TypeAdapter(_File).validate_python(yaml_file.read(path))
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, one['loc'])) or 'file'}: {one['msg']}" for one in error.errors()[:5])
        raise yaml_file.FileRefused(f"{path}: " + "; ".join(lines)) from None
    definitions = [
        definition(one.model_dump(mode="json", by_alias=True, exclude_unset=True)) for one in found.schedules
    ]
    _refuse_twice(definitions, f"{path}: two schedules have the name")
    return definitions


def definition(schedule: Definition) -> Definition:
    """Return the fields of a schedule that define it, with their defaults."""
    return {"timezone": "UTC", "overlap": "skip", "catchUp": "none"} | {
        name: schedule[name] for name in _FIELDS if name in schedule
    }


def plan(wanted: Sequence[Definition], present: Sequence[Definition], *, prune: bool) -> list[Step]:
    """Return the changes that make the present schedules the wanted ones; with `prune` others are deleted.

    Raises FileRefused when two present schedules have one name.
    """
    _refuse_twice(present, "two schedules of the gateway have the name")
    known = {one["name"]: one for one in present}
    steps = []
    for one in wanted:
        before = known.pop(one["name"], None)
        if before is None:
            steps.append(Step("create", one["name"], body=one))
            continue
        there = definition(before)
        fields = tuple(name for name in _FIELDS if one[name] != there[name])
        if fields:
            body = {name: one[name] for name in fields}
            steps.append(Step("change", one["name"], before["scheduleId"], fields, body))
    if prune:
        steps += [Step("delete", name, one["scheduleId"]) for name, one in known.items()]
    return steps


def export(present: Sequence[Definition]) -> str:
    """Write schedules as a file that `read` reads."""
    listed = sorted(({name: one[name] for name in _FIELDS} for one in present), key=lambda one: str(one["name"]))
    text: str = yaml.safe_dump({"schedules": listed}, sort_keys=False, allow_unicode=True, width=100)
    return text


def _refuse_twice(definitions: Sequence[Definition], message: str) -> None:
    twice = [name for name, count in Counter(one["name"] for one in definitions).items() if count > 1]
    if twice:
        raise yaml_file.FileRefused(f"{message} {twice[0]!r}; give each its own name")
