"""No word of the former dialect is in a name, a comment, a message or a document.

`python -m tests.lint.words PATH` lists what is found in a path. `NOT_YET` holds the paths that still have to be
rewritten; it may only shrink.
"""

from pathlib import Path

import pytest

from tests.lint.words import findings, in_file

ROOT = Path(__file__).parents[2]
NOT_YET: set[str] = set()


def pieces() -> list[str]:
    """Return the paths that are checked one by one: files of the root, and rooms of the tree."""
    folders = ("functions", "shared", "local", "tests", "docs")
    inside = (path for folder in folders for path in (ROOT / folder).iterdir())
    found = [*inside, *ROOT.glob("*.md"), *(ROOT / name for name in ("Makefile", "Dockerfile", ".env.example", ".ci"))]
    return sorted(str(path.relative_to(ROOT)) for path in found if path.name != "__pycache__")


@pytest.mark.parametrize("piece", pieces())
def test_a_checked_path_has_no_word_of_the_dialect(piece):
    if piece not in NOT_YET:
        assert [str(found) for found in findings(ROOT / piece)] == []


def test_a_path_that_is_clean_is_checked():
    assert set(pieces()) >= NOT_YET
    assert [piece for piece in sorted(NOT_YET) if not findings(ROOT / piece)] == []


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.py", "def run_anew(): ...", ["anew"]),
        ("a.py", "class OpenEar: ...", ["ear"]),
        ("a.py", "def f(asked): ...", ["asked"]),
        ("a.py", "x.told = 1", ["told"]),
        ("a.py", "f(heard=1)", ["heard"]),
        ("a.py", "from x import talk", ["talk"]),
        ("a.py", 'log("outbox_not_heard")', ["heard"]),
        ("a.py", 'raise Refused("Whoever sent this is told")', ["whoever", "told"]),
        ("a.py", 'x = f"{name} is told"', ["told"]),
        ("a.py", '"""Whoever asked."""', ["whoever"]),
        ("a.py", "x = 1  # told", ["told"]),
        ("a.py", '"""Who asked for it."""\nclient = bring = forget', ["bring"]),
        ("a.py", 'x = "askedAt"', []),
        ("a.py", "heart = wear = pretold = 1", []),
        ("a.lua", "local told = redis.call('GET', 'x')", ["told"]),
        ("a.lua", "-- is told\nlocal x = ask.talk", ["told", "talk"]),
        ("a.js", "const runsAnew = 1; // anew", ["anew", "anew"]),
        ("a.js", "const x = `${y} is told`;", ["told"]),
        ("a.html", "<p>Nobody was told</p>", ["told"]),
        ("a.md", "The gateway was asked; see `not_heard`.", ["heard"]),
        ("a.json", '{"runsAnew": "is told"}', ["anew", "told"]),
        ("told.py", "", ["told"]),
    ],
)
def test_a_word_of_the_dialect_is_found(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    assert sorted(found.word for found in in_file(tmp_path / name)) == sorted(words)


def test_strings_of_tests_are_data(tmp_path):
    (tmp_path / "a.py").write_text('x = "whoever"')
    assert list(in_file(tmp_path / "a.py", "tests/a.py")) == []
