"""Signatures, compared with the reference library of Standard Webhooks."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from shared import signing
from shared.webhook_secret import check_secret, new_secret

OLD, NEW = new_secret(), new_secret()
BODY = json.dumps({"type": "query.completed", "data": {"response": "naïve ☃"}}, ensure_ascii=False)


@pytest.mark.parametrize("secret", [OLD, NEW], ids=["old", "new"])
def test_each_secret_of_a_rotation_verifies(secret):
    assert Webhook(secret).verify(BODY.encode(), signing.headers("msg_1", BODY, [NEW, OLD])) == json.loads(BODY)


def test_there_is_one_signature_for_each_secret():
    signatures = signing.headers("msg_1", BODY, [NEW, OLD])["webhook-signature"].split(" ")
    assert len(set(signatures)) == 2
    assert all(signature.startswith("v1,") for signature in signatures)


def test_another_secret_does_not_verify():
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(BODY, signing.headers("msg_1", BODY, [OLD]))


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "msg_2"},
        {"webhook-timestamp": str(int((datetime.now(UTC) + timedelta(seconds=1000)).timestamp()))},
        {"webhook-signature": "v1,AAAA"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_changed_header_does_not_verify(changed):
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(BODY, {**signing.headers("msg_1", BODY, [OLD]), **changed})


def test_a_timestamp_changed_by_a_second_does_not_verify():
    headers = signing.headers("msg_1", BODY, [OLD])
    moved = {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) - 1)}
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(BODY, moved)


def test_a_changed_body_does_not_verify():
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(BODY + " ", signing.headers("msg_1", BODY, [OLD]))


@pytest.mark.parametrize(
    "wrong", ["", "whsec_", "whsec_AAAA", "whsec_ü", "AAAA" * 8, "whsec_" + "A" * 200, "whsec_!!!!" * 8]
)
def test_a_secret_outside_24_to_64_bytes_is_refused(wrong):
    with pytest.raises(ValueError, match="whsec_"):
        check_secret(wrong)


def test_a_new_secret_is_valid():
    assert check_secret(new_secret()) != check_secret(new_secret())
