"""Requests as events of payload version 2.0, and responses of functions as HTTP."""

import base64
import json
import time
from datetime import UTC, datetime

import pytest
from starlette.requests import Request

from local.lambda_emulator.event import Incoming, to_event, to_response
from local.lambda_emulator.routes import Route

ROUTE = Route("F", "m.handler", "POST", "/jobs/{id}")


def event_of(path="/jobs/1", *, query="", headers=(), body=b"", parameters=None):
    request = Request(
        {
            "type": "http",
            "method": "POST",
            "http_version": "1.1",
            "scheme": "http",
            "path": "/decoded by the server",
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [
                (name.encode(), value.encode("latin-1")) for name, value in (("host", "api.test:3000"), *headers)
            ],
            "client": ("192.0.2.7", 1234),
            "server": ("127.0.0.1", 3000),
        }
    )
    return to_event(Incoming(request, body, ROUTE, parameters or {}))


def test_an_event_has_the_request_its_path_and_its_client():
    before = time.time()
    event = event_of(headers=[("user-agent", "curl/8")], parameters={"id": "1"})
    context = event["requestContext"]
    assert event["version"] == "2.0"
    assert event["routeKey"] == context["routeKey"] == "POST /jobs/{id}"
    assert event["pathParameters"] == {"id": "1"}
    assert context["http"] == {
        "method": "POST",
        "path": "/jobs/1",
        "protocol": "HTTP/1.1",
        "sourceIp": "192.0.2.7",
        "userAgent": "curl/8",
    }
    assert (context["stage"], context["domainName"]) == ("$default", "api.test:3000")
    assert before * 1000 - 1 <= context["timeEpoch"] <= time.time() * 1000
    parsed = datetime.strptime(context["time"], "%d/%b/%Y:%H:%M:%S %z")
    assert parsed == datetime.fromtimestamp(context["timeEpoch"] // 1000, UTC)
    json.dumps(event)


def test_two_requests_have_two_ids():
    assert event_of()["requestContext"]["requestId"] != event_of()["requestContext"]["requestId"]


def test_the_path_is_decoded_as_by_the_real_service():
    event = event_of("/jobs/a%2Fb%20%C3%A9%3Fx%23")
    assert event["rawPath"] == event["requestContext"]["http"]["path"] == "/jobs/a/b é?x#"
    assert event["rawQueryString"] == ""


def test_the_query_is_given_encoded_and_also_decoded_and_joined():
    event = event_of(query="a=1&b=x%20y&a=2&c=&d=1+2")
    assert event["rawQueryString"] == "a=1&b=x%20y&a=2&c=&d=1+2"
    assert event["queryStringParameters"] == {"a": "1,2", "b": "x y", "c": "", "d": "1 2"}


def test_a_query_of_any_bytes_makes_an_event():
    assert event_of(query="é=%FF")["rawQueryString"]


def test_repeated_headers_are_joined():
    assert event_of(headers=[("x-a", "1"), ("x-b", "3"), ("x-a", "2")])["headers"]["x-a"] == "1,2"


def test_cookies_of_every_header_have_their_own_field():
    event = event_of(headers=[("cookie", "a=1; b=2"), ("cookie", "c=3")])
    assert event["cookies"] == ["a=1", "b=2", "c=3"]
    assert "cookie" not in event["headers"]


def test_the_gateway_adds_forwarding_headers():
    assert event_of()["headers"]["x-forwarded-for"] == "192.0.2.7"
    forged = event_of(headers=[("x-forwarded-for", "10.0.0.1"), ("x-forwarded-proto", "gopher")])["headers"]
    assert forged["x-forwarded-for"] == "10.0.0.1, 192.0.2.7"
    assert (forged["x-forwarded-proto"], forged["x-forwarded-port"]) == ("http", "3000")


def test_a_body_in_chunks_arrives_whole():
    headers = event_of(headers=[("transfer-encoding", "chunked"), ("connection", "close")], body=b"four")["headers"]
    assert headers["content-length"] == "4"
    assert not {"transfer-encoding", "connection"} & set(headers)


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "Application/JSON", "text/csv", "application/xml"]
)
def test_a_body_of_text_is_text(kind):
    event = event_of(headers=[("content-type", kind)], body="é\n".encode())
    assert (event["body"], event["isBase64Encoded"]) == ("é\n", False)


@pytest.mark.parametrize(
    "kind",
    [
        "application/octet-stream",
        "application/problem+json",
        "application/json-seq",
        "application/x-www-form-urlencoded",
        "",
    ],
)
def test_a_body_of_another_kind_is_base64(kind):
    event = event_of(headers=[("content-type", kind)] if kind else [], body=b"{}")
    assert (base64.b64decode(event["body"]), event["isBase64Encoded"]) == (b"{}", True)


def test_text_that_is_not_utf8_is_base64():
    event = event_of(headers=[("content-type", "application/json")], body=b'"\xff"')
    assert (base64.b64decode(event["body"]), event["isBase64Encoded"]) == (b'"\xff"', True)


def test_empty_fields_are_left_out():
    event = event_of()
    assert not {"body", "cookies", "queryStringParameters", "pathParameters"} & set(event)
    assert (event["isBase64Encoded"], event["rawQueryString"]) == (False, "")


def test_an_answer_becomes_status_headers_cookies_and_body():
    response = to_response(
        {
            "statusCode": 201,
            "headers": {"Content-Type": "application/problem+json", "X-A": "1", "content-length": "99"},
            "cookies": ["a=1; Path=/", "b=2"],
            "body": "é",
        }
    )
    assert (response.status_code, response.body) == (201, "é".encode())
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-a"] == "1"
    assert response.headers.getlist("content-length") == ["2"]
    assert response.headers.getlist("set-cookie") == ["a=1; Path=/", "b=2"]


def test_a_base64_body_is_decoded():
    answer = {"statusCode": 200, "isBase64Encoded": True, "body": base64.b64encode(b"\x00\xff").decode()}
    assert to_response(answer).body == b"\x00\xff"


def test_an_answer_without_a_kind_is_plain_text():
    assert to_response({"statusCode": 200, "body": "x"}).headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("answer", "body"), [({"a": None}, {"a": None}), ([1], [1]), (None, None), (7, 7), ('{"b": 1}', {"b": 1})]
)
def test_an_answer_without_a_status_is_the_body(answer, body):
    response = to_response(answer)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert json.loads(bytes(response.body)) == body


@pytest.mark.parametrize(
    "answer",
    [
        {"statusCode": "high"},
        {"statusCode": None},
        {"statusCode": 42},
        {"statusCode": 200, "body": {"not": "text"}},
        {"statusCode": 200, "body": "no base64!", "isBase64Encoded": True},
        {"statusCode": 200, "headers": ["x"]},
        {"statusCode": 200, "headers": {"x": "\N{SNOWMAN}"}},
    ],
)
def test_an_answer_that_cannot_be_sent_is_a_500_of_the_gateway(answer):
    response = to_response(answer)
    assert response.status_code == 500
    assert json.loads(bytes(response.body)) == {"message": "Internal Server Error"}
