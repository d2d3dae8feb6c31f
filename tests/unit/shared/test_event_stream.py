"""The one encoder of server-sent events."""

from shared.api.event_stream import encode_event


def test_an_event_has_its_kind_its_data_and_an_id_if_given():
    assert encode_event("delta", '{"text":"4"}') == b'event: delta\ndata: {"text":"4"}\n\n'
    assert encode_event("reset", "{}", "7-0") == b"id: 7-0\nevent: reset\ndata: {}\n\n"


def test_data_stays_one_line_for_every_reader():
    """Catches a line separator of Unicode that a client takes for the end of the data."""
    lines = encode_event("delta", '{"text":"a\u2028b\u0085c"}').decode().splitlines()
    assert lines == ["event: delta", 'data: {"text":"a\\u2028b\\u0085c"}', ""]
