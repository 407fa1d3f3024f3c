"""What the reader's tests share: where real pictures are, and no word to the hub."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing is fetched, and nobody's spool or setting is touched."""
    monkeypatch.setenv("LPR_OCR_FETCH", "false")
    monkeypatch.setenv("LPR_OCR_MODEL", "rapidocr")
    monkeypatch.setenv("LPR_SPOOL", str(tmp_path_factory.mktemp("spools")))


@pytest.fixture
def shared() -> Path:
    """Folder of real pictures and models; the test is skipped where it is absent."""
    if not (SHARED / "plates" / "manifest.csv").is_file():
        pytest.skip("../shared/data is absent: real pictures are not read")
    return SHARED


@pytest.fixture
def hub_model(shared: Path) -> Path:
    """Folder of a published hub model with its config."""
    return shared / "models" / "cct-xs-v1-global-model"
