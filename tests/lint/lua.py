"""Check the Lua scripts with luacheck: `python -m tests.lint.lua`.

A script is joined from several files, and luacheck reads one file at a time. So each script is checked as Redis gets
it, and each finding is traced back to its file. A name of a shared file is unused only if no script uses it.
"""

import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from shared.store.redis import scripts

ROOT = Path(__file__).parents[2]
_CONFIG = Path(__file__).parent / "luacheckrc"
_FINDING = re.compile(r"(?P<script>[^/]+)\.lua:(?P<line>\d+):(?P<column>\d+): \((?P<code>[WE]\d+)\) (?P<text>.*)")
# luacheck's classes of findings that another script can refute: unused names (2xx), values (3xx) and fields.
_REFUTABLE = ("W2", "W3")
# The line numbers inside a message are those of the joined script.
_LINE = re.compile(r" on line \d+")


def findings(joined: Mapping[str, Sequence[tuple[str, str]]]) -> list[str]:
    """Return luacheck's findings as `file:line:column: text`, for scripts given as (file, text) parts in order."""
    reports: dict[tuple[str, int, int, str], set[str]] = defaultdict(set)
    for script, line, column, code, text in _run(joined):
        file, line_of_file = _origin(joined[script], line)
        reports[file, line_of_file, column, f"{text} ({code})"].add(script)
    users: dict[str, set[str]] = defaultdict(set)
    for script, parts in joined.items():
        for file, _ in parts:
            users[file].add(script)
    return [
        f"{file}:{line}:{column}: {text}"
        for (file, line, column, text), seen_in in sorted(reports.items())
        if seen_in == users[file] or not text.rpartition("(")[2].startswith(_REFUTABLE)
    ]


def _run(joined: Mapping[str, Sequence[tuple[str, str]]]) -> Iterable[tuple[str, int, int, str, str]]:
    with TemporaryDirectory() as folder:
        for script, parts in joined.items():
            (Path(folder) / f"{script}.lua").write_text("".join(text for _, text in parts), encoding="utf-8")
        command = ["luacheck", "--config", str(_CONFIG), "--codes", "--no-color", "--formatter", "plain", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    # Statuses: 0 no findings, 1 warnings, 2 errors in a script; above these luacheck itself failed.
    if done.returncode > 2:
        raise RuntimeError(done.stdout + done.stderr)
    for output in done.stdout.splitlines():
        if not (found := _FINDING.search(output)):
            raise RuntimeError(f"luacheck printed a line of an unknown form: {output}")
        yield found["script"], int(found["line"]), int(found["column"]), found["code"], _LINE.sub("", found["text"])


def _origin(parts: Sequence[tuple[str, str]], line: int) -> tuple[str, int]:
    for file, text in parts:
        count = text.count("\n")
        if line <= count:
            return file, line
        line -= count
    return parts[-1][0], line


def _scripts() -> dict[str, list[tuple[str, str]]]:
    first = ("shared/store/redis/scripts.py", scripts.preamble())
    return {
        name: [
            first,
            *((str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in scripts.files(name)),
        ]
        for name in scripts.names()
    }


def main() -> int:
    """Print the findings; return 1 if there are any, or if luacheck is missing where it must not be."""
    if shutil.which("luacheck") is None:
        print("luacheck is not installed (apt: lua-check, Homebrew: luacheck): Lua is not checked", file=sys.stderr)
        return int(bool(os.environ.get("CI")))
    found = findings(_scripts())
    print("\n".join(found) or f"luacheck: {len(scripts.names())} scripts checked, nothing found")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
