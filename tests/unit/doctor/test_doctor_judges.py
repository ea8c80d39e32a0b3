"""The doctor checks the endpoints of judges, and never prints a key."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.support import REPOSITORY

from closerlook.config import load
from closerlook.doctor.judges import check_judges

KEY = "sk-sentinel-0123456789"


class _Endpoint(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        known = self.headers.get("Authorization") == f"Bearer {KEY}"
        self.send_response(self.server.trouble or (200 if known else 401))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[http.server.HTTPServer]:
    server = http.server.HTTPServer(("127.0.0.1", 0), _Endpoint)
    server.trouble = None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def configuration(base_url: str, folder: Path) -> load.Configuration:
    (folder / "config").symlink_to(REPOSITORY / "config")
    preset = {
        "preset": "judged",
        "template": "miniature",
        "grid": [{"models": ["miniature"], "methods": ["base"], "evalsets": ["questions"]}],
        "judges": ["asked"],
        "overrides": {"judges": {"asked": {"openai": "some-model", "base_url": base_url}}},
    }
    return load.load(yaml.safe_load(yaml.safe_dump(preset)), "judged.yaml", folder)


@pytest.mark.parametrize(
    ("key", "trouble", "state", "detail"),
    [
        (KEY, None, "ok", "answers"),
        ("sk-wrong", None, "FAILED", "the key in OPENAI_API_KEY is refused"),
        (None, None, "FAILED", "OPENAI_API_KEY is not set"),
        (KEY, 404, "ok", "answers"),
        (KEY, 502, "FAILED", "answers 502"),
    ],
)
def test_endpoint(
    endpoint: http.server.HTTPServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    key: str | None,
    trouble: int | None,
    state: str,
    detail: str,
) -> None:
    endpoint.trouble = trouble
    if key:
        monkeypatch.setenv("OPENAI_API_KEY", key)
    else:
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (check,) = check_judges(configuration(f"http://127.0.0.1:{endpoint.server_port}/v1", tmp_path))
    assert (check.state, check.what) == (state, "judge asked")
    assert detail in check.detail
    assert not key or key not in check.detail


def test_nobody_there(tmp_path: Path) -> None:
    (check,) = check_judges(configuration("http://127.0.0.1:9/v1", tmp_path))
    assert check.state == "FAILED"
    assert "cannot be reached (ConnectionError)" in check.detail
