"""The table of attacks in docs/security.md is the catalogue of `make redteam`."""

import re
from pathlib import Path

from tests.redteam.catalogue import (
    ATTACKS,
    BOMBS,
    DECISION_FORGERIES,
    FORGERIES,
    GIT_ATTACKS,
    GIT_PLANTS,
    MCP_ATTACKS,
    MCP_FORGERIES,
    OUTPUT_PLANTS,
)

ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "docs/security.md").read_text(encoding="utf-8").split("### The sandbox\n")[1].split("\n### ")[0]
ROWS = re.findall(r"^\| (.+) \| (.+) \| `(redteam/test_\w+\.py)` \|$", SECTION, re.MULTILINE)


def test_each_attack_has_a_row_that_names_what_stops_it():
    expected = [(attack.name, attack.stopped_by, "redteam/test_attacks.py") for attack in ATTACKS]
    expected += [(attack.name, attack.stopped_by, "redteam/test_mcp.py") for attack in MCP_ATTACKS]
    expected += [(name, stopped_by, "redteam/test_mcp.py") for name, stopped_by in MCP_FORGERIES.items()]
    expected += [(name, stopped_by, "redteam/test_bombs.py") for name, stopped_by in BOMBS.items()]
    expected += [(name, stopped_by, "redteam/test_forged_output.py") for name, stopped_by in FORGERIES.items()]
    expected += [(name, stopped_by, "redteam/test_decisions.py") for name, stopped_by in DECISION_FORGERIES.items()]
    expected += [(attack.name, attack.stopped_by, "redteam/test_git.py") for attack in GIT_ATTACKS]
    expected += [(name, stopped_by, "redteam/test_git.py") for name, stopped_by in GIT_PLANTS.items()]
    expected += [(name, stopped_by, "redteam/test_outputs.py") for name, stopped_by in OUTPUT_PLANTS.items()]
    assert expected == ROWS


def test_the_tests_of_the_table_exist():
    assert all((ROOT / "tests" / test).exists() for _, _, test in ROWS)
