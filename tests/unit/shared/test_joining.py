"""A script is joined with the shared definitions that it uses, and no others."""

import pytest

from shared.store.redis.joining import joined

PART = """-- What every script may use.
local KEY, OTHER = 'a', 'b'
local UNUSED = 'unused' -- KEY
local cached
local function now()
  if not cached then
    cached = 1
  end
  return cached
end

local names = {}
function names.of(id) return KEY .. id end
function names.spare(id) return UNUSED .. id end

local later
-- Uses KEY.
later = function(id)
  return names.of(id) .. 'now()'
end
local limits = {
  most = 1,
}
"""


def test_a_constant_is_its_value():
    assert joined([PART], "return KEY .. 'KEY'") == "return 'a' .. 'KEY'"
    assert joined(["local DAYS, HOUR = 400 * 86400, 3600 -- s\n"], "return DAYS, HOUR") == "return (400 * 86400), 3600"


def test_a_field_with_the_name_of_a_constant_is_none():
    own = "local t = {KEY = 1}\nreturn t.KEY, t:KEY()"
    assert joined([PART], own) == own


def test_a_definition_that_a_script_uses_is_kept():
    assert joined([PART], "return limits") == "local limits = {\n  most = 1,\n}\nreturn limits"


def test_what_a_definition_uses_is_kept_too():
    """Catches a name that is nil at run time, far from the script that uses it."""
    text = joined([PART], "return later()")
    for line in ("local names", "function names.of", "local later\n", "later = function"):
        assert line in text
    assert "spare" not in text
    assert "unused" not in text
    assert text.index("local names") < text.index("function names.of") < text.index("later =")


def test_a_name_in_a_string_or_a_comment_is_no_use():
    assert joined([PART], "return 'KEY' -- now()") == "return 'KEY' -- now()"
    assert "cached" not in joined([PART], "return later()")


def test_a_variable_that_a_function_keeps_is_kept():
    text = joined([PART], "return now()")
    assert text.startswith("local cached\nlocal function now()")


def test_a_statement_that_defines_nothing_is_kept():
    """Catches a part whose own call is left out."""
    assert joined(["local a = 1\nprepare(a)\nlocal b = 2\n"], "return 1") == "local a = 1\nprepare(a)\nreturn 1"


def test_a_statement_ends_at_its_last_line():
    assert joined([PART], "return limits.most") == "local limits = {\n  most = 1,\n}\nreturn limits.most"


RARE = """local function name(id)
  return 'k' .. id
end
local function inner(id)
  return name(id)
end
-- Rare: do what is seldom done,
-- in two lines.
local function outer(id) return inner(id) + name(id) end
local function often() return 1 end
"""


def test_a_rare_function_has_within_it_what_no_other_needs():
    assert joined([RARE], "return outer(1) + often()") == (
        "local function outer(id)\n"
        "local function name(id)\n  return 'k' .. id\nend\n"
        "local function inner(id)\n  return name(id)\nend\n"
        " return inner(id) + name(id) end\n"
        "local function often() return 1 end\n"
        "return outer(1) + often()"
    )


def test_what_another_function_needs_too_is_outside_of_a_rare_one():
    """Catches a function that is nil where it is called."""
    text = joined([RARE], "return outer(1) + name(1)")
    assert text.startswith("local function name(id)")
    assert text.index("local function outer") < text.index("local function inner")


def test_a_variable_stays_outside_of_a_rare_function():
    """Catches a value that the next call of the function no longer has."""
    part = "local kept\n-- Rare: keep.\nlocal function keep()\n  kept = (kept or 0) + 1\n  return kept\nend\n"
    assert joined([part], "return keep()").startswith("local kept\nlocal function keep()\n  kept")


SHORT = """local FIRST = 2
local function name(id, kind) return 'k' .. kind .. FIRST .. id .. ':id' end
local function twice(id) return id .. id end
local function both(one) return one, 2 end
local function rank(score) return redis.call('ZRANK', name('all', 'q'), score) or false end
"""


def test_what_a_function_of_one_line_returns_is_in_place_of_its_calls():
    assert joined([SHORT], "return name(t[1], 'x')") == "return ('k' .. ('x') .. 2 .. (t[1]) .. ':id')"
    assert joined([SHORT], "return rank(a or b) + 1") == (
        "return (redis.call('ZRANK', ('k' .. ('q') .. 2 .. ('all') .. ':id'), (a or b)) or false) + 1"
    )


def test_calls_within_arguments_are_replaced_too():
    """Catches an argument that ends at a comma or a bracket of another."""
    text = joined([SHORT], "return name(name(f(1, {2}), ')'), '(,')")
    assert text == "return ('k' .. ('(,') .. 2 .. (('k' .. (')') .. 2 .. (f(1, {2})) .. ':id')) .. ':id')"


def test_a_function_that_uses_an_argument_twice_is_called():
    """Catches an argument that is evaluated twice."""
    assert joined([SHORT], "return twice(f())").startswith("local function twice(id)")


def test_a_function_that_returns_two_values_is_called():
    assert joined([SHORT], "return both(1)").endswith("end\nreturn both(1)")


def test_a_function_of_one_line_that_is_a_value_is_kept():
    assert joined([SHORT], "return each(name)").startswith("local function name(id, kind)")


def test_a_call_with_another_number_of_arguments_is_refused():
    with pytest.raises(ValueError, match="argument"):
        joined([SHORT], "return name(1)")
