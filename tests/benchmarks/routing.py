"""Measure the MCP router's precision, recall and speed: `python -m tests.benchmarks routing`."""

import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from shared.mcp.config import Servers, read
from shared.mcp.meaning import MeaningRouter
from shared.mcp.router import Router
from shared.mcp.tools import Tools, parse
from tests.benchmarks.figures import Figure

DATA = Path(__file__).parents[1] / "data"
# The queries, and the servers to which they belong.
SETS = {
    "mcp_development": "mcp_servers.json",
    "mcp_kept": "mcp_servers.json",
    "mcp_third": "mcp_third_servers.json",
    "mcp_fourth": "mcp_fourth_servers.json",
    "mcp_fifth": "mcp_fifth_servers.json",
    "mcp_sixth": "mcp_sixth_servers.json",
    "mcp_seventh": "mcp_seventh_servers.json",
    "mcp_eighth": "mcp_eighth_servers.json",
    "mcp_ninth": "mcp_ninth_servers.json",
}
EXAMPLES = (0, 3, 5, 10)
# These have twelve servers each, which are also measured as two times six.
HALVED = ("mcp_sixth", "mcp_seventh", "mcp_eighth", "mcp_ninth")
FIFTY = 50
Choose = Callable[[str], tuple[list[str], object]]


def labeled(name: str) -> list[tuple[set[str], str]]:
    """Read the queries and the servers to which each should be routed."""
    lines = (line.split("\t") for line in (DATA / name).read_text(encoding="utf-8").splitlines())
    return [(set(servers.split(",")) - {"none"}, query) for servers, query in lines]


def servers_with(examples: int, file: str = "mcp_servers.json") -> tuple[Servers, dict[str, Tools]]:
    """Return the servers with some examples each and their keywords, with 0 their tools alone; and their tools."""
    path = DATA / file
    tools = json.loads(path.read_text(encoding="utf-8"))["tools"]
    servers = read(path, os.environ, expand=False)
    for name, server in servers.items():
        changes = {"examples": server.routing.examples[:examples]}
        if not examples:
            changes = {"examples": (), "keywords": (), "description": ""}  # type: ignore[dict-item]
        servers[name] = server.model_copy(update={"routing": server.routing.model_copy(update=changes)})
    return servers, {name: parse(json.dumps(found)) for name, found in tools.items()}


def judged(choose: Choose, queries: list[tuple[set[str], str]]) -> tuple[float, float, float]:
    """Return precision, recall, and the share of queries for no server that were routed."""
    return _judged([(wanted, set(choose(query)[0])) for wanted, query in queries])


def judged_halves(part: str, examples: int) -> tuple[float, float, float]:
    """Return the same with each half of the servers of a set alone: for their queries, and for those for none."""
    servers, tools = servers_with(examples, SETS[part])
    names, chosen = [*servers], []
    for half in (names[::2], names[1::2]):
        router = MeaningRouter({name: servers[name] for name in half}, {name: tools[name] for name in half})
        chosen += [
            (wanted, set(router.choose(query)[0])) for wanted, query in labeled(f"{part}.tsv") if wanted <= {*half}
        ]
    return _judged(chosen)


def _judged(chosen: list[tuple[set[str], set[str]]]) -> tuple[float, float, float]:
    right = sum(len(wanted & got) for wanted, got in chosen)
    none = [got for wanted, got in chosen if not wanted]
    return (
        right / max(1, sum(len(got) for _, got in chosen)),
        right / sum(len(wanted) for wanted, _ in chosen),
        sum(map(bool, none)) / len(none),
    )


def measure() -> list[Figure]:
    """Print the router's precision and recall, and return its speed."""
    # First, while the process has one router, as an API has.
    taken = _taken()
    print(f"{'':52} {'precision':>9} {'recall':>9} {'none routed':>12}")
    for part, file in SETS.items():
        queries = labeled(f"{part}.tsv")
        for examples in EXAMPLES:
            servers, tools = servers_with(examples, file)
            routers: dict[str, Choose] = {
                "tools": MeaningRouter(servers, tools).choose,
                "without tools": MeaningRouter(servers).choose,
                "words alone": Router(servers, tools).choose,
            }
            for kind, choose in routers.items():
                precision, recall, none = judged(choose, queries)
                print(f"{f'{part}, {examples} examples, {kind}':52} {precision:9.3f} {recall:9.3f} {none:12.3f}")
    for part in HALVED:
        for examples in EXAMPLES:
            precision, recall, none = judged_halves(part, examples)
            print(f"{f'{part}, {examples} examples, six servers':52} {precision:9.3f} {recall:9.3f} {none:12.3f}")
    detail = f"worst {max(taken):.2f} ms"
    return [Figure(f"routing decision, {FIFTY} servers", "", statistics.median(taken), "≤", 5, "ms", detail)]


def _taken() -> list[float]:
    """Return how long each decision among 50 servers takes, in ms of processor time."""
    servers, tools = servers_with(5)
    names = list(servers)
    of = {f"{names[number % len(names)]}{number}": names[number % len(names)] for number in range(FIFTY)}
    many = MeaningRouter(
        {name: servers[other] for name, other in of.items()}, {name: tools[other] for name, other in of.items()}
    )
    taken = []
    for _, query in labeled("mcp_kept.tsv"):
        start = time.thread_time()
        many.choose(query)
        taken.append((time.thread_time() - start) * 1000)
    return taken


if __name__ == "__main__":
    measure()
