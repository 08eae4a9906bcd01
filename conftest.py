"""What all tests share, those of plugins too: one thread each, as two run at a time, and folders of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, and for processes that tests start

from genzoo.registry.plugins import registry


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("GENZOO_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("GENZOO_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("GENZOO_BLOCK", "tensorboard")  # it would write beside every training
    monkeypatch.setenv("GENZOO_SLOW_SECONDS", "600")  # on a busy machine any plugin may be slow
    monkeypatch.delenv("GENZOO_PLUGINS", raising=False)
    registry.cache_clear()
    yield
    registry.cache_clear()
