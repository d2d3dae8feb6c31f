"""The page of a one-use URL shows exactly what is decided, whatever the call holds."""

import pytest

from functions.submit import decision_page

CALL = {"id": "d", "kind": "tool", "tool": "Bash", "input": {}, "askedAt": 0, "expiresAt": 1}
HIDDEN = "\u202e\u200b\ud800\x7f\u2028\U000e0041"


@pytest.mark.parametrize("place", ["input", "tool", "question", "label"])
def test_no_character_hides_or_reverses_a_part_of_the_call(place):
    """Catches a call that reads otherwise than it is made, and a lone surrogate that ends in a 500."""
    label = {"label": f"Red{HIDDEN}"} if place == "label" else {"label": "Red"}
    question = {"question": f"Which{HIDDEN}" if place == "question" else "Which", "options": [label]}
    asks = place in {"question", "label"}
    given = {"questions": [question]} if asks else {"command": f"rm {HIDDEN}"}
    call = {**CALL, "kind": "question" if asks else "tool", "input": given, "tool": f"Bash{HIDDEN}"}
    text = bytes(decision_page.asking(call).body).decode()
    shown = text.replace(f'value="Red{HIDDEN.encode("utf-8", "replace").decode()}"', "")
    assert not set(HIDDEN) & set(shown)
    assert r"\u202e\u200b\ud800\u007f\u2028\udb40\udc41" in shown
