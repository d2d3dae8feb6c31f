"""The tables of limits in docs/callers.md: every limit, its error, and a test that names it."""

import re
from pathlib import Path
from typing import get_args

import pytest

from shared.api.credentials import MAX_CREDENTIALS
from shared.api.errors import GatewayError
from shared.api.policies import Policy
from shared.api.vocabulary import ErrorCode
from shared.configuration.settings import ALL_SETTINGS

ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "docs/callers.md").read_text(encoding="utf-8").split("## Limits\n")[1].split("\n## ")[0]
ROWS = [
    [cell.strip() for cell in line.split("|")[1:-1]]
    for line in re.findall(r"^\| (?!Limit ).*\|$", SECTION, re.MULTILINE)
]
OF_CALLERS, OF_REQUESTS = [row for row in ROWS if len(row) == 5], [row for row in ROWS if len(row) == 4]
VARIABLES = {name.upper() for one in ALL_SETTINGS for name in one.model_fields}
LIMITS = re.compile(r"(CALLER_)?MAX_\w+|\w*(RATE_LIMIT|BUDGET_USD|_TIMEOUT)|CLAUDE_(MODELS|TOOLS)|RUN_ALLOWED_HOSTS")
# Waits of the worker and of idle connections: nothing is refused at their end.
WAITS = {"CLAUDE_SILENCE_TIMEOUT", "KEEP_ALIVE_TIMEOUT"}
FIELDS = {field.alias or name for name, field in Policy.model_fields.items()}


def errors(kind: type[GatewayError] = GatewayError) -> set[tuple[str, str]]:
    own = {(str(kind.status), kind.code)}
    return own.union(*(errors(one) for one in kind.__subclasses__()))


def code_names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_limit_has_a_row():
    """Catches a new limit of the settings or of policies that the tables do not have."""
    named = {name for row in ROWS for name in code_names(row[1])}
    assert {name for name in VARIABLES if LIMITS.fullmatch(name)} - WAITS <= named
    assert named <= VARIABLES
    assert {name for row in OF_CALLERS for name in code_names(row[2])} == FIELDS - {"weight"}
    assert any(row[:2] == ["credentials", str(MAX_CREDENTIALS)] for row in OF_CALLERS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_refusal_of_a_limit_is_an_error_of_the_api(row):
    for status, code in re.findall(r"(\d{3}) `(\w+)`", row[-2]):
        assert (status, code) in errors()
    for code in re.findall(r"fails as `(\w+)`(?: or `(\w+)`)?", row[-2]):
        assert set(filter(None, code)) <= set(get_args(ErrorCode))
    assert re.match(r"\d{3} |none: |the job fails as ", row[-2])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_tests_of_a_limit_exist_and_name_it(row):
    """Catches a test that was renamed, and one that is about something else."""
    names = [*code_names(row[1]), *(code_names(row[2]) if len(row) == 5 else []), *code_names(row[-2])]
    for file in code_names(row[-1]):
        found = [path for kind in ("integration", "unit") for path in (ROOT / "tests" / kind).rglob(file)]
        text = "".join(path.read_text(encoding="utf-8").lower() for path in found)
        assert any(name.lower() in text for name in names), file
