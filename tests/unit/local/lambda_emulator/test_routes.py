"""Matching of requests to the routes of a template."""

from pathlib import Path

import pytest
import yaml

from local.lambda_emulator.app import TEMPLATE as GATEWAY
from local.lambda_emulator.app import Emulator
from local.lambda_emulator.routes import Route, read_handlers, read_routes
from shared.configuration.settings import load

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Globals:
  Function: { Environment: { Variables: { URL: !Sub "https://${Api}", SIZES: !Split [",", !Ref Sizes] } } }
Resources:
  Api: { Type: AWS::Serverless::HttpApi }
  First:
    Type: AWS::Serverless::Function
    Properties:
      Handler: first.handler
      Role: !GetAtt Role.Arn
      Policies: !If [Small, !Ref AWS::NoValue, { Nested: !Sub ["${A}", { A: !Ref B }] }]
      Events:
        Everything: { Type: HttpApi, Properties: { ApiId: !Ref Api } }
        Below: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: any, Path: "/{proxy+}" } }
        Pets: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: get, Path: "/pets/{proxy+}" } }
        Dog: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: GET, Path: "/pets/dog/{id}" } }
        Tick: { Type: Schedule, Properties: { Schedule: rate(1 minute) } }
  Second:
    Type: AWS::Serverless::Function
    Properties:
      Handler: second.handler
      Events:
        DogAny: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: ANY, Path: "/pets/dog/{id}" } }
        DogOne: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: GET, Path: /pets/dog/1 } }
        AnyOne: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: GET, Path: "/pets/{kind}/1" } }
        Version: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: GET, Path: /v1.0 } }
  Unrouted:
    Type: AWS::Serverless::Function
    Properties: { Handler: third.handler }
"""


@pytest.fixture
def template(tmp_path) -> Path:
    path: Path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE)
    return path


def taken(template, method, path):
    for route in read_routes(template):
        parameters = route.match(method, path)
        if parameters is not None:
            return route.key, parameters
    return None


@pytest.mark.parametrize(
    ("method", "path", "key", "parameters"),
    [
        ("GET", "/pets/dog/1", "GET /pets/dog/1", {}),
        ("GET", "/pets/dog/2", "GET /pets/dog/{id}", {"id": "2"}),
        ("DELETE", "/pets/dog/2", "ANY /pets/dog/{id}", {"id": "2"}),
        ("GET", "/pets/cat/1", "GET /pets/{kind}/1", {"kind": "cat"}),
        ("GET", "/pets/cat/2", "GET /pets/{proxy+}", {"proxy": "cat/2"}),
        ("POST", "/pets/cat/2", "ANY /{proxy+}", {"proxy": "pets/cat/2"}),
        ("GET", "/pets", "ANY /{proxy+}", {"proxy": "pets"}),
        ("GET", "/", "$default", {}),
    ],
)
def test_the_most_specific_route_takes_a_request(template, method, path, key, parameters):
    assert taken(template, method, path) == (key, parameters)


def test_the_order_in_the_template_does_not_matter(tmp_path):
    wanted = [
        "GET /a/b",
        "ANY /a/b",
        "GET /a/{x}",
        "GET /a/{x}/c",
        "GET /a/{x+}",
        "GET /{x}/b",
        "ANY /{x+}",
        "$default",
    ]
    for order in (wanted, wanted[::-1]):
        events = {
            str(number): {"Type": "HttpApi", "Properties": dict(zip(("Method", "Path"), key.split(), strict=True))}
            if " " in key
            else {"Type": "HttpApi"}
            for number, key in enumerate(order)
        }
        function = {"Type": "AWS::Serverless::Function", "Properties": {"Handler": "m.h", "Events": events}}
        template = tmp_path / "template.yaml"
        template.write_text(yaml.safe_dump({"Resources": {"F": function}}))
        assert [route.key for route in read_routes(template)] == wanted


def test_a_parameter_is_decoded_and_keeps_an_encoded_slash_in_its_segment(template):
    assert taken(template, "GET", "/pets/dog/a%2Fb%20%C3%A9+") == ("GET /pets/dog/{id}", {"id": "a/b é+"})


def test_an_empty_segment_is_no_parameter(template):
    assert taken(template, "GET", "/pets/dog/") == ("GET /pets/{proxy+}", {"proxy": "dog/"})


def test_a_dot_in_a_path_is_a_dot(template):
    assert taken(template, "GET", "/v1.0") == ("GET /v1.0", {})
    assert taken(template, "GET", "/v1x0") == ("ANY /{proxy+}", {"proxy": "v1x0"})


def test_a_needlessly_encoded_path_is_the_same_path(template):
    assert taken(template, "GET", "/pets/%64og/1") == ("GET /pets/dog/1", {})


def test_without_default_an_unknown_path_has_no_route(tmp_path):
    template = tmp_path / "template.yaml"
    template.write_text(
        "Resources: { F: { Type: AWS::Serverless::Function, Properties: { Handler: m.h, Events: "
        "{ E: { Type: HttpApi, Properties: { Method: GET, Path: /x } } } } } }"
    )
    assert taken(template, "GET", "/y") is None
    assert taken(template, "POST", "/x") is None
    assert taken(template, "GET", "/x/") is None


def test_every_handler_is_read_and_each_route_has_its_own(template):
    assert read_handlers(template) == {
        "First": "first.handler",
        "Second": "second.handler",
        "Unrouted": "third.handler",
    }
    assert {(route.function, route.handler) for route in read_routes(template)} == {
        ("First", "first.handler"),
        ("Second", "second.handler"),
    }


@pytest.mark.parametrize(
    ("path", "raw_path", "expected"),
    [
        ("/api/query/{jobId}", "/api/query/abc", {"jobId": "abc"}),
        ("/api/query/{jobId}", "/api/query/a%2Fb%20c", {"jobId": "a/b c"}),
        ("/api/query/{jobId}", "/api/query/", None),
        ("/api/query/{jobId}", "/api/query/a/b", None),
        ("/openapi.json", "/openapiXjson", None),
    ],
)
def test_a_path_is_matched_segment_by_segment(path, raw_path, expected):
    assert Route("F", "h", "GET", path).match("GET", raw_path) == expected


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/base/api/query", "GET /api/query"),
        ("/api/query", "GET /api/query"),
        ("/base", "GET /"),
        ("/bases/api/query", "$default"),
        ("/base" * 9000, "$default"),
    ],
    ids=lambda value: value[:20],
)
def test_a_base_path_is_removed_once_before_matching(tmp_path, monkeypatch, path, key):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROOT_PATH", "/base")
    load.cache_clear()
    found = Emulator(GATEWAY, 1)._match("GET", path)
    load.cache_clear()
    assert found is not None
    assert found[0].key == key
