import pytest

from functions.worker.relay.metering import AnswerMeter
from functions.worker.relay.prices import PRICES, base_name, cost_of


def test_every_kind_of_token_has_its_price():
    usage = {
        "input_tokens": 100,
        "output_tokens": 10,
        "cache_read_input_tokens": 1000,
        "cache_creation_input_tokens": 500,
        "cache_creation": {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 200},
        "server_tool_use": {"web_search_requests": 2},
    }
    expected = (100 * 4 + 10 * 20 + 1000 * 0.2 + 300 * 5 + 200 * 8) / 1e6 + 0.02
    assert cost_of("claude-opus-5-5", usage) == pytest.approx(expected)


def test_a_long_prompt_has_a_price_of_its_own():
    assert cost_of("claude-haiku-5-5", {"input_tokens": 100_000}) == pytest.approx(0.01)
    assert cost_of("claude-haiku-5-5", {"input_tokens": 100_001}) == pytest.approx(0.0500005)


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("claude-opus-4-5-20251101", "claude-opus-4-5"), ("claude-sonnet-4-20250514", "claude-sonnet-4-0"),
        ("claude-3-5-haiku-20241022", "claude-3-5-haiku"), ("claude-sonnet-5[1m]", "claude-sonnet-5"),
    ],
)  # fmt: skip
def test_a_name_with_a_date_has_the_price_of_its_model(name, base):
    assert base_name(name) == base
    assert base in PRICES


@pytest.mark.parametrize("usage", [{}, {"input_tokens": None}, {"input_tokens": -5}, {"cache_creation": 7}])
def test_a_usage_without_counts_costs_nothing(usage):
    assert cost_of("some-new-model", usage) == 0


@pytest.mark.parametrize("answering", ["claude-opus-5-5-20260101", "claude-haiku-5-5"])
def test_a_spend_has_the_name_of_the_answering_model(answering):
    meter = AnswerMeter("claude-opus-5-5")
    meter.begin("application/json", "")
    meter.feed(b'{"model":"%s","usage":{"input_tokens":3},"content":[{}]}' % answering.encode())
    meter.end()
    assert meter.spend is not None
    assert meter.spend.model == base_name(answering)


def test_a_line_without_an_end_is_not_kept():
    """Catches a stream without a line break that fills the memory."""
    meter = AnswerMeter("claude-opus-5-5")
    meter.begin("text/event-stream", "")
    for _ in range(40):
        meter.feed(b"x" * 100_000)
    assert len(meter._line) <= 1 << 20
    meter.feed(b'\ndata: {"type":"message_start","message":{"usage":{"input_tokens":3}}}\n')
    assert meter.usage == {"input_tokens": 3}
