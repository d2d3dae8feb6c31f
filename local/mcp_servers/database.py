"""An MCP server over a SQLite database, which it only reads: `python -m local.mcp_servers.database [FILE]`.

Without a file it is a small shop's, made anew in memory from `shop.sql`.
"""

import json
import sqlite3
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

_MOST = 200  # rows of an answer
_STEPS = 5_000_000  # virtual machine instructions of one query; a second or so

# What a statement may do: `query_only` and a file opened for reading still let ATTACH and VACUUM INTO make files.
_READING = frozenset([sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE])
# Functions that a SELECT may read as tables: SQLite makes one at its first use, which the authorizer would not allow.
_TABLES_OF_FUNCTIONS = (
    "SELECT 1 FROM pragma_table_info('')",
    "SELECT 1 FROM json_each('[]')",
    "SELECT 1 FROM json_tree('[]')",
)

server = MCPServer("database")
_file: Path | None = None


def _connect() -> sqlite3.Connection:
    if _file is not None:
        return sqlite3.connect(f"{_file.as_uri()}?mode=ro", uri=True)
    connection = sqlite3.connect(":memory:")
    connection.executescript(Path(__file__).with_name("shop.sql").read_text(encoding="utf-8"))
    return connection


def _authorize(action: int, first: str | None, *_: str | None) -> int:
    """Let a statement read, and nothing else; `table_info` is how tables are described."""
    described = action == sqlite3.SQLITE_PRAGMA and first == "table_info"
    return sqlite3.SQLITE_OK if described or action in _READING else sqlite3.SQLITE_DENY


def _ask(query: str, *values: str) -> list[dict[str, Any]]:
    connection = _connect()
    try:
        connection.execute("PRAGMA query_only = 1")
        for statement in _TABLES_OF_FUNCTIONS:
            with suppress(sqlite3.OperationalError):  # SQLite may have been built without it
                connection.execute(statement)
        connection.set_authorizer(_authorize)
        steps = iter(range(_STEPS // 1000))
        connection.set_progress_handler(lambda: next(steps, None) is None, 1000)
        cursor = connection.execute(query, values)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchmany(_MOST)]
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_AUTH:
            raise ToolError(f"The database is readonly: only a SELECT is run ({error})") from None
        raise ToolError(f"SQLite says: {error}") from None
    finally:
        connection.close()


@server.tool()
def list_tables() -> list[str]:
    """List the tables."""
    return [row["name"] for row in _ask("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]


@server.tool()
def describe_table(table: str) -> list[dict[str, Any]]:
    """List the columns of a table, with their types."""
    return _ask("SELECT name, type FROM pragma_table_info(?)", table)


@server.tool(structured_output=False)
def query(sql: str) -> str:
    """Run one SELECT statement, and no other kind; at most 200 rows come back, as JSON."""
    # As text: a client that reads the numbers as JavaScript does would round integers above 2^53.
    return json.dumps(_ask(sql), ensure_ascii=False, default=_as_text)


def _as_text(value: object) -> str:
    """Write what JSON does not have: SQLite's only such type is bytes."""
    return value.hex() if isinstance(value, bytes) else str(value)


if __name__ == "__main__":
    if sys.argv[1:]:
        _file = Path(sys.argv[1]).resolve()
    server.run()
