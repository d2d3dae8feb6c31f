"""An MCP server for read-only access to a SQLite database: `python -m local.mcp_servers.database [FILE]`.

Without a file it creates a sample database of a shop in memory from `shop.sql`.
"""

import json
import sqlite3
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

_MOST = 200  # maximum rows of a result
_STEPS = 5_000_000  # maximum virtual machine instructions of a query; takes about a second

# The allowed actions. `query_only` and a read-only file do not prevent ATTACH and VACUUM INTO from creating files.
_READING = frozenset([sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE])
# Table-valued functions. SQLite creates each at its first use, which the authorizer would not allow.
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
    """Authorize a statement only to read, and to describe tables with `table_info`."""
    described = action == sqlite3.SQLITE_PRAGMA and first == "table_info"
    return sqlite3.SQLITE_OK if described or action in _READING else sqlite3.SQLITE_DENY


def _ask(query: str, *values: str) -> list[dict[str, Any]]:
    connection = _connect()
    try:
        connection.execute("PRAGMA query_only = 1")
        for statement in _TABLES_OF_FUNCTIONS:
            with suppress(sqlite3.OperationalError):  # SQLite may have been built without the function
                connection.execute(statement)
        connection.set_authorizer(_authorize)
        steps = iter(range(_STEPS // 1000))
        connection.set_progress_handler(lambda: next(steps, None) is None, 1000)
        cursor = connection.execute(query, values)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchmany(_MOST)]
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_AUTH:
            raise ToolError(f"The database is read-only; use a SELECT statement ({error})") from None
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
    """Run one SELECT statement and return at most 200 rows as JSON. Other statements are rejected."""
    # Returned as text, because JavaScript clients round integers above 2^53.
    return json.dumps(_ask(sql), ensure_ascii=False, default=_as_text)


def _as_text(value: object) -> str:
    """Encode bytes, the only SQLite type that JSON does not have."""
    return value.hex() if isinstance(value, bytes) else str(value)


if __name__ == "__main__":
    if sys.argv[1:]:
        _file = Path(sys.argv[1]).resolve()
    server.run()
