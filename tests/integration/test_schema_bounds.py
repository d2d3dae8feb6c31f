"""Schemas that are slow to check, through each API that accepts them."""

import pytest

from shared.json_schema import checking, process

SLOW = {"type": "object", "allOf": [{}] * 25_000}
MESSAGES = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "q"}]}
FORMAT = {"type": "json_schema", "schema": SLOW}
BODIES = {
    "/api/query": {"query": "q", "outputSchema": SLOW},
    "/api/batches": {"queries": [{"query": "q", "outputSchema": {**SLOW, "title": str(n)}} for n in range(5)]},
    "/v1/responses": {"model": "m", "input": "q", "background": True, "text": {"format": FORMAT}},
    "/v1/messages/batches": {
        "requests": [{"custom_id": "a", "params": {**MESSAGES, "output_config": {"format": FORMAT}}}]
    },
}


@pytest.fixture(autouse=True)
def _checks_take_too_long(monkeypatch):
    """Shorten the bound, which few schemas of the allowed size exceed."""
    monkeypatch.setattr(process, "WITHIN", 0.01)
    yield
    checking.close()


@pytest.mark.parametrize("path", BODIES)
async def test_a_slow_schema_is_refused_quickly(connect, path):
    client = await connect()
    answer = await client.post(path, json=BODIES[path])
    assert answer.status_code in {400, 422}
    assert "to check" in answer.text


async def test_a_wrong_schema_is_an_error_with_its_place(connect):
    client = await connect()
    answer = await client.post("/api/query", json={"query": "q", "outputSchema": {"properties": {"n": {"type": "x"}}}})
    assert answer.json()["errors"][0]["pointer"] == "/outputSchema/properties/n/type"
