"""The page at which a person without a key decides one call: no script, and nothing of the call is markup."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from fastapi import Response
from fastapi.responses import HTMLResponse
from pydantic import ValidationError

from shared.api.approvals import DecisionRequest, exact
from shared.api.errors import FieldError, InvalidRequest
from shared.http.page_files import PAGE_HEADERS
from shared.services.deciding import questions, when_over

_PAGE = Template((Path(__file__).parent / "templates/decision.html").read_text(encoding="utf-8"))
_STYLE = (Path(__file__).parents[2] / "shared/http/pages/decision.css").read_text(encoding="utf-8")
_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
_HEADERS = {**PAGE_HEADERS, "Content-Security-Policy": _POLICY, "X-Robots-Tag": "noindex"}
_ALLOW = '<button name="decision" value="allow">{}</button>'
_DENY = '<button name="decision" value="deny" class="deny">{}</button>'


def asking(pending: Mapping[str, Any], problem: str = "") -> Response:
    """Return the page that asks for a decision, with the problem of the one that was sent."""
    found = questions(pending["input"]) if pending["kind"] == "question" else []
    tool = _shown(pending["tool"])
    title = "A job asks a question" if found else f"A job asks to use <code>{tool}</code>"
    call = "" if found else f"<pre>{_shown(json.dumps(pending['input'], indent=2, ensure_ascii=False))}</pre>"
    fields = "".join(_question(number, one) for number, one in enumerate(found))
    buttons = _ALLOW.format("Answer" if found else "Allow") + _DENY.format("Do not answer" if found else "Deny")
    body = (
        f"{f'<p role=alert>{escape(problem)}</p>' if problem else ''}{call}"
        f"<p>Open until {escape(when_over(dict(pending)))}. This link works once.</p>"
        f'<form method="post">{fields}<label>Message to the model, with a denial'
        f'<textarea name="message" maxlength="4000" rows="3"></textarea></label><p>{buttons}</p></form>'
    )
    return _page(title, body, 422 if problem else 200)


def done(decision: str) -> Response:
    """Return the page after a decision."""
    return _page("Allowed" if decision == "allow" else "Denied", "<p>The job continues. You can close this page.</p>")


def gone() -> Response:
    """Return the page of a URL that was used, has expired, or never was."""
    return _page("This link is no longer valid", "<p>The call was decided, or the time to decide is over.</p>", 404)


def decision_in(form: Mapping[str, Sequence[str]], pending: Mapping[str, Any]) -> DecisionRequest:
    """Return the decision that the form of the page holds; raises InvalidRequest."""
    given: dict[str, Any] = {"decision": form.get("decision", [""])[0]}
    if message := form.get("message", [""])[0]:
        given["message"] = message
    if pending["kind"] == "question" and given["decision"] == "allow":
        given["answers"] = _answers(form, questions(pending["input"]))
    try:
        return DecisionRequest.model_validate(given)
    except ValidationError:
        message = "should be allow or deny, with a message of at most 4000 characters"
        raise InvalidRequest(message, errors=(FieldError("/decision", message),)) from None


def _answers(form: Mapping[str, Sequence[str]], found: Sequence[Mapping[str, Any]]) -> dict[str, str | list[str]]:
    answers: dict[str, str | list[str]] = {}
    for number, question in enumerate(found):
        other = [text for text in form.get(f"other-{number}", []) if text.strip()]
        chosen = [*form.get(f"answer-{number}", []), *other]
        if chosen:
            answers[question["text"]] = chosen if question["several"] else chosen[-1]
    return answers


def _question(number: int, question: Mapping[str, Any]) -> str:
    kind = "checkbox" if question["several"] else "radio"
    field = f'<input type="{kind}" name="answer-{number}"'
    labels = question["options"]
    choices = "".join(f'<label>{field} value="{_value(label)}">{_shown(label)}</label>' for label in labels)
    other = f'<label>Another answer<input type="text" name="other-{number}" maxlength="4000"></label>'
    return f"<fieldset><legend>{_shown(question['text'])}</legend>{choices}{other}</fieldset>"


def _value(label: str) -> str:
    # A lone surrogate cannot be sent; an answer may be any text.
    return escape(label.encode("utf-8", "replace").decode())


def _shown(text: str) -> str:
    return escape(exact(text))


def _page(title: str, body: str, status: int = 200) -> Response:
    plain = title.replace("<code>", "").replace("</code>", "")
    text = _PAGE.substitute(title=plain, heading=title, style=_STYLE, body=body)
    return HTMLResponse(text, status, headers=_HEADERS)
