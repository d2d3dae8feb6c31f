"""Reads the routes of a SAM template and matches them as an HTTP API does."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml

try:  # the loader in C takes a tenth of the time, and PyYAML has it where libyaml was there for its build
    from yaml import CSafeLoader as SafeLoader
except ImportError:
    from yaml import SafeLoader  # type: ignore[assignment]


class _Loader(SafeLoader):
    """Reads a template, ignoring tags such as !Ref."""


def _plain(loader: yaml.SafeLoader, _tag: str, node: yaml.Node) -> object:
    match node:
        case yaml.ScalarNode():
            return loader.construct_scalar(node)
        case yaml.SequenceNode():
            return loader.construct_sequence(node)
        case yaml.MappingNode():
            return loader.construct_mapping(node)
        case _:
            return None


_Loader.add_multi_constructor("!", _plain)


@dataclass(frozen=True, slots=True)
class Route:
    """One HttpApi event of a function; `method` (upper case or ANY) and `path` are None for `$default`."""

    function: str
    handler: str
    method: str | None
    path: str | None

    @property
    def key(self) -> str:
        """The route key, as in the event."""
        return "$default" if self.path is None else f"{self.method} {self.path}"

    def match(self, method: str, raw_path: str) -> dict[str, str] | None:
        """Return the decoded path parameters if this route matches a request, else None.

        `raw_path` is still encoded, so that an encoded slash is part of its segment.
        """
        if self.path is None:
            return {}
        if self.method not in {method, "ANY"}:
            return None
        given = [unquote(segment) for segment in raw_path.split("/")]
        wanted = self.path.split("/")
        if wanted[-1].endswith("+}") and len(given) > len(wanted):
            given = [*given[: len(wanted) - 1], "/".join(given[len(wanted) - 1 :])]
        if len(given) != len(wanted):
            return None
        parameters: dict[str, str] = {}
        for segment, value in zip(wanted, given, strict=True):
            if segment.startswith("{") and value:
                parameters[segment.strip("{+}")] = value
            elif segment != value:
                return None
        return parameters

    @property
    def generality(self) -> tuple[bool, list[int], bool]:
        """Sort key: more specific routes come first."""
        # For each segment: 0 for a literal, 1 for a parameter, 2 for a greedy parameter.
        segments = [segment.startswith("{") + segment.endswith("+}") for segment in (self.path or "").split("/")]
        return self.path is None, segments, self.method == "ANY"


def read_routes(template: Path) -> list[Route]:
    """List the routes of every function of a template, the most specific first."""
    routes = []
    for name, function in _functions(template):
        for event in function.get("Events", {}).values():
            if event["Type"] == "HttpApi":
                wanted = event.get("Properties", {})
                method = wanted.get("Method")
                routes.append(Route(name, function["Handler"], method and method.upper(), wanted.get("Path")))
    return sorted(routes, key=lambda route: route.generality)


def read_handlers(template: Path) -> dict[str, str]:
    """Return the handler of every function of a template by name, including functions without a route."""
    return {name: function["Handler"] for name, function in _functions(template)}


def _functions(template: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    document = yaml.load(template.read_text(encoding="utf-8"), _Loader)  # noqa: S506 -- a SafeLoader
    for name, resource in document["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            yield name, resource["Properties"]
