"""The routes of a SAM template, matched as an HTTP API matches them."""

import re
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
    """One event of a function; `method` and `path` are None for `$default`."""

    function: str
    handler: str
    method: str | None
    path: str | None

    @property
    def key(self) -> str:
        """The route key, as the event names it."""
        return "$default" if self.path is None else f"{self.method} {self.path}"

    def match(self, method: str, raw_path: str) -> dict[str, str] | None:
        """Return the path's parameters if this route takes a request, else None."""
        if self.path is None:
            return {}
        if self.method not in {method, "ANY"}:
            return None
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(self.path))
        found = re.fullmatch(pattern, raw_path)
        return None if found is None else {name: unquote(value) for name, value in found.groupdict().items()}


def read_routes(template: Path) -> list[Route]:
    """List the routes of every function of a template, the most specific first."""
    resources: dict[str, Any] = yaml.load(template.read_text(encoding="utf-8"), _Loader)["Resources"]  # noqa: S506 -- a SafeLoader
    routes = [
        Route(name, resource["Properties"]["Handler"], properties.get("Method"), properties.get("Path"))
        for name, resource in resources.items()
        if resource["Type"] == "AWS::Serverless::Function"
        for event in resource["Properties"].get("Events", {}).values()
        if event["Type"] == "HttpApi"
        for properties in [event.get("Properties", {})]
    ]
    # What is written out before what is a parameter, and $default last.
    return sorted(routes, key=lambda route: (route.path is None, (route.path or "").count("{"), route.method == "ANY"))


def read_handlers(template: Path) -> dict[str, str]:
    """Return the handler of every function of a template, by the function's name, routed or not."""
    resources: dict[str, Any] = yaml.load(template.read_text(encoding="utf-8"), _Loader)["Resources"]  # noqa: S506 -- a SafeLoader
    return {
        name: resource["Properties"]["Handler"]
        for name, resource in resources.items()
        if resource["Type"] == "AWS::Serverless::Function"
    }
