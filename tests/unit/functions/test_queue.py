import json

import pytest
import redis
from rq.serializers import JSONSerializer

from functions.worker.pool.rq_adapter import FUNCTION, ClaimJob

CLAIM = "019a9c3e-5a70-7b02-8b1d-6c1f0e7a9d22-1"


def job(call: list[object], **more: str) -> tuple[ClaimJob, list[str]]:
    """Make an RQ job as its hash would, and a list of the claims that it runs."""
    ran: list[str] = []
    made = ClaimJob(CLAIM, connection=redis.Redis(), serializer=JSONSerializer)  # never connected
    made.restore(
        {b"data": json.dumps(call).encode(), b"status": b"queued", **{k.encode(): v.encode() for k, v in more.items()}}
    )
    made.run_claim = ran.append
    return made, ran


def test_a_claim_runs_under_its_own_id():
    made, ran = job([FUNCTION, None, [CLAIM], {}])
    made.perform()
    assert ran == [CLAIM]


@pytest.mark.parametrize(
    "call",
    [
        ["os.system", None, ["touch /tmp/owned"], {}],
        ["os.system", None, [CLAIM], {}],
        [FUNCTION, None, ["another-claim-1"], {}],
        [FUNCTION, None, [CLAIM, "more"], {}],
        [FUNCTION, None, [CLAIM], {"more": 1}],
    ],
)
def test_a_crafted_call_is_refused_and_nothing_runs(call):
    made, ran = job(call)
    with pytest.raises(PermissionError):
        made.perform()
    assert ran == []


def test_a_crafted_callback_or_webhook_is_not_even_read():
    made, _ = job(
        [FUNCTION, None, [CLAIM], {}],
        success_callback_name="os.system",
        failure_callback_name="os.system",
        webhooks='[{"url": "http://169.254.169.254/"}]',
    )
    assert made._success_callback_name is None
    assert made._failure_callback_name is None
    assert not made.webhooks
