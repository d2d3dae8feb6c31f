"""An MCP server over a SQLite database, which it only reads: `python -m local.mcp_servers.database [FILE]`.

Without a file it is a small shop's, made anew in memory from `shop.sql`.
"""

import sqlite3
import sys
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

_MOST = 200  # rows of an answer
_STEPS = 5_000_000  # virtual machine instructions of one query; a second or so

server = MCPServer("database")
_file: Path | None = None


def _connect() -> sqlite3.Connection:
    if _file is not None:
        return sqlite3.connect(f"{_file.as_uri()}?mode=ro", uri=True)
    connection = sqlite3.connect(":memory:")
    connection.executescript(Path(__file__).with_name("shop.sql").read_text(encoding="utf-8"))
    return connection


def _ask(query: str, *values: str) -> list[dict[str, Any]]:
    connection = _connect()
    try:
        connection.execute("PRAGMA query_only = 1")
        steps = iter(range(_STEPS // 1000))
        connection.set_progress_handler(lambda: next(steps, None) is None, 1000)
        cursor = connection.execute(query, values)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchmany(_MOST)]
    except sqlite3.Error as error:
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


@server.tool()
def query(sql: str) -> list[dict[str, Any]]:
    """Run one SELECT statement; at most 200 rows come back."""
    return _ask(sql)


if __name__ == "__main__":
    if sys.argv[1:]:
        _file = Path(sys.argv[1]).resolve()
    server.run()
