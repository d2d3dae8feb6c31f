"""A real Prometheus scrapes the gateway, and every expression of the board and the rules has a result."""

import json
import os
import re
import shutil
import subprocess

import httpx
import pytest
import yaml

from tests.support.gateway import ROOT
from tests.support.ports import free_port
from tests.support.scripted_replies import Error

pytestmark = [pytest.mark.once, pytest.mark.slow, pytest.mark.long]
BOARD = json.loads((ROOT / "local/grafana/dashboards/claude-gateway.json").read_text())
RULES = yaml.load((ROOT / "local/prometheus/rules.yml").read_text(), yaml.CSafeLoader)["groups"]


@pytest.fixture(scope="module")
def variables():
    return {"METRICS_ENABLED": "true", "DEDUP_ENABLED": "true", "CLAUDE_MAX_RETRIES": "2"}


@pytest.fixture
def prometheus(gateway, tmp_path):
    """A Prometheus with the project's configuration at shorter intervals, which scrapes this gateway."""
    program = shutil.which("prometheus")
    if program is None:
        assert not os.environ.get("CI"), "Prometheus is not installed"
        pytest.skip("Prometheus is not installed")
    written = yaml.safe_load((ROOT / "local/prometheus/prometheus.yml").read_text())
    written["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    written["scrape_configs"][0]["static_configs"][0]["targets"] = [gateway.url.removeprefix("http://")]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(written))
    shutil.copy(ROOT / "local/prometheus/rules.yml", tmp_path)
    port = free_port()
    argv = [
        program, "--config.file=prometheus.yml", f"--web.listen-address=127.0.0.1:{port}",
        f"--storage.tsdb.path={tmp_path}/data", "--log.level=warn",
    ]  # fmt: skip
    process = subprocess.Popen(argv, cwd=tmp_path)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        yield client
    process.terminate()
    process.wait(20)


def found(prometheus, expression):
    query = re.sub(r"\$__rate_interval", "1m", expression)
    answer = prometheus.get("/api/v1/query", params={"query": query})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["result"]


def test_every_expression_has_a_result_in_a_real_prometheus(gateway, prometheus, script):
    def up():
        try:
            return prometheus.get("/-/ready").status_code == 200
        except httpx.HTTPError:
            return False

    gateway.until(up, bool)
    gateway.until(lambda: found(prometheus, 'claude_workers{state="idle"}'), bool)
    gateway.ask("once")
    assert gateway.client.post("/api/query", json={"query": "once"}).json()["status"] == "cached"
    script(lambda body: Error(404, "not_found_error"))
    assert gateway.ask("fails")["state"] == "failed"
    # Rates need two samples, and rules one more evaluation.
    gateway.until(lambda: found(prometheus, "increase(claude_jobs_failed_total[1m]) > 0"), bool)
    panels = [target["expr"] for panel in BOARD["panels"] for target in panel.get("targets", [])]
    recorded = [rule["record"] for group in RULES for rule in group["rules"] if "record" in rule]
    alerts = [rule["expr"] for group in RULES for rule in group["rules"] if "alert" in rule]
    for expression in panels + recorded:
        gateway.until(lambda query=expression: found(prometheus, query), bool)
    for expression in alerts:
        found(prometheus, expression)
    health = prometheus.get("/api/v1/rules").json()["data"]["groups"]
    assert {rule["health"] for group in health for rule in group["rules"]} == {"ok"}
    targets = prometheus.get("/api/v1/targets").json()["data"]["activeTargets"]
    assert [target["health"] for target in targets] == ["up"]
