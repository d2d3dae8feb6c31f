"""Attacks on the git around a run: from within, and by what a run leaves behind."""

from pathlib import Path

import pytest

from tests.redteam.catalogue import GIT_ATTACKS, GIT_PLANTS
from tests.redteam.conftest import CANARY, THE_END, Target
from tests.support.gateway import Gateway
from tests.support.git_server import PASSWORD, USER, GitServer, commit, git
from tests.support.scripted_model import ScriptedModel

SECRET = f"{CANARY}-of-the-worker"
EVIL = "* filter=evil diff=evil merge=evil working-tree-encoding=UTF-8\n"


class GitTarget(Target):
    """A gateway with a git server; the credential may see every repository of that."""

    server: GitServer
    folder: Path

    def work(self, *scripts, push="allowed"):
        """Run scripts in the repository `x`, whose work is pushed; return the job."""
        workspace = {"url": self.server.url("x"), "credential": "robot", "push": {"branch": push}}
        return self.run(*scripts, workspace={"git": workspace})

    def patch(self, job):
        return self.client.get(f"/api/query/{job['jobId']}/patch").text

    def branches(self):
        names = git("branch", "--format=%(refname:short)", cwd=self.server.folder / "x.git").split()
        return {name: git("rev-parse", name, cwd=self.server.folder / "x.git") for name in names}


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    folder = tmp_path_factory.mktemp("redteam-git")
    (folder / ".env").write_text(f"ADMIN_PASSWORD={SECRET}\n")
    with GitServer(folder / "served") as server, ScriptedModel() as model:
        commit(folder / "source", {"a": "one\n", ".gitattributes": EVIL, ".gitmodules": _MODULES})
        for name in ("x", "other"):
            server.publish(folder / "source", name)
        variables = {
            "ANTHROPIC_API_KEY": f"sk-ant-{CANARY}", "ANTHROPIC_BASE_URL": model.url, "CLAUDE_TOOLS": "Bash",
            "RUN_SANDBOX": "required", "RUN_ALLOWED_NETWORKS": "127.0.0.0/8", "QUEUE_CONCURRENCY": "1",
            "NODE_EXTRA_CA_CERTS": str(server.write_authority(folder / "ca.pem")),
        }  # fmt: skip
        with Gateway(folder, **variables) as gateway:
            body = {"kind": "git", "value": f"{USER}:{PASSWORD}"}
            gateway.client.put("/api/credentials/robot", json=body).raise_for_status()
            found = GitTarget(gateway.client, model, {"TARGET_FOLDER": str(folder), "TARGET_RUNS": str(gateway.runs)})
            found.server, found.folder = server, folder
            yield found


_MODULES = '[submodule "evil"]\n\tpath = evil\n\turl = ext::sh -c touch% /tmp/evil\n\tupdate = !touch /tmp/evil\n'


@pytest.fixture(scope="module")
def output(target):
    job = target.work(*(attack.script for attack in GIT_ATTACKS))
    assert job["state"] == "completed", job
    return dict(zip([attack.name for attack in GIT_ATTACKS], job["output"].split(THE_END), strict=False))


@pytest.mark.parametrize("attack", GIT_ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_on_git_reaches_nothing(target, output, attack):
    assert "Traceback" not in output[attack.name]
    assert "BREACH" not in output[attack.name]
    assert CANARY not in output[attack.name]
    assert PASSWORD not in output[attack.name]


def test_the_server_receives_only_what_the_relay_writes(target, output):
    assert all(one.headers.get("authorization", "").startswith("Basic ") for one in target.server.requests)
    assert not [one for one in target.server.requests if "x-forged" in one.headers or "/other" in one.target]
    assert {one.headers["host"] for one in target.server.requests} == {target.server.place}


PLANT = """
planted = env["TARGET_FOLDER"] + "/planted"
program = f"sh -c 'touch {planted} /work/planted /store/planted; env; cat; echo planted'"
git = lambda *arguments: subprocess.run(["git", *arguments], check=True)
for name in ("core.fsmonitor", "diff.external", "diff.evil.textconv", "diff.evil.command", "filter.evil.clean",
             "filter.evil.smudge", "filter.evil.process", "core.pager", "core.editor", "core.sshCommand", "gpg.program",
             "core.alternateRefsCommand", "uploadpack.packObjectsHook", "credential.helper", "merge.evil.driver",
             "core.gitProxy", "remote.origin.uploadpack", "sequence.editor"):
    git("config", name, program)
open("/work/a", "w").write("two\\n")
git("-c", "core.fsmonitor=false", "-c", "filter.evil.process=", "-c", "filter.evil.clean=", "-c", "diff.external=",
    "-c", "diff.evil.command=", "commit", "-qam", "mine")
git("config", "core.hooksPath", "/work/hooks")
for folder in ("/work/hooks", "/work/.git/hooks", "/work/.git/info"):
    os.makedirs(folder, exist_ok=True)
    for name in ("pre-push", "post-index-change", "reference-transaction", "pre-auto-gc", "post-checkout"):
        open(f"{folder}/{name}", "w").write(f"#!/bin/sh\\n{program}\\n")
        os.chmod(f"{folder}/{name}", 0o755)
open("/work/.git/info/attributes", "w").write("* diff=evil filter=evil\\n")
open("/work/a", "a").write("three\\n")
"""


def test_planted_programs_are_not_executed(target):
    """Catches a git that reads the settings of the run: a filter or a textconv would change the patch."""
    before = target.branches()
    job = target.work(PLANT)
    assert job["state"] == "completed", job
    assert "Traceback" not in job["output"]
    assert not (target.folder / "planted").exists()
    patch = target.patch(job)
    assert "+two\n+three\n" in patch
    assert "\n+planted\n" not in patch
    assert "sk-ant" not in patch
    after = target.branches()
    assert after.pop("allowed") == job["result"]["commit"]
    assert after == {name: where for name, where in before.items() if name != "allowed"}
    git("update-ref", "-d", "refs/heads/allowed", cwd=target.server.folder / "x.git")


def test_a_cloned_repository_executes_nothing(target):
    job = target.work("#!/bin/sh\nls -a /tmp /work /work/evil; git status --short; cat /work/a")
    assert job["state"] == "completed", job
    assert "touch" not in job["output"]
    assert "\\nevil" not in job["output"].replace("/evil", "")
    assert "one" in job["output"]


REPLACED = {
    "a file": "echo 'gitdir: {place}' > .git",
    "a link": "ln -s {place} .git",
    "a link to the store": "ln -s /store/git .git",
    "a bare word": "echo x > .git",
    "nothing": "true",
}


@pytest.mark.parametrize("kind", REPLACED)
def test_a_replaced_repository_leads_nowhere(target, kind):
    before = target.branches()
    command = REPLACED[kind].replace("{place}", "$TARGET_FOLDER/source/.git")
    job = target.work(f"#!/bin/sh\ncd /work; rm -rf .git; {command}; echo changed > a", push=f"replaced-{len(kind)}")
    assert job["state"] in {"completed", "failed"}, job
    # Without commits of the run, its changes are one commit on the clone.
    if job["state"] == "completed":
        there = target.server.folder / "x.git"
        assert git("rev-parse", f"{job['result']['commit']}~1", cwd=there) == before["main"]
        assert git("show", f"{job['result']['commit']}:a", cwd=there) == "changed"
    assert "+changed" in target.patch(job)


ELSEWHERE = """
objects = "/work/.git/objects"
os.makedirs(objects + "/info", exist_ok=True)
open(objects + "/info/alternates", "w").write(env["TARGET_FOLDER"] + "/source/.git/objects\\n/store/git/objects\\n")
os.symlink(env["TARGET_FOLDER"] + "/.env", "/work/secret")
os.symlink("/proc/1/environ", "/work/environ")
os.makedirs(objects + "/ab", exist_ok=True)
os.symlink(env["TARGET_FOLDER"] + "/.env", objects + "/ab/" + "c" * 38)
subprocess.run(["git", "add", "-A"])
subprocess.run(["git", "commit", "-qm", "links"])
os.rename("/work/.git/objects/pack", "/work/pack")
os.symlink("/work/pack", "/work/.git/objects/pack")
"""


def test_links_and_alternates_reach_no_file_of_the_worker(target):
    job = target.work(ELSEWHERE, push="links")
    assert job["state"] == "completed", job
    patch = target.patch(job)
    assert SECRET not in patch
    assert CANARY not in patch
    shown = git("show", "links", cwd=target.server.folder / "x.git")
    assert SECRET not in shown
    assert "new file mode 120000" in shown


PIPES = {
    "attributes": "mkfifo sub/.gitattributes",
    "ignore": "mkfifo sub/.gitignore",
    "modules": "rm .gitmodules; mkfifo .gitmodules",
    "head": "rm .git/HEAD; mkfifo .git/HEAD",
    "config": "rm .git/config; mkfifo .git/config",
}


@pytest.mark.parametrize("kind", PIPES)
def test_pipes_do_not_stop_a_slot(target, kind):
    job = target.work(f"#!/bin/sh\ncd /work; mkdir sub; {PIPES[kind]}; echo x > sub/x", push=f"pipes-{kind}")
    assert job["state"] in {"completed", "failed"}, job
    job = target.work("#!/bin/sh\ntrue")
    assert job["state"] == "completed", job


@pytest.mark.parametrize("kind", ["orphan", "force"])
def test_commits_of_another_history_are_not_pushed(target, kind):
    before = target.branches()
    script = "git checkout -q --orphan new" if kind == "orphan" else "git commit -q --amend -m amended"
    job = target.work(f"#!/bin/sh\ncd /work; echo x > b; git add b; {script}; git commit -qm x", push="main")
    assert (job["state"], job["error"]["code"]) == ("failed", "workspace_failed"), job
    assert target.branches() == before


def test_each_plant_has_a_test():
    assert len(GIT_PLANTS) == 6
