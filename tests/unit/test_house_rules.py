"""The rules of the house: who may import whom, which topics there are, what the repo may hold."""

import ast
import importlib.metadata
import re
import subprocess
from pathlib import Path

import pytest

from ring import alert, checkpoint, hotlist, look_back, reader, reads, webhook
from ring.events import topics
from tests.conftest import ROOT

OURS = {"lpr", "ring", "proto", "projections", "server"}
DOMAIN = [
    "values",
    "errors",
    "events",
    "reads",
    "checkpoint",
    "reader",
    "hotlist",
    "alert",
    "access",
    "webhook",
    "entry",
    "frequency",
    "likelihood",
    "policy",
    "validity",
]


def imports(path: Path) -> set[str]:
    """Dotted names of all modules that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def ours(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)} & OURS


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", modules("lpr"), ids=relative)
def test_the_reader_knows_the_protocol_alone(path: Path) -> None:
    assert ours(path) <= {"lpr", "proto"}


@pytest.mark.parametrize("path", modules("ring"), ids=relative)
def test_the_write_side_does_not_know_the_read_side(path: Path) -> None:
    assert ours(path) <= {"ring", "proto"}
    assert not {n for n in imports(path) if n.startswith(("clickhouse_connect", "chdb"))}


@pytest.mark.parametrize("path", modules("ring/cli"), ids=relative)
def test_the_ring_command_talks_by_grpc_alone(path: Path) -> None:
    assert {n for n in imports(path) if n.startswith("ring.")} <= {
        n for n in imports(path) if n.startswith("ring.cli")
    }


@pytest.mark.parametrize("path", modules("projections"), ids=relative)
def test_the_read_side_uses_of_the_write_side_what_both_share(path: Path) -> None:
    assert ours(path) <= {"projections", "ring", "proto"}
    shared = {"ring.store", "ring.values", "ring.errors", "ring.rpc.errors"}
    shared |= {"ring.confusion", "ring.likelihood"}
    assert {n for n in imports(path) if n.startswith("ring")} <= shared


@pytest.mark.parametrize("name", DOMAIN)
def test_the_domain_is_pure(name: str) -> None:
    foreign = {n.split(".")[0] for n in imports(ROOT / "ring" / f"{name}.py")}
    assert not foreign & {"grpc", "sqlite3", "clickhouse_connect", "eventsourcing", "asyncio"}
    assert not foreign & {"time", "os", "pathlib", "socket", "threading"}


def test_sql_lies_in_sql_files() -> None:
    statement = re.compile(
        r"\b(SELECT .* FROM|INSERT INTO|CREATE (TABLE|VIEW|MATERIALIZED))\b", re.S
    )
    for path in modules("projections"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not statement.search(node.value), f"{path.name}:{node.lineno}"


def test_topics_are_what_they_have_always_been() -> None:
    for module in (alert, checkpoint, hotlist, look_back, reader, reads, webhook):
        assert module
    assert {topic: event.BODY.DESCRIPTOR.name for topic, event in topics().items()} == {
        "ring.read": "StoredRead",
        "ring.read.rejected": "StoredReject",
        "ring.read.conflict": "StoredReject",
        "ring.checkpoint.registered": "CheckpointPlaced",
        "ring.checkpoint.moved": "CheckpointPlaced",
        "ring.reader.registered": "ReaderAssigned",
        "ring.reader.assigned": "ReaderAssigned",
        "ring.reader.revoked": "ReaderRevoked",
        "ring.reader.silent": "ReaderHeard",
        "ring.reader.recovered": "ReaderHeard",
        "ring.hotlist.created": "HotlistCreated",
        "ring.hotlist.activated": "EntriesActivated",
        "ring.hotlist.staged": "EntriesStaged",
        "ring.hotlist.granted": "HotlistGranted",
        "ring.hotlist.grant_revoked": "HotlistGrantRevoked",
        "ring.hotlist.policy_changed": "HotlistPolicyChanged",
        "ring.look_back.started": "LookBackStarted",
        "ring.look_back.advanced": "LookBackAdvanced",
        "ring.look_back.ended": "LookBackAdvanced",
        "ring.alert.raised": "AlertRaised",
        "ring.alert.acknowledged": "AlertAcknowledged",
        "ring.alert.resolved": "AlertResolved",
        "ring.webhook.added": "WebhookAdded",
        "ring.webhook.removed": "WebhookRemoved",
        "ring.webhook.given_up": "DeliveryGivenUp",
        "ring.webhook.resend_asked": "ResendAsked",
        "ring.webhook.resent": "DeadLetterSent",
    }


def test_no_dependency_brings_another_proto_package() -> None:
    owners = importlib.metadata.packages_distributions()
    for name in ("proto", "ring", "lpr", "projections"):
        assert set(owners.get(name, ["digital-ring"])) == {"digital-ring"}


def test_there_is_one_opencv() -> None:
    names = {d.name.lower() for d in importlib.metadata.distributions()}
    assert {n for n in names if n.startswith("opencv")} == {"opencv-python-headless"}


def tracked() -> list[str]:
    result = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if result.returncode:
        pytest.skip("not a git checkout")
    return [name for name in result.stdout.split("\0") if name]


def test_the_lock_names_no_host_and_no_path() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "--hash=sha256:" in lock
    assert not re.search(r"https?://|file://|--index-url|--find-links|--trusted-host", lock)


def test_the_repository_holds_no_large_file() -> None:
    for name in tracked():
        path = ROOT / name
        if path.is_file():
            assert path.stat().st_size < 4_000_000, name
