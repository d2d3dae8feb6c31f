"""Hooks of schemathesis for rules that the OpenAPI document cannot express."""

import re
from typing import Any
from uuid import uuid4

import schemathesis

# The fields of each event of a job's stream.
_EVENT = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "event": {"enum": ["state", "delta", "step", "reset", "done"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["id", "event", "data"],
}


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Replace the schema of the stream by that of one event, which schemathesis expects."""
    events = raw_schema["paths"]["/api/query/{jobId}/events"]["get"]["responses"]["200"]["content"]
    events["text/event-stream"]["schema"] = _EVENT


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Make each valid Idempotency-Key unique: a reuse with another body is refused, which is tested elsewhere."""
    for name, value in (case.headers or {}).items():
        if name.lower() == "idempotency-key" and re.fullmatch("[!-~]{1,200}", str(value)):
            case.headers[name] = f"{value}-{uuid4()}"


def bodies(case: Any) -> list[dict[str, Any]]:
    """Return the body, and the bodies of a batch's queries."""
    if not isinstance(case.body, dict):
        return []
    queries = case.body.get("queries")
    return [case.body, *(one for one in (queries if isinstance(queries, list) else []) if isinstance(one, dict))]


@schemathesis.hook("before_call")
def send_webhooks_nowhere(context: Any, case: Any, kwargs: Any) -> None:
    """Replace each well-formed URL by an allowed one: targets of webhooks are tested elsewhere."""
    for body in bodies(case):
        url = body.get("webhookUrl")
        if isinstance(url, str) and 0 < len(url) <= 2048:
            body["webhookUrl"] = "http://webhooks.invalid/"


@schemathesis.hook("before_call")
def name_no_server(context: Any, case: Any, kwargs: Any) -> None:
    """Leave out well-formed names: the MCP servers depend on the deployment and are tested elsewhere."""
    for body in bodies(case):
        names = body.get("mcpServers")
        if isinstance(names, list) and len(names) <= 50:
            body["mcpServers"] = [name for name in names if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", str(name))]


@schemathesis.hook("before_call")
def name_no_agent_and_no_skill(context: Any, case: Any, kwargs: Any) -> None:
    """Leave out well-formed names, for the same reason."""
    for body in bodies(case):
        for kind in ("agents", "skills"):
            names = body.get(kind)
            if isinstance(names, list) and len(names) <= 50:
                body[kind] = [name for name in names if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", str(name))]


@schemathesis.hook("before_call")
def name_no_credential(context: Any, case: Any, kwargs: Any) -> None:
    """Leave out a well-formed name: which credentials there are is tested elsewhere."""
    for body in bodies(case):
        if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", str(body.get("credential", ""))):
            body.pop("credential")


@schemathesis.hook("before_call")
def ask_for_any_object(context: Any, case: Any, kwargs: Any) -> None:
    """Replace any object by a valid JSON Schema, because OpenAPI cannot express which objects are schemas."""
    for body in bodies(case):
        if isinstance(body.get("outputSchema"), dict):
            body["outputSchema"] = {"type": "object"}


@schemathesis.hook("before_call")
def fork_something(context: Any, case: Any, kwargs: Any) -> None:
    """Fork nothing: that needs a session, which is tested elsewhere."""
    for body in bodies(case):
        if body.get("fork") is True:
            body["fork"] = False


_PATH = re.compile(r"[^/\x00-\x1f\x7f]+(/[^/\x00-\x1f\x7f]+)*")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_CONTENTS = {"fileId": _UUID, "text": re.compile(".*", re.DOTALL), "data": re.compile(".*", re.DOTALL)}


def fits(one: Any, fields: dict[str, re.Pattern[str]], required: set[str]) -> bool:
    """Return whether an object has what the document says of a file or an attachment."""
    return (
        isinstance(one, dict)
        and required <= set(one) <= set(fields)
        and all(
            (value is None and name not in required)
            or (isinstance(value, str) and len(value) <= 1024 and fields[name].fullmatch(value))
            for name, value in one.items()
        )
    )


@schemathesis.hook("before_call")
def give_small_files(context: Any, case: Any, kwargs: Any) -> None:
    """Replace well-formed files by as many that are right: which ids, paths and types are, is tested elsewhere."""
    types = re.compile("image/(png|jpeg|gif|webp)|application/pdf")
    for body in bodies(case):
        files, attachments = body.get("files"), body.get("attachments")
        in_file, in_attachment = {"path": _PATH, **_CONTENTS}, {"mediaType": types, **_CONTENTS}
        in_attachment.pop("text")
        if isinstance(files, list) and len(files) <= 100 and all(fits(one, in_file, {"path"}) for one in files):
            body["files"] = [{"path": f"a/{number}", "text": one["path"]} for number, one in enumerate(files)]
        shown = attachments if isinstance(attachments, list) and len(attachments) <= 20 else None
        if shown is not None and all(fits(one, in_attachment, set()) for one in shown):
            body["attachments"] = [{"mediaType": "image/gif", "data": "R0lGODlh"} for _ in shown]


@schemathesis.hook("before_call")
def upload_under_a_name(context: Any, case: Any, kwargs: Any) -> None:
    """Send each body as a file of a short name: bytes of names and presigned uploads are tested elsewhere."""
    if case.method == "POST" and case.path == "/api/files" and case.query:
        if case.query.get("upload") == "presigned":
            del case.query["upload"]
        if 0 < len(str(case.query.get("name", ""))) <= 255:
            case.query["name"] = "generated"


@schemathesis.hook("before_call")
def name_no_repository(context: Any, case: Any, kwargs: Any) -> None:
    """Leave out what has the form of a workspace: its URL and refs, and the sandbox, are tested elsewhere."""
    for body in bodies(case):
        workspace = body.get("workspace")
        if isinstance(workspace, dict) and set(workspace) == {"git"} and is_repository(workspace["git"]):
            body.pop("workspace")


_REF = re.compile(r"[^\x00-\x20\x7f~^:?*\[\\]{1,255}")


def is_repository(git: Any) -> bool:
    """Return whether an object has what the document says of a repository."""

    def is_text(value: Any, pattern: re.Pattern[str]) -> bool:
        return isinstance(value, str) and pattern.fullmatch(value) is not None

    if not isinstance(git, dict) or not is_text(git.get("url"), re.compile(".{1,2048}", re.DOTALL)):
        return False
    rest = {name: value for name, value in git.items() if name != "url"}
    depth, push = rest.pop("depth", 1), rest.pop("push", None)
    if isinstance(depth, bool) or not isinstance(depth, int | float) or not 1 <= depth <= 1_000_000 or depth % 1:
        return False
    if push is not None and not (isinstance(push, dict) and set(push) == {"branch"} and is_text(push["branch"], _REF)):
        return False
    forms = {"ref": _REF, "credential": re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")}
    return set(rest) <= set(forms) and all(value is None or is_text(value, forms[name]) for name, value in rest.items())


@schemathesis.hook("after_call")
def take_any_content_as_bytes(context: Any, case: Any, response: Any) -> None:
    """Ignore the media type of a content: it is that of the file, which no document can list."""
    if case.path.endswith("/content") and response.status_code in {200, 206}:
        response.headers["content-type"] = ["application/octet-stream"]
