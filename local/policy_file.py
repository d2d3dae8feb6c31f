"""Policy files: YAML or JSON, with the schema that `claude-gateway keys policy-schema` prints."""

from pathlib import Path

import yaml
from pydantic import ValidationError

from shared.api.policies import Policy

# Bytes of a file: far more than a policy needs.
_MOST = 1 << 20


class PolicyRefused(ValueError):
    """A file that is no policy; the message says where and why."""


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


def read(path: Path) -> Policy:
    """Read a policy; raise PolicyRefused."""
    try:
        with path.open("rb") as file:
            text = file.read(_MOST + 1)
    except OSError as error:
        raise PolicyRefused(f"{path}: {error.strerror}") from None
    if len(text) > _MOST:
        raise PolicyRefused(f"{path}: should have at most {_MOST} bytes")
    try:
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 -- a SafeLoader
    except (yaml.YAMLError, UnicodeError, ValueError, RecursionError) as error:
        raise PolicyRefused(f"{path}: not YAML or JSON: {str(error).splitlines()[0]}") from None
    try:
        # An empty file is the policy of a caller without limits of its own.
        return Policy.model_validate({} if content is None else content)
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, one['loc'])) or 'policy'}: {one['msg']}" for one in error.errors())
        raise PolicyRefused(f"{path}: " + "; ".join(lines)) from None
