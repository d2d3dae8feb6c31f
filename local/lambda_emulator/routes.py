"""The routes of a SAM template, matched as an HTTP API matches them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml


class _Loader(yaml.SafeLoader):
    """Reads a template, whose tags such as !Ref mean nothing here."""


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
    """One event of a function; `method`, in capitals or ANY, and `path` are None for `$default`."""

    function: str
    handler: str
    method: str | None
    path: str | None

    @property
    def key(self) -> str:
        """The route key, as the event names it."""
        return "$default" if self.path is None else f"{self.method} {self.path}"

    def match(self, method: str, raw_path: str) -> dict[str, str] | None:
        """Return the path's parameters, decoded, if this route takes a request, else None.

        The path is still encoded: an encoded slash belongs to its segment.
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
        """How much else this route takes: the smaller, the more specific, and the first to be asked."""
        # Segment by segment: written out, a parameter, whatever follows.
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
    """Return the handler of every function of a template, by the function's name, routed or not."""
    return {name: function["Handler"] for name, function in _functions(template)}


def _functions(template: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    document = yaml.load(template.read_text(encoding="utf-8"), _Loader)  # noqa: S506 -- a SafeLoader
    for name, resource in document["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            yield name, resource["Properties"]
