"""Names of workers and slots."""

import pytest

from shared.store.fleet import slot_names


def test_two_starts_with_one_host_and_pid_have_different_names():
    assert slot_names.new_worker() != slot_names.new_worker()


@pytest.mark.parametrize("host", ["web", "web-2", "ip-10-0-0-7.ec2.internal", "a--b"])
def test_the_host_is_read_from_any_slot_name(monkeypatch, host):
    monkeypatch.setattr("socket.gethostname", lambda: host)
    slot = slot_names.slot_of(slot_names.new_worker(), 12)
    assert slot_names.host_of(slot) == host
