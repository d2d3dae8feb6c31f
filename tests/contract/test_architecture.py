"""The state diagram of docs/architecture.md agrees with the vocabulary and with the Lua scripts."""

import re
from pathlib import Path
from typing import get_args

from shared.api.vocabulary import TERMINAL, State

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
DIAGRAM = DOCUMENT.split("stateDiagram-v2\n")[1].split("```")[0]
TRANSITIONS = set(re.findall(r"^ +(\S+) --> (\S+):", DIAGRAM, re.MULTILINE))
SCRIPTS = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "shared/store").rglob("*.lua")}
START_OR_END = "[*]"


def test_the_states_of_the_diagram_are_the_vocabulary():
    """Catches a state that is added to the API and not to the diagram."""
    assert {state for pair in TRANSITIONS for state in pair} - {START_OR_END} == set(get_args(State))
    assert len(TRANSITIONS) == DIAGRAM.count("-->"), "every arrow has a label that gives its cause"


def test_jobs_leave_the_diagram_from_terminal_states_only():
    """Catches a terminal state without an end, or a job that is deleted before its end."""
    assert {before for before, after in TRANSITIONS if after == START_OR_END} == TERMINAL


def test_every_transition_of_a_script_is_in_the_diagram():
    """Catches a script that moves a job in a way that the diagram does not show."""
    call = re.compile(r"\bchange_state\([^,]+,[^,]+,[^,]+, '(\w+)', '(\w+)'")
    calls = {pair for text in SCRIPTS.values() for pair in call.findall(text)}
    assert ("waiting", "active") in calls
    assert calls <= TRANSITIONS


def test_every_script_of_the_page_exists():
    """Catches a script that is renamed and not in the table of transitions."""
    named = set(re.findall(r"`(\w+\.lua)`", DOCUMENT))
    assert len(named) > 10
    assert named <= set(SCRIPTS)
