"""A dataset at a URL: read like a local file; clear errors if it cannot be reached."""

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from closerlook.config.settings import WebSource
from closerlook.core.errors import CloserlookError
from closerlook.data.sources import describe, provenance, read_rows


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    (tmp_path / "web").mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "web")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield tmp_path / "web", f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_a_file_on_the_web(served: tuple[Path, str]) -> None:
    folder, url = served
    records = [{"instruction": "é😀", "output": "\u2028"}, {"instruction": "b", "output": "c"}]
    (folder / "it.json").write_text(json.dumps(records))
    source = WebSource(url=f"{url}/it.json?raw=1")
    assert list(read_rows(source)) == list(enumerate(records))
    assert provenance(source) == {"url": describe(source)}


def test_out_of_reach(served: tuple[Path, str]) -> None:
    _, url = served
    with pytest.raises(CloserlookError, match=r"gone\.json: .* set `source` to a local file"):
        list(read_rows(WebSource(url=f"{url}/gone.json")))
    with pytest.raises(CloserlookError, match=r"found \.html, expected one of \.json"):
        list(read_rows(WebSource(url=f"{url}/it.html")))
