"""The Redis users that the documents offer are enough for each part, and no more."""

import re

import pytest
import redis

from tests.support.deployment import Deployment
from tests.support.gateway import ROOT
from tests.support.scripted_model import Error

LINE = re.compile(r"^user (\w+) on >(\w+) (.*)$", re.MULTILINE)


@pytest.fixture
def users():
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    return {name: (password, rules) for name, password, rules in LINE.findall(text)}


@pytest.mark.slow
def test_api_and_worker_do_their_work_as_users_of_their_own(tmp_path, model, users):
    deployment = Deployment(tmp_path, model.url, QUEUE_CONCURRENCY="1")
    urls = {name: f"redis://{name}:{users[name][0]}@127.0.0.1:{deployment.redis.port}/0" for name in users}
    deployment.environment["REDIS_URL"] = urls["api"]
    with deployment, redis.Redis(port=deployment.redis.port) as admin:
        for name, (password, rules) in users.items():
            admin.execute_command("ACL", "SETUSER", name, "on", f">{password}", *rules.split())
        deployment.environment["REDIS_URL"] = urls["worker"]
        deployment.start_worker()
        deployment.wait_for_slots(1)
        assert deployment.ask("who am I")["state"] == "completed"
        model.script(Error(500, "api_error"))
        assert deployment.ask("again")["attempts"] == 2
        assert deployment.client.get("/api/query?limit=5").status_code == 200
        # CLIENT SETINFO, which the library sends and does without, has no rule that every server knows.
        # Nor has a login that came before the user was made.
        log = [entry for entry in admin.acl_log() if entry["object"] != "client" and entry["reason"] != "auth"]
        refused = {(entry["username"], entry["object"]) for entry in log}
        assert refused == set()
        for name, url in urls.items():
            with redis.Redis.from_url(url) as client:
                for command in (["FLUSHALL"], ["CONFIG", "GET", "*"], ["KEYS", "*"], ["SET", "other", "1"]):
                    with pytest.raises(redis.exceptions.NoPermissionError):
                        client.execute_command(*command)
                if name == "api":
                    with pytest.raises(redis.exceptions.NoPermissionError):
                        client.set("rq:job:x", "1")
