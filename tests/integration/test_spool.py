"""Results on disk: settled when their own Redis is back, by any worker."""

import asyncio
import errno
import json
import os
import socket
import stat

import pytest
import redis

from functions.worker.jobs.rescuer import Rescuer
from functions.worker.jobs.spool import Spool
from local.embedded_redis import find_server
from shared.configuration.settings import SettingsError, WorkerSettings
from shared.store import keys
from shared.store.callers.spending import Spend
from shared.store.jobs import claims, maintenance, records, settlements
from shared.store.jobs.outputs import Outputs
from shared.store.redis.client import async_client
from tests.support.redis_server import RedisServer
from tests.support.slot import RESULT, pop_one
from tests.support.waiting import until_async


async def finish(connect, url):
    """Run a job, and return its settlement."""
    client = await connect(url)
    await client.post("/api/query", json={"query": "x"})
    handle = async_client(url)
    job = await claims.take(handle, pop_one(url), "slot")
    assert job is not None
    return claims.finish(job.claim, "completed", {"result": RESULT}, keep_for=60)


@pytest.fixture
async def finished(connect, server):
    return await finish(connect, server.url)


@pytest.fixture
def other(tmp_path):
    """The Redis of another gateway."""
    (tmp_path / "other").mkdir()
    with RedisServer(find_server(), tmp_path / "other") as server:
        yield server


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "spool"


@pytest.fixture
def connection(server):
    with redis.Redis(port=server.port) as connection:
        yield connection


async def state(server, settlement):
    job = await records.read(async_client(server.url), settlement.job_id, keys.ANONYMOUS)
    assert job is not None
    return job.record["state"]


async def spooled(spool, settlement):
    """Stop a slot while Redis is down, so that it leaves a settlement on disk."""
    stop = asyncio.Event()
    stop.set()
    assert await spool.settle(redis.asyncio.Redis(port=1), settlement, stop) == "spooled"


async def on_disk(folder):
    await until_async(lambda: list(folder.glob("*.json")))


def content(folder):
    return sorted(path.name for path in folder.iterdir())


def logged(caplog, event):
    return [record.fields for record in caplog.records if record.getMessage() == event]


async def test_a_result_waits_on_disk_until_redis_is_back(finished, server, folder):
    spool = Spool(folder)
    server.kill()
    writing = asyncio.create_task(spool.settle(async_client(server.url), finished, asyncio.Event()))
    await on_disk(folder)
    assert not writing.done()
    server.start()
    assert await writing == "settled"
    assert await state(server, finished) == "completed"
    assert content(folder) == []


async def test_a_stopping_worker_leaves_its_spool_to_the_next(finished, server, folder, connection):
    await spooled(Spool(folder), finished)
    Spool(folder).write_all(connection)
    assert await state(server, finished) == "completed"
    assert content(folder) == []


async def test_a_result_goes_only_to_its_own_redis(connect, finished, server, other, folder, caplog):
    theirs = await finish(connect, other.url)
    for settlement in (finished, theirs):
        await spooled(Spool(folder), settlement)
    spool = Spool(folder)
    with redis.Redis(port=other.port) as connection:
        for _ in range(3):
            spool.write_all(connection)
    assert await state(other, theirs) == "completed"
    assert content(folder) == [f"{finished.deployment}.{finished.job_id}-1.json"]
    assert len(logged(caplog, "spooled_result_of_another_deployment")) == 1
    with redis.Redis(port=server.port) as connection:
        Spool(folder).write_all(connection)
    assert await state(server, finished) == "completed"
    assert content(folder) == []


async def test_a_redis_on_another_port_is_the_same_deployment(connect, other, folder):
    settlement = await finish(connect, other.url)
    await spooled(Spool(folder), settlement)
    other.kill()
    moved = RedisServer(other._program, other._folder)
    with moved, redis.Redis(port=moved.port) as connection:
        Spool(folder).write_all(connection)
        assert await state(moved, settlement) == "completed"


@pytest.mark.parametrize("how", ["flushed", "replaced"])
async def test_a_redis_that_lost_its_data_does_not_take_the_results(finished, store, folder, how):
    store.flushall()
    if how == "replaced":
        store.set(keys.DEPLOYMENT, "another")
    spool = Spool(folder)
    # The slot does not wait for a lost store.
    assert (
        await spool.settle(
            async_client(f"redis://127.0.0.1:{store.get_connection_kwargs()['port']}/0"), finished, asyncio.Event()
        )
        == "spooled"
    )
    spool.write_all(store)
    assert len(content(folder)) == 1
    assert not store.exists(f"cg:spent:{finished.job_id}-1")


async def test_a_result_of_a_claim_given_to_another_slot_is_dropped(finished, server, store, folder):
    await spooled(Spool(folder), finished)
    store.hset(f"cg:job:{finished.job_id}", "n", 2)
    Spool(folder).write_all(store)
    assert content(folder) == []


async def test_a_copy_of_a_redis_that_lacks_the_job_deletes_nothing(finished, store, folder):
    await spooled(Spool(folder), finished)
    store.flushall()
    store.set(keys.DEPLOYMENT, finished.deployment)
    Spool(folder).write_all(store)
    [kept] = (folder / "refused").iterdir()
    assert settlements.parse(kept.read_text()).arguments() == finished.arguments()


REFUSED = {
    "arguments": '{"script":"finish","args":[null]}',
    "empty": "",
    "cut off": "{",
    "list": "[]",
    "nested": "[" * 100_000,
    "another script": '{"version": 2, "script": "eval"}',
    "another version": '{"version": 3, "script": "spent"}',
    "a huge integer": '{"version": ' + "9" * 5000 + "}",
    "no text": "\udcff\udcfe",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
async def test_a_file_that_is_no_settlement_is_moved_aside_once(finished, store, folder, caplog, text):
    spool = Spool(folder)
    await spooled(spool, finished)
    (folder / "0.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    for _ in range(3):
        spool.write_all(store)
    assert content(folder) == ["refused"]
    assert [path.read_bytes() for path in (folder / "refused").iterdir()] == [text.encode("utf-8", "surrogateescape")]
    assert [line["file"] for line in logged(caplog, "spooled_result_refused")] == ["0.json"]
    assert await claims.settle(async_client(f"redis://127.0.0.1:{store.get_connection_kwargs()['port']}/0"), finished)


FORGED = {
    "without a signature": lambda fields, _: {**fields, "signature": ""},
    "of an earlier version": lambda fields, _: {
        "version": 2, **{name: fields[name] for name in fields if name not in {"version", "signature"}}
    },
    "with another answer": lambda fields, _: {**fields, "body": json.dumps({**RESULT, "response": "forged"})},
    "with the signature of another job": lambda fields, theirs: {**fields, "signature": theirs["signature"]},
    "with a key of its own": lambda fields, _: {**fields, "key": "0" * 64},
}  # fmt: skip


@pytest.mark.parametrize("how", FORGED)
async def test_a_forged_result_is_moved_aside(connect, finished, server, store, folder, how):
    theirs = json.loads((await finish(connect, server.url)).to_json())
    forged = FORGED[how](json.loads(finished.to_json()), theirs)
    spool = Spool(folder)
    (folder / f"{finished.deployment}.{finished.job_id}-1.json").write_text(json.dumps(forged))
    spool.write_all(store)
    assert content(folder) == ["refused"]
    assert await state(server, finished) == "active"


BROKEN = {
    "body": "not JSON", "spend": '[{"model": 1}]', "absent": "{}", "deployment": "", "number": "1", "job_id": None,
    "state": "over", "keep_ms": -1, "more": 1,
}  # fmt: skip


@pytest.mark.parametrize("field", BROKEN)
async def test_a_wrong_field_changes_nothing_in_redis(finished, server, store, folder, field):
    Spool(folder)
    wrong = {**json.loads(finished.to_json()), field: BROKEN[field]}
    (folder / f"{finished.deployment}.{finished.job_id}-1.json").write_text(json.dumps(wrong))
    Spool(folder).write_all(store)
    assert content(folder) == ["refused"]
    assert await state(server, finished) == "active"


async def test_a_file_without_a_field_is_moved_aside(finished, store, folder):
    fields = json.loads(finished.to_json())
    spool = Spool(folder)
    for number, name in enumerate(fields):
        (folder / f"{number}.json").write_text(json.dumps({key: fields[key] for key in fields if key != name}))
    spool.write_all(store)
    assert content(folder) == ["refused"]


async def test_a_settlement_refused_by_its_script_is_moved_aside(finished, server, store, folder, caplog):
    await spooled(Spool(folder), finished)
    store.delete("cg:active")
    store.set("cg:active", "of a type that the script does not expect")
    Spool(folder).write_all(store)
    assert content(folder) == ["refused"]
    assert len(logged(caplog, "spooled_result_refused")) == 1
    # The slot does not wait for it forever.
    assert await Spool(folder).settle(async_client(server.url), finished, asyncio.Event()) == "refused"
    assert len(list((folder / "refused").iterdir())) == 2


STATES = {
    "read-only": (["replicaof", "127.0.0.1", "1"], ["replicaof", "no", "one"]),
    "too few replicas": (
        ["config", "set", "min-replicas-to-write", "1"],
        ["config", "set", "min-replicas-to-write", "0"],
    ),
    "full": (["config", "set", "maxmemory", "1"], ["config", "set", "maxmemory", "0"]),
    "no permission": (["acl", "setuser", "default", "-evalsha"], ["acl", "setuser", "default", "+evalsha"]),
}


@pytest.mark.parametrize("name", STATES)
async def test_a_redis_that_refuses_writes_gets_the_result_later(finished, server, store, folder, name):
    before, after = STATES[name]
    spool = Spool(folder)
    await spooled(spool, finished)
    store.execute_command(*before)
    try:
        try:
            spool.write_all(store)
        except redis.RedisError:
            assert len(content(folder)) == 1
    finally:
        store.execute_command(*after)
    spool.write_all(store)
    assert content(folder) == []
    assert await state(server, finished) == "completed"


def fifo(path, _):
    os.mkfifo(path)


def link(path, elsewhere):
    path.symlink_to(elsewhere)


def dangling(path, _):
    path.symlink_to("nowhere")


def device(path, _):
    path.symlink_to("/dev/zero")


def second_name(path, elsewhere):
    path.hardlink_to(elsewhere)


def directory(path, _):
    (path / "x").mkdir(parents=True)


def unix_socket(path, _):
    # Through a shorter path: a socket's path has 108 bytes at most.
    parent = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"/proc/self/fd/{parent}/{path.name}")
    os.close(parent)


def huge(path, _):
    path.touch()
    os.truncate(path, 1 << 40)


def unreadable(path, _):
    path.write_text("{}")
    path.chmod(0)


def of_another_user(path, elsewhere):
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    path.write_bytes(elsewhere.read_bytes())
    os.chown(path, 12345, -1)


NOT_OURS = [
    fifo, link, dangling, device, second_name, directory, unix_socket, huge, unreadable, of_another_user,
]  # fmt: skip


@pytest.mark.timeout(30)
@pytest.mark.parametrize("named", ["as ours", "otherwise"])
@pytest.mark.parametrize("make", NOT_OURS)
async def test_a_foreign_file_is_moved_aside_unread(finished, server, store, folder, tmp_path, caplog, make, named):
    spool = Spool(folder)
    await spooled(spool, finished)
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text(finished.to_json())
    before = elsewhere.read_bytes()
    make(folder / (f"{finished.deployment}.0-1.json" if named == "as ours" else "0.json"), elsewhere)
    for again in (spool, spool, Spool(folder)):
        again.write_all(store)
    assert content(folder) == ["refused"]
    assert len(list((folder / "refused").iterdir())) == 1
    assert len(logged(caplog, "spooled_result_refused")) == 1
    assert elsewhere.read_bytes() == before
    assert await state(server, finished) == "completed"


async def test_many_orphaned_files_are_moved_in_batches(finished, server, store, folder):
    spool = Spool(folder)
    for number in range(250):
        (folder / f"{number}.json").touch()
    await spooled(spool, finished)
    spool.write_all(store)
    assert await state(server, finished) == "completed"
    assert len(content(folder)) == 151
    spool.write_all(store)
    spool.write_all(store)
    assert content(folder) == ["refused"]


async def test_a_read_only_disk_does_not_stop_the_worker(finished, server, store, folder, monkeypatch, caplog):
    caplog.set_level("INFO")
    spool = Spool(folder)
    await spooled(spool, finished)
    (folder / "0.json").touch()

    def read_only(*_args, **_options):
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        for change in ("unlink", "rename", "mkdir"):
            patch.setattr(os, change, read_only)
        for _ in range(3):
            spool.write_all(store)
    assert len(content(folder)) == 2
    assert await state(server, finished) == "completed"
    assert len(logged(caplog, "spooled_result_refused")) == 1
    assert len(logged(caplog, "spooled_result_written")) == 1
    # After a restart it is settled again, which changes nothing.
    Spool(folder).write_all(store)
    assert content(folder) == ["refused"]


async def test_a_blocked_folder_for_refused_files_does_not_stop_the_worker(
    finished, server, store, folder, tmp_path, caplog
):
    spool = Spool(folder)
    await spooled(spool, finished)
    (tmp_path / "elsewhere").mkdir()
    (folder / "refused").symlink_to(tmp_path / "elsewhere")
    (folder / "0.json").touch()
    for _ in range(3):
        spool.write_all(store)
    assert await state(server, finished) == "completed"
    assert content(folder) == ["0.json", "refused"]
    assert content(tmp_path / "elsewhere") == []
    assert len(logged(caplog, "spooled_result_refused")) == 1


async def test_a_full_disk_keeps_the_result_in_memory(finished, server, folder, monkeypatch, caplog):
    full = monkeypatch.context()
    spool = Spool(folder)
    server.kill()
    with full as patch:

        def no_space(*_):
            raise OSError(28, "No space left on device")

        patch.setattr(os, "fsync", no_space)
        writing = asyncio.create_task(spool.settle(async_client(server.url), finished, asyncio.Event()))
        await until_async(lambda: logged(caplog, "result_not_on_disk"))
        assert content(folder) == []
        server.start()
        assert await writing == "settled"
    assert await state(server, finished) == "completed"


async def test_losing_both_redis_and_disk_is_logged(finished, folder, caplog):
    spool, stop = Spool(folder), asyncio.Event()
    folder.rmdir()
    folder.touch()
    stop.set()
    assert await spool.settle(redis.asyncio.Redis(port=1), finished, stop) == "lost"
    assert logged(caplog, "settlement_lost") == [{"job_id": finished.job_id}]


async def test_a_removed_directory_is_created_again(finished, folder, store):
    spool = Spool(folder)
    folder.rmdir()
    await spooled(spool, finished)
    spool.write_all(store)
    assert content(folder) == []


async def test_a_half_written_file_of_a_crash_is_removed(folder, store):
    spool = Spool(folder)
    for name in (".spool-old", ".spool-new"):
        (folder / name).touch()
    os.utime(folder / ".spool-old", (0, 0))
    spool.write_all(store)
    assert content(folder) == [".spool-new"]


@pytest.mark.parametrize("wrong", ["spool", "cancel_revoked", "forget_expired", "queue_next_turns"])
def test_a_refused_step_does_not_stop_the_others(store, folder, monkeypatch, caplog, wrong):
    done = []

    def step(name):
        def run(*_, **__):
            if name == wrong:
                raise redis.ResponseError("WRONGTYPE")
            done.append(name)
            return []

        return run

    spool = Spool(folder)
    monkeypatch.setattr(spool, "write_all", step("spool"))
    for name in ("cancel_revoked", "forget_expired", "queue_next_turns", "rescue"):
        monkeypatch.setattr(maintenance, name, step(name))
    rescuer = Rescuer(store, WorkerSettings(), spool)
    rescuer._in_contact_since -= 60
    for _ in range(3):
        done.clear()
        rescuer.run_once()
    # A job whose result may be on disk is not given to another slot.
    steps = {"spool", "cancel_revoked", "forget_expired", "queue_next_turns", "rescue"}
    expected = steps - {wrong} - ({"rescue"} if wrong == "spool" else set())
    assert set(done) == expected
    assert [line["step"] for line in logged(caplog, "maintenance_refused")] == [wrong]


def test_the_spool_is_readable_by_its_owner_only(folder):
    Spool(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_directory_accessible_to_others_is_refused(tmp_path):
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "private").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "private")
    (tmp_path / "dangling").symlink_to(tmp_path / "none")
    for name in ("open", "file", "fifo", "link", "dangling"):
        with pytest.raises(SettingsError, match="SPOOL_DIR"):
            Spool(tmp_path / name)
    assert not (tmp_path / "none").exists()


def test_a_spool_file_has_named_fields():
    claim = claims.Claim("job", 3, "here")
    written = json.loads(claims.retry(claim, 5, "overloaded", claims.Upstream("limited", wait=7)).to_json())
    assert written == {
        "version": 5, "script": "retry", "deployment": "here", "job_id": "job", "number": 3, "delay_ms": 5,
        "upstream": "limited", "code": "overloaded", "wait_ms": 7, "spend": "", "seen": "", "signature": "",
    }  # fmt: skip


def test_a_file_of_the_version_before_keeps_its_signature():
    """Catches a result on disk that an upgrade refuses: version 3 has no outputs."""
    claim = claims.Claim("job", 3, "here", "key")
    before = json.loads(claims.finish(claim, "completed", {"result": {}}, keep_for=5).to_json())
    assert before.pop("outputs") == ""
    read = settlements.parse(json.dumps(before | {"version": 3}))
    assert read.is_signed_with("key")
    forged = settlements.parse(json.dumps(before | {"version": 3, "outputs": Outputs(commit="x").model_dump_json()}))
    assert not forged.is_signed_with("key")


async def test_a_file_of_a_newer_version_stays_for_its_worker(finished, store, folder, caplog):
    spool = Spool(folder)
    await spooled(spool, finished)
    [path] = folder.glob("*.json")
    newer = json.loads(path.read_text()) | {"version": settlements.VERSION + 1, "more": 1}
    path.write_text(json.dumps(newer))
    for _ in range(3):
        spool.write_all(store)
    assert content(folder) == [path.name]
    assert len(logged(caplog, "spooled_result_of_a_newer_version")) == 1


def test_each_settlement_is_read_as_it_was_written():
    claim = claims.Claim("job", 3, "here")
    spend = [Spend("m", 0.5, input=1)]
    for settlement in (
        claims.finish(
            claim,
            "completed",
            {"result": {"x": "\ud800é"}},
            keep_for=9,
            spend=spend,
            absent=["s"],
            saves_usd=1.5,
            session_id="s",
            keep_session_for=5,
        ),
        claims.finish(claim, "failed", {"error": {"code": "c"}}, keep_for=9),
        claims.retry(claim, 5, "overloaded", claims.Upstream(), [Spend("m", None, output=1)]),
        claims.hand_back(claim, spend),
        claims.spent(claim, "caller", spend),
    ):
        assert settlements.parse(settlement.to_json()) == settlement
