"""A script is joined with the shared definitions that it uses, and no others."""

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


def test_a_definition_that_a_script_uses_is_kept():
    assert joined([PART], "return KEY") == "local KEY, OTHER = 'a', 'b'\nreturn KEY"


def test_what_a_definition_uses_is_kept_too():
    """Catches a name that is nil at run time, far from the script that uses it."""
    text = joined([PART], "return later()")
    for line in ("local KEY", "local names", "function names.of", "local later\n", "later = function"):
        assert line in text
    assert "spare" not in text
    assert "UNUSED" not in text
    assert text.index("local KEY") < text.index("local names") < text.index("function names.of") < text.index("later =")


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
