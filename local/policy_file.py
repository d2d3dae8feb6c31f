"""Policy files: YAML or JSON, with the schema that `claude-gateway keys policy-schema` prints."""

from pathlib import Path

from pydantic import ValidationError

from local import yaml_file
from shared.api.policies import Policy


class PolicyRefused(ValueError):
    """A file that is no policy; the message says where and why."""


def read(path: Path) -> Policy:
    """Read a policy; raise PolicyRefused."""
    try:
        content = yaml_file.read(path)
        # An empty file is the policy of a caller without limits of its own.
        return Policy.model_validate({} if content is None else content)
    except yaml_file.FileRefused as error:
        raise PolicyRefused(str(error)) from None
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, one['loc'])) or 'policy'}: {one['msg']}" for one in error.errors())
        raise PolicyRefused(f"{path}: " + "; ".join(lines)) from None
