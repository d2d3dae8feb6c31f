"""Prices of Claude models in USD, as the catalog of the bundled CLI has them; a contract test compares the two."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MILLION = 1_000_000
_WEB_SEARCH = 0.01
_DATE = re.compile(r"[-@]\d{8}$")
_SUFFIX = re.compile(r"\[[12]m\]$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens; `long` applies to requests whose prompt has more than `long_above` tokens."""

    input: float
    output: float
    write_5m: float
    write_1h: float
    read: float
    long_above: int = 0
    long: "Price | None" = None


def _tier(entry: float, output: float, read: float) -> Price:
    return Price(entry, output, entry * 1.25, entry * 2, read)


_TIER_3_15 = _tier(3, 15, 0.3)
_TIER_5_25 = _tier(5, 25, 0.5)
_TIER_15_75 = _tier(15, 75, 1.5)
_TIER_10_50 = _tier(10, 50, 1)
_TIER_10_50_READ_25 = _tier(10, 50, 0.25)
_TIER_8_40 = _tier(8, 40, 0.2)
_HAIKU_55 = Price(0.1, 0.5, 0.125, 0.2, 0.01, 100_000, Price(0.5, 2.5, 0.625, 1, 0.05))

PRICES: dict[str, Price] = {
    "claude-3-5-haiku": Price(0.8, 4, 1, 1.6, 0.08),
    "claude-haiku-4-5": _tier(1, 5, 0.1),
    "claude-haiku-5-5": _HAIKU_55,
    "claude-3-5-sonnet": _TIER_3_15,
    "claude-3-7-sonnet": _TIER_3_15,
    "claude-sonnet-4-0": _TIER_3_15,
    "claude-sonnet-4-5": _TIER_3_15,
    "claude-sonnet-4-6": _TIER_3_15,
    "claude-sonnet-5": _tier(2, 10, 0.2),
    "claude-sonnet-5-5": _tier(2, 10, 0.1),
    "claude-opus-4-0": _TIER_15_75,
    "claude-opus-4-1": _TIER_15_75,
    "claude-opus-4-5": _TIER_5_25,
    "claude-opus-4-6": _TIER_5_25,
    "claude-opus-4-7": _TIER_5_25,
    "claude-opus-4-8": _TIER_5_25,
    "claude-opus-5": _TIER_5_25,
    "claude-opus-5-5": _tier(4, 20, 0.2),
    "claude-fable-5": _TIER_10_50,
    "claude-fable-5-1": _TIER_10_50_READ_25,
    "claude-fable-5-2": _TIER_8_40,
    "claude-mythos-5": _TIER_10_50,
    "claude-mythos-5-1": _TIER_10_50_READ_25,
    "claude-mythos-5-2": _TIER_8_40,
}
# The price that the CLI uses for a model that its catalog does not have.
_DEFAULT = _TIER_5_25
_OLD_NAMES = {"claude-sonnet-4": "claude-sonnet-4-0", "claude-opus-4": "claude-opus-4-0"}


def base_name(model: str) -> str:
    """Return a model's name without its date and its context suffix."""
    name = _DATE.sub("", _SUFFIX.sub("", model))
    return _OLD_NAMES.get(name, name)


def price_of(model: str) -> Price:
    """Return the price of a model; the CLI's default price for an unknown one."""
    return PRICES.get(base_name(model), _DEFAULT)


def cost_of(model: str, usage: Mapping[str, Any]) -> float:
    """Return what one answer of a model costs, by the `usage` of the Messages API."""
    fresh, written, read = (
        _count(usage, name) for name in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    )
    details = usage.get("cache_creation")
    hour = min(_count(details, "ephemeral_1h_input_tokens"), written) if isinstance(details, dict) else 0
    price = price_of(model)
    if price.long is not None and fresh + written + read > price.long_above:
        price = price.long
    tokens = (
        fresh * price.input
        + (written - hour) * price.write_5m
        + hour * price.write_1h
        + read * price.read
        + _count(usage, "output_tokens") * price.output
    )
    tools = usage.get("server_tool_use")
    searches = _count(tools, "web_search_requests") if isinstance(tools, dict) else 0
    return tokens / _MILLION + searches * _WEB_SEARCH


def _count(usage: Mapping[str, Any], name: str) -> int:
    value = usage.get(name)
    return value if isinstance(value, int) and value > 0 else 0
