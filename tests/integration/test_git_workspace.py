"""A job that works in a repository: the whole way, with the real CLI, a server with TLS, and a scripted model."""

import threading
from contextlib import suppress

import psutil
import pytest

from tests.support.git_server import PASSWORD, USER, GitServer, commit, git
from tests.support.parameters import first_of
from tests.support.scripted_model import Text, ToolUse
from tests.support.waiting import until

pytestmark = [pytest.mark.once, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with GitServer(tmp_path_factory.mktemp("served")) as server:
        yield server


@pytest.fixture(scope="module")
def variables(server):
    return {
        "CLAUDE_TOOLS": "Bash,Edit",
        "RUN_SANDBOX": "required",
        "RUN_ALLOWED_NETWORKS": "127.0.0.0/8",
        "NODE_EXTRA_CA_CERTS": str(server.write_authority(server.folder / "ca.pem")),
        "MAX_WORKSPACE_BYTES": str(32 << 20),
    }


@pytest.fixture
def repository(server, tmp_path, request):
    """Serve a repository of this test; return its name."""
    source = tmp_path / "source"
    commit(source, {"a.txt": "one\n", "hooked/x": "x"})
    commit(source, {"a.txt": "two\n", "b.txt": "b\n"})
    name = f"r{abs(hash(request.node.name))}"
    server.publish(source, name)
    server.requests.clear()
    return name


@pytest.fixture
def credential(gateway):
    body = {"kind": "git", "value": f"{USER}:{PASSWORD}", "hosts": ["127.0.0.1"]}
    gateway.client.put("/api/credentials/robot", json=body).raise_for_status()
    return "robot"


@pytest.fixture
def work(gateway, model, server, repository, credential):
    """Return a function that runs commands as a tool in the repository; it returns the job and what they printed."""

    def work(*commands, workspace=None, **fields):
        seen = len(model.requests)

        def reply(body):
            done = len(_results(body))
            return ToolUse("Bash", {"command": commands[done]}) if done < len(commands) else Text("done")

        model.reply = reply
        wanted = {"url": server.url(repository), "credential": credential, **(workspace or {})}
        job = gateway.ask("work", tools=["Bash"], workspace={"git": wanted}, **fields)
        printed = [result for one in model.requests[seen:] for result in _results(one.body)]
        return job, "\n".join(printed)

    return work


def _results(body):
    blocks = [
        block for message in body["messages"] if isinstance(message["content"], list) for block in message["content"]
    ]
    return [str(block["content"]) for block in blocks if block["type"] == "tool_result"]


def test_a_run_changes_a_repository_and_the_patch_comes_back(gateway, server, repository, work, tmp_path):
    command = "pwd; git log --oneline; git status --short; cat a.txt; echo three > a.txt; rm b.txt; echo n > new; env"
    job, printed = work(command)
    assert job["state"] == "completed", job
    assert "two" in printed
    assert "a commit" in printed
    assert PASSWORD not in printed
    result = job["result"]
    assert (result["patch"]["files"], result["patch"]["insertions"], result["patch"]["deletions"]) == (3, 2, 2)
    assert result["commit"] is None
    patch = gateway.client.get(f"/api/query/{job['jobId']}/patch").content
    fresh = tmp_path / "fresh"
    git("clone", "-q", str(server.folder / f"{repository}.git"), str(fresh), cwd=tmp_path)
    git("apply", "-", cwd=fresh, stdin=patch)
    assert git("status", "--short", cwd=fresh).splitlines() == ["M a.txt", " D b.txt", "?? new"]


def test_the_commits_of_a_run_are_pushed_to_one_branch(server, repository, work):
    job, printed = work(
        "echo x > a.txt; git commit -qam mine && git rev-parse HEAD", workspace={"push": {"branch": "claude/fix"}}
    )
    assert job["state"] == "completed", (job, printed)
    there = server.folder / f"{repository}.git"
    assert job["result"]["commit"] == git("rev-parse", "claude/fix", cwd=there)
    assert job["result"]["commit"] in printed
    assert git("log", "-1", "--format=%an %s", "claude/fix", cwd=there) == "Claude mine"


@pytest.mark.slow
def test_a_run_can_fetch_its_repository_and_push_nothing(server, repository, work):
    other = server.folder / "other.git"
    if not other.exists():
        git("clone", "-q", "--bare", str(server.folder / f"{repository}.git"), str(other), cwd=server.folder)
    place = f"http://127.0.0.1:3128/git/{server.place}"
    job, printed = work(
        "git fetch -q --unshallow origin && git log --oneline | wc -l; git remote -v",
        "echo y > a.txt; git commit -qam y; git push origin HEAD:refs/heads/evil; echo pushed $?",
        f"git ls-remote {place}/other.git; echo other $?; curl -sS {place}/{repository}.git/HEAD; cat .git/config",
        workspace={"push": {"branch": "allowed"}},
    )
    assert job["state"] == "completed", (job, printed)
    assert "2\n" in printed
    assert "pushed 128" in printed
    assert "other 128" in printed
    assert "Not a request for the repository" in printed
    assert PASSWORD not in printed
    there = server.folder / f"{repository}.git"
    assert git("branch", "--format=%(refname:short)", cwd=there).split() == ["allowed", "main"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("workspace", "words"),
    first_of(
        [
            ({"ref": "missing"}, "no branch, tag or commit 'missing'"),
            ({"credential": None}, "requires a credential"),
            ({"url": "https://127.0.0.1:1/a.git"}, "connection to 127.0.0.1 failed"),
            ({"url": "https://10.0.0.1/a.git", "credential": None}, "not public"),
            ({"url": "https://nowhere.invalid/a.git", "credential": None}, "does not resolve"),
        ]
    ),
)
def test_a_repository_that_cannot_be_had_fails_the_job(work, workspace, words):
    job, _ = work(workspace=workspace)
    assert (job["state"], job["error"]["code"], job["error"]["retryable"]) == ("failed", "workspace_failed", False)
    assert words in job["error"]["message"]


@pytest.mark.slow
@pytest.mark.long
def test_a_repository_above_the_bound_is_too_large(server, repository, work, tmp_path):
    commit(tmp_path / "source", {"zeros": bytes(48 << 20)})
    git("push", "-q", str(server.folder / f"{repository}.git"), "main", cwd=tmp_path / "source")
    job, _ = work()
    assert (job["state"], job["error"]["code"]) == ("failed", "workspace_too_large"), job
    assert "MAX_WORKSPACE_BYTES" in job["error"]["message"]


@pytest.fixture
def hanging(server):
    """Let the server answer nothing until the test ends; return an event that is set at its first request."""
    reached, over = threading.Event(), threading.Event()

    def answer(_):
        reached.set()
        over.wait(60)
        return 500, {}

    server.answer = answer
    yield reached
    server.answer = lambda _: None
    over.set()


def submitted(gateway, server, repository, **fields):
    workspace = {"git": {"url": server.url(repository), "credential": "robot"}}
    return gateway.submit("work", tools=["Bash"], workspace=workspace, **fields)


@pytest.mark.slow
@pytest.mark.long
def test_a_clone_counts_in_the_time_of_its_job(gateway, server, repository, credential, hanging):
    """Catches a job that waits for a git server for longer than its client wants, and one that does not say so."""
    job_id = submitted(gateway, server, repository, timeoutMs=4000)
    assert hanging.wait(20)
    waiting = gateway.until(lambda: gateway.client.get(f"/api/query/{job_id}").json(), lambda job: job["waitingFor"])
    assert (waiting["waitingFor"]["code"], waiting["waitingFor"]["retryAt"]) == ("cloning", None)
    job = gateway.finished(job_id)
    assert (job["state"], job["error"]["code"], job["waitingFor"]) == ("failed", "timeout", None)


@pytest.mark.slow
def test_a_clone_ends_with_its_job(gateway, server, repository, credential, hanging):
    job_id = submitted(gateway, server, repository)
    assert hanging.wait(20)
    assert gateway.client.delete(f"/api/query/{job_id}").status_code == 200
    until(lambda: not names_of_processes(gateway) & {"git", "git-remote-http"})


def names_of_processes(gateway):
    names = set()
    for one in gateway.processes():
        with suppress(psutil.Error):  # it has ended
            names.add(one.name())
    return names


@pytest.mark.slow
def test_a_credential_for_another_host_stays_with_the_worker(gateway, server, repository):
    body = {"kind": "git", "value": f"{USER}:{PASSWORD}", "hosts": ["git.example.com"]}
    gateway.client.put("/api/credentials/elsewhere", json=body).raise_for_status()
    workspace = {"git": {"url": server.url(repository), "credential": "elsewhere"}}
    job = gateway.ask("work", tools=["Bash"], workspace=workspace)
    assert (job["state"], job["error"]["code"]) == ("failed", "credential_unavailable")
    assert server.requests == []


@pytest.mark.slow
@pytest.mark.long
def test_a_credential_that_is_deleted_after_the_submission_is_not_used(gateway, server, repository, credential):
    slots = [submitted(gateway, server, repository) for _ in range(4)]
    gateway.client.delete("/api/credentials/robot").raise_for_status()
    ended = [gateway.finished(job_id) for job_id in slots]
    assert ended[-1]["error"] is None or ended[-1]["error"]["code"] == "credential_unavailable"
    assert submitted_code(gateway, server, repository) == 422


def submitted_code(gateway, server, repository):
    body = {"query": "q", "workspace": {"git": {"url": server.url(repository), "credential": "robot"}}}
    return gateway.client.post("/api/query", json=body).status_code


@pytest.mark.slow
def test_the_next_turn_finds_the_repository_by_its_own_url(server, repository, work, gateway, model):
    """Catches a repository that keeps the way to the relay of the turn before, which leads nowhere."""
    look = "git config --get-regexp '^url[.]' || echo none; git config remote.origin.url"
    job, printed = work(f"git fetch -q && {look}", session=True)
    assert job["state"] == "completed", printed
    assert "insteadof" in printed
    model.script(ToolUse("Bash", {"command": look}), Text("done"))
    again = gateway.ask("again", tools=["Bash"], sessionId=job["result"]["sessionId"])
    assert again["state"] == "completed"
    [*_, result] = _results(model.requests[-1].body)
    assert result == f"none\n{server.url(repository)}"


@pytest.mark.slow
def test_files_of_a_job_are_placed_in_the_clone(gateway, server, repository, work, tmp_path):
    """Catches a file that is written through a link of the repository, or that becomes part of the patch."""
    (tmp_path / "source" / "link").symlink_to("/etc")
    commit(tmp_path / "source", {})
    git("push", "-q", str(server.folder / f"{repository}.git"), "main", cwd=tmp_path / "source")
    files = [{"path": "a.txt", "text": "given\n"}, {"path": "in/new", "text": "new\n"}]
    job, printed = work("cat a.txt in/new; echo more >> in/new; git status --short", files=files)
    assert job["state"] == "completed", job
    assert "given" in printed
    assert job["result"]["patch"]["files"] == 1
    for path in ("link/x", "a.txt/x", "hooked"):
        job, _ = work(files=[{"path": path, "text": "x"}])
        assert (job["state"], job["error"]["code"]) == ("failed", "workspace_failed"), path


def test_no_line_of_the_log_has_a_secret(gateway):
    text = "".join(gateway.log)
    assert PASSWORD not in text
    assert "Traceback" not in text
