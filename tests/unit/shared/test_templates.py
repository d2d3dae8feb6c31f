"""A submission that is made from a template equals the one that all checks and translations give."""

import asyncio
from dataclasses import fields

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.api.errors import Forbidden, InvalidRequest
from shared.api.policies import NO_POLICY, Policy
from shared.api.requests import SubmitRequest
from shared.configuration.settings import SubmitSettings
from shared.services import preparing, templates
from shared.store.callers import usage
from shared.tracing import context

SETTINGS = SubmitSettings(dedup_enabled=True, max_query_bytes=1000)
EVERY_CHARACTER = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
IDS = ("job_id", "request_id")


@pytest.fixture(autouse=True)
def _no_templates():
    templates._kept.clear()
    yield
    templates._kept.clear()


@pytest.fixture
def translated(monkeypatch):
    """Return the queries that were translated without a template."""
    found, translate = [], preparing._submission

    def noted(request, *others):
        found.append(request.query)
        return translate(request, *others)

    monkeypatch.setattr(preparing, "_submission", noted)
    return found


async def prepared(query="What is 2+2?", *, caller="ann", settings=SETTINGS, policy=NO_POLICY, key=None, **options):
    request = SubmitRequest.model_validate({"query": query, **options})
    return await preparing.prepare(
        request, request_id="r", caller=caller, idempotency_key=key, settings=settings, policy=policy
    )


async def without_template(*given, **options):
    templates._kept.clear()
    return await prepared(*given, **options)


def same(submission):
    """Return all fields but the ids."""
    return {one.name: getattr(submission, one.name) for one in fields(submission) if one.name not in IDS}


ODD = '"\\/{}:,\n\t\0\x1f\x7f\u2028'
PIECES = ['"query":', '"', "\\", '\\"', "query", ":", "a", "{", "}", ",", "\u00e9", "\U0001f600"]
# So short that they are within MAX_QUERY_BYTES with all escapes.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(ODD), max_size=50) | st.lists(
    st.sampled_from(PIECES), max_size=50
).map("".join)
QUERIES = TEXTS.map(lambda text: f"{text}?")
MODELS = st.sampled_from(["query", "sonnet", "a:b/c@d[1m]", "a\u0660"])
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "model": MODELS,
        "systemPrompt": TEXTS,
        "priority": st.sampled_from(["high", "normal", "low"]),
        "maxTurns": st.sampled_from([1, 1.0, 100]),
        "maxBudgetUsd": st.sampled_from([1, 1.0, 0.1, 5e-324, 1e308]),
        "maxOutputTokens": st.sampled_from([1, 2.0]),
        "effort": st.sampled_from(["low", "max"]),
        "timeoutMs": st.sampled_from([1000, 1000.0, 120_000]),
    },
)
DEPLOYMENTS = [
    SETTINGS,
    SubmitSettings(cache_ttl=0),
    SubmitSettings(demo_model=True, max_budget_usd=1000, claude_model='odd"query":"x"', usage_tag="team"),
]


@given(QUERIES, QUERIES, OPTIONS, st.sampled_from(DEPLOYMENTS), st.sampled_from([None, "key"]))
@example("a", 'b","query":"a', {"systemPrompt": '"query":"a"'}, SETTINGS, None)
def test_a_template_changes_nothing_but_the_ids(first, query, options, settings, key):
    async def both():
        try:
            expected = await without_template(query, settings=settings, key=key, **options)
        except InvalidRequest:
            return None
        templates._kept.clear()
        earlier = await prepared(first, settings=settings, key="other", **options)
        [kept] = templates._kept.values()
        return expected, earlier, kept.filled(query, "r"), await prepared(query, settings=settings, key=key, **options)

    if (found := asyncio.run(both())) is not None:
        expected, earlier, filled, submission = found
        assert filled is not None
        assert same(submission) == same(expected)
        assert len({submission.job_id, expected.job_id, earlier.job_id}) == 3


@pytest.mark.parametrize("text", [EVERY_CHARACTER, EVERY_CHARACTER[::-1], '"query":"x"', "\\", '\\"', "\x00\x7f\u2028"])
async def test_every_character_is_written_as_without_a_template(text, translated):
    """Catches a character that one of the two JSON writers escapes and the other does not."""
    settings = SubmitSettings(max_query_bytes=1 << 24)
    expected = await without_template(text, settings=settings, key="k")
    templates._kept.clear()
    await prepared("another", settings=settings)
    translated.clear()
    assert same(await prepared(text, settings=settings, key="k")) == same(expected)
    assert translated == []
    # The text is also the one that a template is made of.
    templates._kept.clear()
    await prepared(text, settings=settings)
    assert same(await prepared("another", settings=settings)) == same(
        await without_template("another", settings=settings)
    )


async def test_only_the_first_of_equal_options_is_translated(translated):
    for number in range(3):
        await prepared(f"query {number}", model="sonnet", maxTurns=2)
    await prepared("query 3", model="sonnet", maxTurns=2.0)
    assert translated == ["query 0"]


async def test_a_submission_has_its_own_request_id():
    request = SubmitRequest(query="x")
    found = [
        await preparing.prepare(
            request, request_id=name, caller="ann", idempotency_key=None, settings=SETTINGS, policy=NO_POLICY
        )
        for name in ("r1", "r2")
    ]
    assert [one.request_id for one in found] == ["r1", "r2"]
    assert found[0].job_id != found[1].job_id


@pytest.mark.parametrize("too_long", ["x" * 1001, "\u00e9" * 501, "\U0001f600" * 251, "\n" * 1000 + "xx"])
async def test_a_query_that_is_too_long_is_refused_with_a_template(too_long):
    await prepared("x")
    with pytest.raises(InvalidRequest, match="MAX_QUERY_BYTES = 1000"):
        await prepared(too_long)


@pytest.mark.parametrize("longest", ["x" * 1000, "x" * 999, "x" * 998, "\u00e9" * 500, '"' * 1000, "\x01" * 1000])
async def test_a_query_of_the_longest_size_is_accepted_with_a_template(longest):
    expected = await without_template(longest)
    await without_template("x")
    assert same(await prepared(longest)) == same(expected)


async def test_a_query_that_may_be_too_long_leaves_the_template_there():
    await prepared("x")
    [kept] = templates._kept.values()
    await prepared('"' * 1000)
    assert list(templates._kept.values()) == [kept]


@pytest.mark.parametrize(
    "options",
    [
        {"model": "opus"}, {"systemPrompt": "b"}, {"systemPrompt": ""}, {"priority": "low"}, {"maxTurns": 2},
        {"maxBudgetUsd": 2}, {"maxOutputTokens": 2}, {"effort": "max"}, {"timeoutMs": 2000},
    ],
)  # fmt: skip
async def test_a_change_of_one_option_changes_the_submission(options):
    common = {
        "model": "sonnet", "systemPrompt": "a", "priority": "high", "maxTurns": 1, "maxBudgetUsd": 1,
        "maxOutputTokens": 1, "effort": "low", "timeoutMs": 1000,
    }  # fmt: skip
    expected = await without_template(**(common | options))
    earlier = await without_template(**common)
    found = await prepared(**(common | options))
    assert same(found) == same(expected) != same(earlier)


@pytest.mark.parametrize(
    "options",
    [
        {"context": {"query": "x"}}, {"webhookUrl": "http://1.1.1.1/"}, {"fallbackModels": ["opus"]}, {"session": True},
        {"sessionId": "s"}, {"sessionId": "s", "fork": True}, {"mcpServers": []}, {"outputSchema": {"type": "object"}},
        {"credential": "c"}, {"cache": {"mode": "bypass"}}, {"cache": {"ttl": 1}}, {"metadata": {"team": "a"}},
        {"runAt": "2020-01-01T00:00:00Z"}, {"network": {"allowedHosts": []}},
    ],
)  # fmt: skip
async def test_a_query_with_another_option_has_no_template(options, translated):
    await prepared("x")
    for query in ("x", "y"):
        await prepared(query, **options)
    assert translated == ["x", "x", "y"]
    assert len(templates._kept) == 1


@pytest.mark.parametrize("options", [{"tools": ["Bash"]}, {"agents": ["a"]}, {"skills": ["s"]}, {"fork": True}])
async def test_an_option_that_is_not_allowed_is_refused_with_a_template(options):
    await prepared("x")
    with pytest.raises((Forbidden, InvalidRequest)):
        await prepared("y", **options)


async def test_a_request_of_another_type_has_no_template():
    class Kept(SubmitRequest):
        keeps_request = True

    await prepared("x")
    found = await preparing.prepare(
        Kept(query="x"), request_id="r", caller="ann", idempotency_key=None, settings=SETTINGS, policy=NO_POLICY
    )
    assert found.keep_request


async def test_a_copy_with_another_option_has_no_template(translated):
    """Catches the continuation of a session by a copy of a plain request."""
    await prepared("x")
    copied = SubmitRequest(query="x").model_copy(update={"session_id": "s", "fork": True})
    found = await preparing.prepare(
        copied, request_id="r", caller="ann", idempotency_key=None, settings=SETTINGS, policy=NO_POLICY
    )
    assert found.job_id in found.request
    assert translated == ["x", "x"]


async def test_a_caller_with_a_policy_uses_no_template():
    await prepared("x", model="sonnet")
    with pytest.raises(Forbidden, match="models"):
        await prepared("y", model="sonnet", policy=Policy(models=["opus"]))


async def test_what_a_policy_has_changed_is_not_kept():
    limited = await prepared("x", policy=Policy(maxBudgetUsd=1.5, maxPriority="low"))
    assert "1.5" in limited.request
    assert templates._kept == {}
    assert "1.5" not in (await prepared("y")).request


async def test_a_refused_query_is_not_kept():
    settings = SubmitSettings(claude_models=("opus",))
    for _ in range(2):
        with pytest.raises(InvalidRequest, match="CLAUDE_MODELS"):
            await prepared("x", settings=settings, model="sonnet")
    assert templates._kept == {}


async def test_two_callers_do_not_share_a_template():
    mine = await prepared("x", caller="ann")
    theirs = await prepared("x", caller="bob")
    assert (mine.caller, theirs.caller) == ("ann", "bob")
    assert mine.fingerprint != theirs.fingerprint
    assert same(theirs) == same(await without_template("x", caller="bob"))


@pytest.mark.parametrize(
    "other",
    [
        {"cache_ttl": 7}, {"cache_ttl": 0}, {"dedup_enabled": False}, {"claude_model": "opus"},
        {"claude_timeout": 5000}, {"max_budget_usd": 2}, {"demo_model": True},
    ],
)  # fmt: skip
async def test_other_settings_do_not_use_a_template(other):
    settings = SubmitSettings(**{"dedup_enabled": True, **other})
    expected = await without_template("x", settings=settings)
    earlier = await without_template("x")
    assert same(await prepared("x", settings=settings)) == same(expected) != same(earlier)


async def test_other_settings_refuse_what_a_template_allows():
    await prepared("x", model="sonnet")
    with pytest.raises(InvalidRequest, match="CLAUDE_MODELS"):
        await prepared("x", model="sonnet", settings=SubmitSettings(claude_models=("opus",)))
    # The settings of the template are the first ones still.
    await prepared("x", model="sonnet")


async def test_queries_that_the_router_decides_by_have_no_template(tmp_path):
    config = tmp_path / "mcp.json"
    config.write_text('{"mcpServers": {"moon": {"command": "m", "routing": {"keywords": ["moon"]}}}}')
    settings = SubmitSettings(mcp_enabled=True, mcp_config=config)
    found = [await prepared(query, settings=settings) for query in ("hello", "the moon")]
    assert ["moon" in one.mcp for one in found] == [False, True]
    assert templates._kept == {}


async def test_the_number_of_templates_is_bounded(monkeypatch):
    assert templates._KEPT <= 256
    monkeypatch.setattr(templates, "_KEPT", 3)
    for number in range(5):
        await prepared("x", model=f"m{number}")
    assert len(templates._kept) == 3


async def test_the_template_that_was_used_the_longest_ago_goes_first(monkeypatch, translated):
    monkeypatch.setattr(templates, "_KEPT", 2)
    for model in ("a", "b", "a", "c"):
        await prepared(f"for {model}", model=model)
    translated.clear()
    for model in ("a", "b"):
        await prepared(f"for {model}", model=model)
    assert translated == ["for b"]


async def test_a_template_of_other_settings_counts_as_used(monkeypatch, translated):
    monkeypatch.setattr(templates, "_KEPT", 2)
    other = SubmitSettings()
    for model, settings in (("a", SETTINGS), ("b", SETTINGS), ("a", other), ("c", SETTINGS)):
        await prepared("x", model=model, settings=settings)
    translated.clear()
    await prepared("x", model="a", settings=other)
    assert translated == []


async def test_a_system_prompt_longer_than_the_limit_is_not_kept():
    await prepared("x", systemPrompt="p" * (templates._LONGEST_PROMPT + 1))
    assert templates._kept == {}
    await prepared("x", systemPrompt="p" * templates._LONGEST_PROMPT)
    assert len(templates._kept) == 1


async def test_a_template_does_not_keep_the_query_that_it_was_made_of():
    """Catches memory that grows with MAX_QUERY_BYTES."""
    await prepared("something to forget")
    [kept] = templates._kept.values()
    assert "forget" not in str(vars(kept))


@pytest.mark.parametrize("prompt", ['"query":"x"', '\\"query":"x"', '{"query":"x"', 'query":"x"', "query"])
async def test_a_prompt_that_looks_like_a_query_stays_as_it_is(prompt, translated):
    options = {"systemPrompt": prompt, "model": "query", "caller": "query"}
    expected = await without_template("y", **options)
    templates._kept.clear()
    await prepared("x", **options)
    translated.clear()
    found = await prepared("y", **options)
    assert translated == []
    assert (found.request, found.fingerprint) == (expected.request, expected.fingerprint)


async def test_an_idempotency_key_is_compared_as_without_a_template():
    expected = await without_template("x", key="k", model="sonnet", maxTurns=1)
    templates._kept.clear()
    await prepared("y", key="other", model="sonnet", maxTurns=1)
    found, changed = [await prepared(query, key="k", model="sonnet", maxTurns=1) for query in ("x", "y")]
    assert (found.idempotency, found.body) == (expected.idempotency, expected.body) != ("", "")
    assert (changed.idempotency, changed.body != found.body) == (found.idempotency, True)


async def test_an_idempotency_key_is_for_one_submission_of_its_caller():
    await prepared("x", key="k")
    found = await prepared("x")
    assert (found.idempotency, found.body) == ("", "")
    names = {(await prepared("x", key=key, caller=caller)).idempotency for key in "kl" for caller in ("ann", "bob")}
    assert len(names) == 4


async def test_a_change_of_a_submission_does_not_reach_the_next():
    """Catches a run of a schedule that stops the sharing of answers."""
    for _ in range(3):
        one = await prepared("x")
        assert one.read_cache
        one.read_cache = one.join = one.joinable = False


async def test_the_label_is_that_of_the_present_key():
    labels = []
    for key in ("k1", "k2", ""):
        usage.current_key.set(key)
        labels.append((await prepared("x", settings=DEPLOYMENTS[2])).label)
    assert labels == ["k1\n", "k2\n", ""]


async def test_the_trace_is_that_of_the_present_request():
    traces = []
    for one in (context.TraceContext("a" * 32, "b" * 16), context.TraceContext("c" * 32, "d" * 16, state="e=f"), None):
        context.current.set(one)
        traces.append((await prepared("x")).trace)
    assert traces == [f"00-{'a' * 32}-{'b' * 16}-01", f"00-{'c' * 32}-{'d' * 16}-01 e=f", ""]
