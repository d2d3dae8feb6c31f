"""The check of the Lua scripts finds undefined and unused names, and reports their file."""

import os
import shutil

import pytest

from shared.store.redis import scripts
from tests.lint.lua import findings

SHARED = ("shared.lua", "local USED, SPARE = 1, 2\nlocal function both() return USED end\n")


@pytest.fixture(autouse=True)
def luacheck():
    if shutil.which("luacheck") is None:
        assert not os.environ.get("CI"), "luacheck is not installed"
        pytest.skip("luacheck is not installed")


def test_an_undefined_name_is_found():
    script = ("one.lua", "local answer = redis.call('GET', 'key')\nreturn answr\n")
    assert findings({"one": [SHARED, ("own.lua", "return SPARE + both()\n")], "two": [script]}) == [
        "one.lua:1:7: unused variable 'answer' (W211)",
        "one.lua:2:8: accessing undefined variable 'answr' (W113)",
    ]


def test_a_global_of_lua_that_redis_does_not_have_is_found():
    assert findings({"one": [("one.lua", "return os.time()\n")]}) == [
        "one.lua:1:8: accessing undefined variable 'os' (W113)"
    ]


def test_a_shared_name_that_one_script_uses_is_not_unused():
    one, two = ("one.lua", "return both()\n"), ("two.lua", "return SPARE\n")
    assert findings({"one": [SHARED, one], "two": [SHARED, two]}) == []
    assert findings({"one": [SHARED, one]}) == ["shared.lua:1:13: unused variable 'SPARE' (W211)"]


def test_a_script_that_lua_cannot_read_is_found():
    [found] = findings({"one": [SHARED, ("one.lua", "return (\n")]})
    assert found.startswith("one.lua:")
    assert found.endswith("(E011)")


def test_no_script_lacks_a_definition_that_it_uses():
    """Catches a name that the joining of a script leaves out: its value would be nil."""
    texts = {name: [(name, scripts.source(name)[0])] for name in scripts.names()}
    assert [found for found in findings(texts) if "(W1" in found or "(E" in found] == []
