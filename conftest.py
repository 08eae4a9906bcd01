"""What all tests share, those of plugins too: one thread each, as two run at a time, and folders of their own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, and for processes that tests start

from genzoo.cli import main
from genzoo.registry.plugins import registry

LIKE = Path(__file__).parent / "tests" / "like"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--like", choices=["windows"], help="be refused what this system refuses; see tests/like")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--like") == "windows":
        sys.path.insert(0, str(LIKE))
        import windows

        windows.begin()
        if not sys.flags.warn_default_encoding and not config.getoption("numprocesses"):
            raise pytest.UsageError(
                "--like windows needs worker processes, which start with its rules: give -n 1 or more"
            )
        config.addinivalue_line("filterwarnings", "ignore::EncodingWarning")
        config.addinivalue_line("filterwarnings", f"error::EncodingWarning:{windows.OURS}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    if item.config.getoption("--like") == "windows":
        sys.modules["windows"].standard_output()


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("GENZOO_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("GENZOO_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("GENZOO_BLOCK", "tensorboard,trackers")  # which watch every training
    monkeypatch.setenv("GENZOO_SLOW_SECONDS", "600")  # on a busy machine any plugin may be slow
    monkeypatch.delenv("GENZOO_PLUGINS", raising=False)
    registry.cache_clear()
    yield
    registry.cache_clear()


class Outcome(NamedTuple):
    """What a command ended with and printed."""

    status: int
    out: str
    err: str


@pytest.fixture
def genzoo_command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """The `genzoo` command, in this process. A warning is an error."""

    def call(*arguments: Any) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["genzoo", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capfd.readouterr()
        return Outcome(int(ended.value.code or 0), printed.out, printed.err)

    return call
