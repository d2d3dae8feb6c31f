"""Compare the router with regular expressions, in precision and speed: `python -m tests.benchmarks.routing`.

The expressions imitate those of the gateway's predecessor, one per server, based on the queries that it is known
to have misrouted; its own are not at hand.
"""

import os
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from shared.mcp.config import read
from shared.mcp.router import Router
from tests.benchmarks.figures import Figure

DATA = Path(__file__).parents[1] / "data"
EXPRESSIONS = {
    "files": r"\b(file|files|read|write|open|save|directory|folder|path)\b|\.\w{2,4}\b",
    "database": r"\b(select|insert|update|delete|query|database|table|sql|customers?|orders?)\b",
    "web": r"\b(http|https|url|web|website|fetch|download|rest|api|online|link)\b",
    "time": r"\b(time|date|today|now|clock|zone|tomorrow)\b",
    "github": r"\b(git|github|repo|repository|commit|branch|pull request|pr|issues?|class|code)\b",
    "slack": r"\b(slack|channel|message|post|dm|thread)\b|#\w+",
}
TWENTY = 20


def labelled(name: str) -> list[tuple[set[str], str]]:
    """Read the queries and the servers to which each should be routed."""
    lines = (line.split("\t") for line in (DATA / name).read_text(encoding="utf-8").splitlines())
    return [(set(servers.split(",")) - {"none"}, query) for servers, query in lines]


def judged(choose: Callable[[str], set[str]], queries: list[tuple[set[str], str]]) -> str:
    """Return precision, recall, and the number of queries for no server that were routed."""
    chosen = [(wanted, choose(query)) for wanted, query in queries]
    right = sum(len(wanted & got) for wanted, got in chosen)
    wrong = sum(1 for wanted, got in chosen if got and not wanted)
    precision = right / max(1, sum(len(got) for _, got in chosen))
    recall = right / sum(len(wanted) for wanted, _ in chosen)
    return f"{precision:9.3f} {recall:9.3f}   {wrong} of {sum(not wanted for wanted, _ in chosen)}"


def measure() -> list[Figure]:
    """Print the router's precision and recall, and return its speed."""
    servers = read(DATA / "routing_servers.json", os.environ, expand=False)
    router = Router(servers)
    expressions = {name: re.compile(text, re.IGNORECASE) for name, text in EXPRESSIONS.items()}

    def by_expressions(query: str) -> set[str]:
        return {name for name, expression in expressions.items() if expression.search(query)}

    print(f"{'':28} {'precision':>9} {'recall':>9}   routed of those for no server")
    for half in ("development", "kept"):
        queries = labelled(f"routing_{half}.tsv")
        print(f"{f'router, {half}':28} {judged(lambda query: set(router.choose(query)[0]), queries)}")
        print(f"{f'expressions, {half}':28} {judged(by_expressions, queries)}")
    names = list(servers)
    many = Router({f"{names[i % len(names)]}{i}": servers[names[i % len(names)]] for i in range(TWENTY)})
    taken = []
    for _, query in labelled("routing_kept.tsv"):
        start = time.perf_counter()
        many.choose(query)
        taken.append((time.perf_counter() - start) * 1000)
    detail = f"worst {max(taken):.2f} ms"
    return [Figure(f"routing decision, {TWENTY} servers", "", statistics.median(taken), "≤", 2, "ms", detail)]


if __name__ == "__main__":
    measure()
