"""Files of commands in YAML, of which JSON is a part."""

from pathlib import Path

import yaml

# Bytes of a file: far more than people write.
_MOST = 1 << 20


class FileRefused(ValueError):
    """A file that cannot be used; the message says where and why."""


class _Loader(yaml.SafeLoader):
    """YAML without aliases, which make a small file large, and without names that stand twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not supported")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        names = [str(key.value) for key, _ in node.value]
        if len(names) != len(set(names)):
            raise yaml.YAMLError("a field stands twice")
        found: dict[object, object] = super().construct_mapping(node, deep)
        return found


def read(path: Path) -> object:
    """Return the content of a file, None for an empty one; raise FileRefused."""
    try:
        with path.open("rb") as file:
            text = file.read(_MOST + 1)
    except OSError as error:
        raise FileRefused(f"{path}: {error.strerror}") from None
    if len(text) > _MOST:
        raise FileRefused(f"{path}: should have at most {_MOST} bytes")
    try:
        content: object = yaml.load(text, Loader=_Loader)  # noqa: S506 -- a SafeLoader
    except (yaml.YAMLError, UnicodeError, ValueError, RecursionError) as error:
        raise FileRefused(f"{path}: not YAML or JSON: {str(error).splitlines()[0]}") from None
    return content
