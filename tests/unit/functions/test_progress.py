import pytest

from functions.worker.jobs.progress import Progress
from shared.store.jobs.claims import Claim


def test_progress_starts_at_ten_grows_and_stays_below_ninety():
    progress = Progress()
    seen = [progress.percent]
    for _ in range(200):
        progress.add("x" * 500)
        seen.append(progress.percent)
    assert seen[0] == 10
    assert seen == sorted(seen)
    assert 80 < seen[-1] <= 90


@pytest.mark.parametrize("text", ["", "job", "job-", "-1", "job-x", "job-1.5", "job--"])
def test_what_is_not_a_claim_is_refused(text):
    with pytest.raises(ValueError, match="claim"):
        Claim.parse(text)


def test_a_claim_is_read_as_it_is_written():
    claim = Claim("019a9c3e-5a70-7b02-8b1d-6c1f0e7a9d22", 7)
    assert Claim.parse(str(claim)) == claim
