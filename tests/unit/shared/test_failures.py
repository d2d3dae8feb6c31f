"""Classification and logging of failures of Redis."""

import logging
import socket
import time

import pytest
import redis
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.store.redis import failures

URL = "rediss://user:s3cret-word@redis.example:6380/2?password=also-s3cret&ssl_cert_reqs=none"


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch):
    monkeypatch.setattr(failures, "_logged", {})


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (redis.ResponseError("MISCONF Errors writing to the AOF file: No space left on device"), "MISCONF"),
        (redis.OutOfMemoryError("command not allowed", status_code="OOM"), "OOM"),
        (redis.ResponseError("Command # 1 (SET cg:x) of pipeline caused error: MISCONF Errors writing"), "MISCONF"),
        (redis.exceptions.ExecAbortError("Transaction discarded because of: OOM command not allowed"), "OOM"),
        (redis.ResponseError("ERR Error running script (call to f_1): @user_script:1: -OOM command not"), "OOM"),
        (redis.ResponseError("ERR The user executing the script can't run this command or subcommand"), "NOPERM"),
        (redis.exceptions.NoPermissionError("User api has no permissions", status_code="NOPERM"), "NOPERM"),
        (redis.AuthenticationError("invalid password"), "WRONGPASS"),
        (RedisConnectionError("max number of clients reached", status_code="ERR"), "MAXCLIENTS"),
        (RedisConnectionError("No connection available."), "POOL"),
        (redis.ResponseError("ERR unknown command 'ZPOPMIN', with args beginning with: "), "UNSUPPORTED"),
        (caused(RedisConnectionError("Error -2"), socket.gaierror(-2, "Name or service not known")), "NAME"),
        (caused(RedisConnectionError("Error 111"), ConnectionRefusedError(111, "refused")), "REFUSED"),
        (caused(RedisConnectionError("Error 2"), FileNotFoundError(2, "No such file or directory")), "NO_FILE"),
        (caused(RedisConnectionError("Error 13"), PermissionError(13, "Permission denied")), "NO_ACCESS"),
        (redis.TimeoutError("Timeout reading from socket"), "TIMEOUT"),
        (TimeoutError(), "TIMEOUT"),
        (RedisConnectionError("Connection closed by server."), "BROKEN"),
        (ConnectionResetError(), "BROKEN"),
    ],
    ids=str,
)
def test_each_failure_is_known_by_its_code(error, code):
    failure = failures.classify(error)
    assert failure is not None
    assert failure.code == code


@pytest.mark.parametrize(
    "error",
    [
        redis.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
        redis.ResponseError("ERR user_script:3: attempt to index a nil value script: 1, on @user_script:3."),
        redis.ResponseError("ERR wrong number of arguments for 'get' command"),
        redis.ResponseError("WRONGTYPE value READONLY is a word in it"),
        redis.DataError("Invalid input of type"),
        ValueError("x"),
    ],
    ids=str,
)
def test_our_own_error_is_no_failure_of_the_store(error):
    assert failures.classify(error) is None


STATES = [
    "MISCONF x", "BUSY x", "NOREPLICAS x", "UNKILLABLE x", "NOSCRIPT x", "MASTERDOWN x", "TRYAGAIN x", "ASK 1 host:1",
    "ERR Error running script: @user_script: 3: -READONLY x",
    "ERR Error running script: Script killed by user with SCRIPT KILL.",
]  # fmt: skip


@pytest.mark.parametrize("text", STATES)
def test_a_reply_about_the_state_of_redis_is_no_refusal(text):
    assert not failures.is_refusal(redis.ResponseError(text))


def test_a_command_that_redis_never_accepts_is_a_refusal():
    assert failures.is_refusal(redis.ResponseError("ERR user_script:3: attempt to compare nil with number"))
    assert failures.is_refusal(redis.DataError("Invalid input of type"))
    assert not failures.is_refusal(RedisConnectionError("Connection closed by server."))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (URL, "rediss://redis.example:6380/2"),
        ("redis://:p@[::1]:6379/0", "redis://[::1]:6379/0"),
        ("unix:///run/redis.sock?password=s3cret", "unix:///run/redis.sock"),
        ("redis://:s3c#ret@host:1/0", "unknown"),
        ("redis://:12/s3cret@host:1/0", "redis://localhost:12"),
        ("redis://host:99999999/0", "unknown"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url, shown):
    found = failures.address(url)
    assert found == shown
    assert "s3c" not in found


def test_a_failure_is_logged_once_and_then_each_minute(caplog, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for _ in range(100):
        failures.report(URL, redis.TimeoutError("x"))
        failures.report(URL, redis.OutOfMemoryError("x", status_code="OOM"))
    assert caplog.messages == ["redis_failed"] * 2
    now += 61
    failures.report(URL, redis.TimeoutError("x"))
    assert [record.fields.get("times_since_last_line") for record in caplog.records] == [None, None, 99]
    fields = caplog.records[1].fields
    assert (fields["redis"], fields["code"]) == ("rediss://redis.example:6380/2", "OOM")
    assert "maxmemory" in fields["advice"]
    assert "s3cret" not in str([record.__dict__ for record in caplog.records])


def test_one_process_of_a_worker_logs_a_failure_for_all(caplog):
    failures.report(URL, redis.TimeoutError("x"), beside_pool=True)
    assert not caplog.messages
    failures.report(URL, redis.exceptions.NoPermissionError("x", status_code="NOPERM"), beside_pool=True)
    assert caplog.messages == ["redis_failed"]


def test_a_new_outage_after_a_recovery_is_logged_at_once(caplog):
    refused = caused(RedisConnectionError("Error 111"), ConnectionRefusedError(111, "refused"))
    failures.report(URL, refused)
    failures.report(URL, refused)
    failures.connected(URL)
    failures.report(URL, refused)
    assert caplog.messages == ["redis_failed"] * 2
    assert caplog.records[0].levelno == logging.ERROR
