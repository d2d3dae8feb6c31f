"""The emulator end to end: HTTP in, the template's handlers in their own processes, HTTP out."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from local.lambda_emulator.function import MOST_ENVIRONMENTS

ROOT = Path(__file__).parents[2]

TEMPLATE = """
Resources:
  Api: { Type: AWS::Serverless::HttpApi }
  Web:
    Type: AWS::Serverless::Function
    Properties:
      Handler: web.handler
      Events:
        Echo: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: POST, Path: /echo } }
        Item: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: GET, Path: "/items/{name}" } }
        Problem: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: GET, Path: /problem } }
  Plain:
    Type: AWS::Serverless::Function
    Properties:
      Handler: plain.handler
      Events:
        Any: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: ANY, Path: "/plain/{what}" } }
"""

# Built like our functions; the answer says whether it was base64.
WEB = """
from typing import Annotated
from fastapi import FastAPI, Query, Request, Response
from shared.http.app import lambda_handler

app = FastAPI()

@app.post("/echo")
async def echo(request: Request) -> Response:
    return Response(await request.body(), media_type=request.headers["content-type"])

@app.get("/items/{name:path}")
async def item(name: str, request: Request, response: Response, tag: Annotated[list[str], Query()] = []) -> object:
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return {"name": name, "tags": tag, "cookies": request.cookies}

@app.get("/problem")
async def problem() -> Response:
    return Response('{"title": "é"}', 418, media_type="application/problem+json")

_inner = lambda_handler(app)

def handler(event, context):
    answer = _inner(event, context)
    answer["headers"]["x-base64"] = str(answer["isBase64Encoded"])
    return answer
"""

# Without a framework, to test what Lambda itself does; many of them start quickly.
PLAIN = """
import os, socket, subprocess, sys

def handler(event, context):
    match event["pathParameters"]["what"]:
        case "raise":
            raise RuntimeError("the handler's own words")
        case "exit":
            os._exit(3)
        case "unserialisable":
            return {1, 2}
        case "print":
            print("printed")
            os.write(1, b"written\\n")
            subprocess.run(["echo", "echoed"], check=True)
            assert sys.stdin.read() == ""
        case "large":
            return "x" * int(event["queryStringParameters"]["bytes"])
        case "context":
            return {
                "id": context.aws_request_id == event["requestContext"]["requestId"],
                "name": [context.function_name, os.environ["AWS_LAMBDA_FUNCTION_NAME"]],
                "arn": context.invoked_function_arn,
                "memory": context.memory_limit_in_mb,
                "remaining": context.get_remaining_time_in_millis(),
            }
        case "wait":
            port = int(event["queryStringParameters"]["port"])
            with socket.create_connection(("127.0.0.1", port)) as test:
                test.sendall(b"!")
                test.recv(1)
    return {"pid": os.getpid()}
"""

SERVER = """
import socket, sys
from pathlib import Path
import uvicorn
from local.lambda_emulator.app import create_emulator

app = create_emulator(Path(sys.argv[1]), longest=float(sys.argv[3]))
config = uvicorn.Config(app, lifespan="on", log_config=None)
uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[2]))])
"""


class Emulator:
    """A running emulator: its process, a client, and its log."""

    def __init__(self, process: subprocess.Popen[bytes], client: httpx.Client, folder: Path) -> None:
        self.process, self.client, self.folder = process, client, folder

    def pid(self, what: str = "run", **query: int) -> int:
        """Run the plain function and return the process it ran in."""
        answer = self.client.get(f"/plain/{what}", params=query)
        assert answer.status_code == 200, answer.text
        pid: int = answer.json()["pid"]
        return pid


@contextmanager
def emulator(folder: Path, longest: float = 90) -> Iterator[Emulator]:
    (folder / "template.yaml").write_text(TEMPLATE)
    (folder / "web.py").write_text(WEB)
    (folder / "plain.py").write_text(PLAIN)
    # Listens before the server runs, so that connections wait for it.
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        (folder / "out").open("wb") as out,
        (folder / "err").open("wb") as err,
    ):
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(folder / "template.yaml"), str(listener.fileno()), str(longest)],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{folder}"},
            cwd=folder,
            pass_fds=[listener.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        with httpx.Client(base_url=url, trust_env=False, timeout=100) as client:
            yield Emulator(process, client, folder)
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[Emulator]:
    with emulator(tmp_path_factory.mktemp("emulator")) as running:
        yield running


@pytest.fixture
def meeting() -> Iterator[socket.socket]:
    """A socket at which waiting handlers report and are released."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        listener.settimeout(60)
        yield listener


def arrival(meeting: socket.socket) -> socket.socket:
    handler = meeting.accept()[0]
    handler.settimeout(60)
    assert handler.recv(1) == b"!"
    return handler


def port(meeting: socket.socket) -> int:
    number: int = meeting.getsockname()[1]
    return number


def test_a_binary_body_passes_unchanged_both_ways(running):
    body = bytes(range(256))
    answer = running.client.post("/echo", content=body, headers={"content-type": "application/octet-stream"})
    assert answer.content == body
    assert answer.headers["x-base64"] == "True"


@pytest.mark.parametrize("kind", ["application/json", "text/plain; charset=utf-8", "application/x-www-form-urlencoded"])
def test_a_text_body_passes_unchanged_both_ways(running, kind):
    body = ' "é\r\n\x00\u2028\N{CAT FACE}" '.encode()
    answer = running.client.post("/echo", content=body, headers={"content-type": kind})
    assert answer.content == body


def test_a_problem_stays_text(running):
    answer = running.client.get("/problem")
    assert (answer.status_code, answer.json()) == (418, {"title": "é"})
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-base64"] == "False"


def test_path_query_and_cookies_arrive_unchanged(running):
    answer = running.client.get(
        "/items/a%2Fb%20%C3%A9?tag=1&tag=x%26y&tag=", headers=[("cookie", "first=1; second=2"), ("cookie", "third=3")]
    )
    assert answer.json() == {
        "name": "a/b é",
        "tags": ["1", "x&y", ""],
        "cookies": {"first": "1", "second": "2", "third": "3"},
    }
    assert [cookie.split(";")[0] for cookie in answer.headers.get_list("set-cookie")] == ["a=1", "b=2"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nowhere"), ("GET", "/echo"), ("TRACE", "/%0A"), ("OPTIONS", "/")]
)
def test_without_a_route_the_gateway_itself_answers_404(running, method, path):
    answer = running.client.request(method, path)
    assert (answer.status_code, answer.json()) == (404, {"message": "Not Found"})


def test_a_route_for_any_method_accepts_any(running):
    assert running.client.request("TRACE", "/plain/run").status_code == 200


@pytest.mark.parametrize("what", ["raise", "exit", "unserialisable"])
def test_a_handler_that_fails_is_a_500_and_the_next_request_is_answered(running, what):
    answer = running.client.get(f"/plain/{what}")
    assert (answer.status_code, answer.json()) == (500, {"message": "Internal Server Error"})
    assert running.pid()


def test_an_exception_is_logged_and_keeps_its_environment(running):
    before = running.pid()
    running.client.get("/plain/raise")
    assert running.pid() == before
    assert "the handler's own words" in (running.folder / "err").read_text()


def test_an_environment_that_died_while_idle_is_replaced(running):
    process = psutil.Process(running.pid())
    process.kill()
    psutil.wait_procs([process], timeout=10)
    assert running.pid() != process.pid


def test_output_of_a_handler_goes_to_the_log(running):
    assert running.pid("print")
    log = (running.folder / "err").read_text()
    assert all(word in log for word in ("printed", "written", "echoed"))
    assert (running.folder / "out").read_bytes() == b""


def test_a_handler_gets_the_context_of_its_invocation(running):
    context = running.client.get("/plain/context").json()
    assert context["id"]
    assert context["name"] == ["Plain", "Plain"]
    assert context["arn"].endswith(":function:Plain")
    assert context["memory"].isdecimal()
    assert 25_000 < context["remaining"] <= 29_000


def test_one_environment_serves_one_request_after_the_other(running):
    assert len({running.pid() for _ in range(5)}) == 1


def test_requests_run_concurrently_up_to_the_limit(running, meeting):
    extra = 5
    with ThreadPoolExecutor(MOST_ENVIRONMENTS + extra) as threads:
        pending = [threads.submit(running.pid, "wait", port=port(meeting)) for _ in range(MOST_ENVIRONMENTS + extra)]
        # None of these has been released, so they run at the same time.
        waiting = [arrival(meeting) for _ in range(MOST_ENVIRONMENTS)]
        for _ in range(extra):
            waiting.pop().close()
            waiting.append(arrival(meeting))
        for handler in waiting:
            handler.close()
        pids = {answer.result() for answer in pending}
    assert len(pids) == MOST_ENVIRONMENTS


def test_a_long_wait_delays_no_other_request(running, meeting):
    with ThreadPoolExecutor(1) as threads:
        pending = threads.submit(running.pid, "wait", port=port(meeting))
        with arrival(meeting):
            assert running.pid()
            assert not pending.done()
        assert pending.result()


def test_a_request_of_more_than_ten_megabytes_is_refused(running):
    answer = running.client.post("/echo", content=b"x" * ((10 << 20) + 1), headers={"content-type": "text/plain"})
    assert (answer.status_code, answer.json()) == (413, {"message": "Request Entity Too Large"})


def test_an_event_above_six_megabytes_is_refused(running):
    body = b"x" * (5 << 20)
    assert running.client.post("/echo", content=body, headers={"content-type": "text/plain"}).content == body
    answer = running.client.post("/echo", content=body, headers={"content-type": "image/png"})
    assert (answer.status_code, answer.json()) == (413, {"message": "Request Entity Too Large"})


def test_an_answer_of_more_than_six_megabytes_is_a_500(running):
    def large(size):
        return running.client.get("/plain/large", params={"bytes": size})

    # The function's answer is JSON, so two quotes belong to it.
    assert len(large(6_291_556 - 2).content) == 6_291_556 - 2
    assert (large(6_291_556 - 1).status_code, large(1).text) == (500, "x")


def test_a_timeout_is_a_503_and_its_environment_is_discarded(tmp_path, meeting):
    with emulator(tmp_path, longest=3) as running:
        before = running.pid()
        with ThreadPoolExecutor(1) as threads:
            pending = threads.submit(running.client.get, "/plain/wait", params={"port": port(meeting)})
            with arrival(meeting) as handler:
                answer = pending.result()
                assert handler.recv(1) == b""  # the environment has ended
        assert (answer.status_code, answer.json()) == (503, {"message": "Service Unavailable"})
        assert running.pid() != before


def test_environments_end_with_the_server(tmp_path):
    with emulator(tmp_path) as running:
        environment = psutil.Process(running.pid())
        running.client.close()
        running.process.send_signal(signal.SIGTERM)
        running.process.wait(20)
        assert not psutil.wait_procs([environment], timeout=0.1)[1]
        assert "Traceback" not in (tmp_path / "err").read_text()


def test_a_busy_environment_ends_with_a_killed_server(tmp_path, meeting):
    with emulator(tmp_path) as running, ThreadPoolExecutor(1) as threads:
        pending = threads.submit(running.client.get, "/plain/wait", params={"port": port(meeting)})
        with arrival(meeting) as handler:
            running.process.kill()
            assert handler.recv(1) == b""
        with pytest.raises(httpx.TransportError):
            pending.result()


def test_invalid_utf8_is_no_server_error(running):
    answer = running.client.get("/items/%FF%00?tag=%FF", headers={"x-odd": b"\xff\xfe"})
    assert answer.status_code == 200
    assert json.loads(answer.content)["tags"] == ["\ufffd"]
