"""The tree in the docstring of `shared/api/errors.py`, and the errors in the reference, are the classes."""

import re

from local.api_reference import REFERENCE
from shared.api import errors
from shared.api.errors import GatewayError


def classes(error: type[GatewayError], parent: str = "") -> set[tuple[str, str, int]]:
    """Return the name, the parent and the status of a class and of the classes below it."""
    below = (classes(child, error.__name__) for child in error.__subclasses__() if child.__module__ == errors.__name__)
    return {(error.__name__, parent, error.status)}.union(*below)


def test_the_tree_in_the_docstring_is_the_classes():
    """Catches an error that is added, renamed or moved without its line in the tree."""
    lines = re.findall(r"^    ([│├└─ ]*)([A-Z]\w+) (\d+)$", str(errors.__doc__), re.MULTILINE)
    found, parents = [], [""]
    for branch, name, status in lines:
        depth = len(branch) // 4
        found.append((name, parents[depth], int(status)))
        parents[depth + 1 :] = [name]
    assert len(found) == len(set(found))
    assert set(found) == classes(GatewayError)


def test_the_reference_has_each_status_and_code():
    """Catches a class that the table of errors leaves out."""
    table = REFERENCE.read_text(encoding="utf-8").split("## Errors of requests\n")[1].split("\n## ")[0]
    rows = set(re.findall(r"^\| (\d+) \| `(\w+)` \|", table, re.MULTILINE))
    names = {name for name, _, _ in classes(GatewayError)} - {"GatewayError"}
    assert rows == {(str(getattr(errors, name).status), getattr(errors, name).code) for name in names}
