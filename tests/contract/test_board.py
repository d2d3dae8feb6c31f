"""Prometheus accepts the configuration and the rules, and the board uses existing metrics only."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from functions.status.metrics import exposition
from shared.store.fleet.counters import Metrics

ROOT = Path(__file__).parents[2]
CONFIGURATION = ROOT / "local/prometheus/prometheus.yml"
RULES = ROOT / "local/prometheus/rules.yml"
BOARD = json.loads((ROOT / "local/grafana/dashboards/claude-gateway.json").read_text())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
# One of each, so that every series exists.
SEEN = Metrics(
    {"cost:m": "1", "tokens:input:m": "1"},
    {"n|GET|/x|200": "1", "b|GET|/x|1": "1", "s|GET|/x": "1"},
    {"waiting": 0, "active": 0, "delayed": 0},
    {},
    None,
    [],
)


def promtool(*arguments, **options):
    program = shutil.which("promtool")
    if program is None:
        assert not os.environ.get("CI"), "promtool is not installed"
        pytest.skip("promtool is not installed")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=60, **options)
    assert done.returncode == 0, done.stdout + done.stderr


def rules():
    return [rule for group in yaml.load(RULES.read_text(), yaml.CSafeLoader)["groups"] for rule in group["rules"]]


def expressions():
    of_panels = [target["expr"] for panel in PANELS for target in panel["targets"]]
    return of_panels + [rule["expr"] for rule in rules()]


def test_prometheus_accepts_the_configuration_and_the_rules():
    promtool("check", "config", str(CONFIGURATION))


def test_every_alert_fires_when_it_should_and_only_then(tmp_path):
    test = tmp_path / "rules_test.yml"
    test.write_text((ROOT / "tests/data/rules_test.yml").read_text().replace("RULES", str(RULES)))
    promtool("test", "rules", str(test))
    tried = yaml.safe_load(test.read_text())["tests"][0]["alert_rule_test"]
    assert {one["alertname"] for one in tried} == {rule["alert"] for rule in rules() if "alert" in rule}


@pytest.mark.parametrize("expression", expressions())
def test_an_expression_uses_metrics_that_exist(expression):
    text = exposition(SEEN, "")[0].decode()
    there = set(re.findall(r"^([a-z_]+)(?:\{| )", text, re.MULTILINE)) | {"up"}
    there |= {rule["record"] for rule in rules() if "record" in rule}
    used = set(re.findall(r"\b(?:job:)?(?:claude|http)_[a-z_]+(?::[a-z0-9]+)?|\bup\b", expression))
    assert used
    assert used <= there


def test_every_alert_has_a_severity_and_a_description():
    for rule in rules():
        if "alert" in rule:
            assert rule["labels"]["severity"] in {"warning", "critical"}
            assert len(rule["annotations"]["description"]) > len(rule["annotations"]["summary"])


def test_every_panel_has_a_description_and_does_not_overlap():
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]


def test_the_board_and_its_source_load_without_a_click():
    folder = ROOT / "local/grafana/provisioning"
    [source] = yaml.safe_load((folder / "datasources/prometheus.yml").read_text())["datasources"]
    [provider] = yaml.safe_load((folder / "dashboards/claude-gateway.yml").read_text())["providers"]
    used = {panel["datasource"]["uid"] for panel in PANELS}
    used |= {target["datasource"]["uid"] for panel in PANELS for target in panel["targets"]}
    assert used == {source["uid"]}
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"


def test_grafana_listens_on_loopback_and_mounts_existing_files():
    services = yaml.safe_load((ROOT / "local/compose.yaml").read_text())["services"]
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        mounted = [volume.split(":")[0] for volume in service.get("volumes", [])]
        assert [path for path in mounted if path.startswith(".") and not (ROOT / "local" / path).exists()] == []
    assert "127.0.0.1:${GRAFANA_PORT:-3001}:3000" in services["grafana"]["ports"]
