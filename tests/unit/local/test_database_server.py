import json
import sqlite3

import pytest
from mcp.server.mcpserver.exceptions import ToolError

from local.mcp_servers import database


@pytest.fixture(params=["in memory", "in a file"])
def shop(request, tmp_path, monkeypatch):
    """Put the sample shop in place of a user's database, and return an empty directory."""
    if request.param == "in a file":
        with sqlite3.connect(tmp_path / "shop.db") as file, database._connect() as memory:
            memory.backup(file)
        file.close()
        memory.close()
        monkeypatch.setattr(database, "_file", tmp_path / "shop.db")
    empty = tmp_path / "empty"
    empty.mkdir()
    return empty


@pytest.mark.parametrize(
    "sql",
    [
        "ATTACH '{}/x.db' AS e",
        "VACUUM INTO '{}/x.db'",
        "DELETE FROM products",
        "CREATE TEMP TABLE t (a)",
        "PRAGMA query_only = 0",
        "BEGIN",
    ],
)
def test_statements_other_than_select_are_refused_and_leave_no_file(shop, sql):
    with pytest.raises(ToolError, match="read-only; use a SELECT statement"):
        database.query(sql.format(shop))
    assert list(shop.iterdir()) == []


@pytest.mark.parametrize("sql", ["SELECT load_extension('x')", "SELECT file FROM pragma_database_list"])
def test_no_select_loads_an_extension_or_reveals_the_file(shop, sql):
    with pytest.raises(ToolError, match="not authorized"):
        database.query(sql)


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        (
            "SELECT c.name, sum(quantity) AS n FROM orders JOIN customers c ON c.id = customer GROUP BY 1 HAVING n > 4",
            [{"name": "Anna Berg", "n": 5}, {"name": "Carla Ruiz", "n": 12}],
        ),
        ("WITH dear AS (SELECT * FROM products WHERE price > 30) SELECT name FROM dear", [{"name": "kettle"}]),
        (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4) SELECT sum(i) AS s FROM n",
            [{"s": 10}],
        ),
        ("SELECT name, rank() OVER (ORDER BY price) AS r FROM products LIMIT 1", [{"name": "cup", "r": 1}]),
        ("SELECT value FROM json_each('[1, 2]')", [{"value": 1}, {"value": 2}]),
    ],
)
def test_a_select_with_joins_aggregates_and_ctes_is_answered(shop, sql, rows):
    assert json.loads(database.query(sql)) == rows


def test_large_integers_and_bytes_are_returned_as_text(shop):
    assert database.query("SELECT 9223372036854775807 AS id, x'00ff' AS raw") == (
        '[{"id": 9223372036854775807, "raw": "00ff"}]'
    )


def test_tables_and_their_columns_are_listed(shop):
    assert database.list_tables() == ["customers", "orders", "products"]
    assert [column["name"] for column in database.describe_table("customers")] == ["id", "name", "city"]
    assert database.describe_table("none") == []
