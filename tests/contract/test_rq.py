"""RQ is behind one adapter, and the commands that the adapter sends to `rq:` keys are few."""

from tests.contract.test_arrows import MODULES, ROOT, imported

ADAPTER = ROOT / "functions/worker/pool/rq_adapter.py"


def test_only_the_adapter_imports_rq():
    using = [path for path in MODULES if any(name.partition(".")[0] == "rq" for name in imported(path))]
    assert using == [ADAPTER]


def test_the_adapter_opens_with_its_table():
    assert "| What RQ does | What we do instead | Why |" in ADAPTER.read_text().split('"""')[1]


def test_only_the_store_runs_scripts_for_the_pool():
    for path in (ROOT / "functions/worker/pool").glob("*.py"):
        assert not any(name.startswith("shared.store.redis.scripts") for name in imported(path)), path
