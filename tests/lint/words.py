"""Find words of the project's former dialect: `python -m tests.lint.words [PATH…]`.

`words.toml` lists them, and what is allowed: public API names, and key names in Redis. Identifiers (also file names,
keys and log events) and prose (docstrings, comments, messages, documents, pages) have a list each, because a word such
as "asked" is plain English in a sentence and says nothing as a name.
"""

import ast
import io
import json
import re
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_WORDS = tomllib.loads((Path(__file__).parent / "words.toml").read_text(encoding="utf-8"))
_PROSE = frozenset(_WORDS["prose"])
_NAMES = _PROSE.union(_WORDS["names"])
_ALLOWED = _WORDS["allowed"]
_SUFFIXES = {".css", ".html", ".js", ".json", ".lua", ".md", ".py", ".sql", ".toml", ".yaml", ".yml"}
# Data, generated and installed files, and the list of the words.
_LEFT_OUT = [ROOT / path for path in ("tests/data", "tests/events", "tests/lint/words.toml")]
_LEFT_OUT_NAMES = {"package-lock.json", "node_modules", "__pycache__"}
_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_NAME_STRING = re.compile(r"[A-Za-z_][\w.:/-]*")
_NAME_IN_PROSE = re.compile(r"[A-Za-z]+(?:_[A-Za-z]+)+|[a-z]+(?:[A-Z][a-z]+)+")
_WORD = re.compile(r"[A-Za-z]+")
_LUA = re.compile(r"(?P<comment>--[^\n]*)|(?P<string>'[^'\n]*'|\"[^\"\n]*\")|(?P<name>[A-Za-z_]\w*)")
_JS = re.compile(
    r"(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<string>'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\"|`(?:\\.|[^`\\])*`)"
    r"|(?P<name>[A-Za-z_$][\w$]*)",
    re.DOTALL,
)


class Finding(NamedTuple):
    """A word of the dialect in a file."""

    path: str
    line: int
    word: str
    text: str

    def __str__(self) -> str:
        """Return the finding as `path:line: "word" in text`."""
        return f'{self.path}:{self.line}: "{self.word}" in {self.text}'


def findings(*paths: Path) -> list[Finding]:
    """Return what is found in these files and folders."""
    return [found for path in paths for file in _files(path) for found in in_file(file)]


def _files(path: Path) -> list[Path]:
    inside = [path] if path.is_file() else sorted(path.rglob("*"))
    return [file for file in inside if file == path or _is_checked(file)]


def _is_checked(file: Path) -> bool:
    if file.suffix not in _SUFFIXES and file.name not in ("Makefile", "Dockerfile"):
        return False
    return not _LEFT_OUT_NAMES & set(file.parts) and not any(map(file.is_relative_to, _LEFT_OUT))


def in_file(path: Path, name: str | None = None) -> Iterator[Finding]:
    """Yield what is found in a file; `name` is its path in the project."""
    name = name or (str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path))
    text = path.read_text(encoding="utf-8")
    yield from (Finding(name, 0, word, path.name) for word in in_name(path.stem))
    match path.suffix:
        case ".py":
            yield from in_python(text, name)
        case ".lua":
            yield from _in_script(text, name, _LUA)
        case ".js":
            yield from _in_script(text, name, _JS)
        case ".json":
            yield from _in_json(text, name)
        case _:
            yield from in_prose(text, name)


def in_name(name: str) -> list[str]:
    """Return the dialect's words among the parts of an identifier."""
    if name in _ALLOWED["names"]:
        return []
    return [part.lower() for part in _PARTS.findall(name) if part.lower() in _NAMES]


def in_prose(text: str, path: str, first: int = 1) -> Iterator[Finding]:
    """Yield the dialect's words in a text whose first line has this number; names in backticks are names."""
    for number, line in enumerate(text.splitlines(), first):
        kept = line
        for phrase in _ALLOWED["phrases"]:
            kept = kept.replace(phrase, "")
        for name in _NAME_IN_PROSE.findall(kept):
            yield from (Finding(path, number, word, name) for word in in_name(name))
        for word in _WORD.findall(_NAME_IN_PROSE.sub("", kept)):
            if word.lower() in _PROSE:
                yield Finding(path, number, word.lower(), line.strip())


def _in_string(text: str, path: str, line: int) -> Iterator[Finding]:
    if _NAME_STRING.fullmatch(text):
        if text not in _ALLOWED["names"] and text not in _ALLOWED["strings"]:
            names = re.split(r"[.:/-]", text)
            yield from (Finding(path, line, word, repr(text)) for name in names for word in in_name(name))
    else:
        yield from in_prose(text, path, line)


def in_python(text: str, path: str) -> Iterator[Finding]:
    """Yield what a module's identifiers, strings, docstrings and comments hold; strings of tests are data."""
    tree = ast.parse(text)
    docstrings = {id(node) for node in map(_docstring, ast.walk(tree)) if node}
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 1)
        for name in _names(node):
            yield from (Finding(path, line, word, name) for word in in_name(name))
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) in docstrings:
                yield from in_prose(node.value, path, line)
            elif not path.startswith("tests/"):
                yield from _in_string(node.value, path, line)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield from in_prose(token.string, path, token.start[0])


def _docstring(node: ast.AST) -> ast.Constant | None:
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or not node.body:
        return None
    first = node.body[0]
    return first.value if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) else None


def _names(node: ast.AST) -> list[str]:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
            return [name]
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.alias(name=name, asname=other):
            return [*name.split("."), *([other] if other else [])]
        case ast.keyword(arg=str(name)) | ast.MatchAs(name=str(name)):
            return [name]
        case ast.ImportFrom(module=str(name)):
            return name.split(".")
    return []


def _in_script(text: str, path: str, grammar: re.Pattern[str]) -> Iterator[Finding]:
    for found in grammar.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        if name := found["name"]:
            yield from (Finding(path, line, word, name) for word in in_name(name))
        elif comment := found["comment"]:
            yield from in_prose(comment, path, line)
        else:
            yield from _in_string(found["string"][1:-1], path, line)


def _in_json(text: str, path: str) -> Iterator[Finding]:
    for number, line in enumerate(text.splitlines(), 1):
        for string in re.findall(r'"(?:\\.|[^"\\])*"', line):
            yield from _in_string(json.loads(string), path, number)


def main(arguments: list[str]) -> int:
    """Print what is found in the given paths, or in the whole project; return 1 if there is anything."""
    whole = ["functions", "shared", "local", "tests", "docs", *(path.name for path in ROOT.glob("*.md"))]
    found = findings(*(ROOT / path for path in arguments or whole))
    print("\n".join(map(str, found)) or "no word of the dialect found")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
