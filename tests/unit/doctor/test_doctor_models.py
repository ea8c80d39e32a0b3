"""The doctor's checks of models and texts: a local fake hub, folders, packages, files, and what was fetched."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from tests.support import REPOSITORY

PRESET = {
    "preset": "p",
    "template": "alpaca",
    "grid": [
        {
            "models": ["llama-2-7b", "llama-2-13b", "llama-2-70b", "mistral-7b-v0.1", "phi-1.5", "miniature", "gemma-3-270m"],
            "methods": ["base"],
            "evalsets": ["just-eval-instruct"],
        }
    ],
}  # fmt: skip
REFUSALS = {
    "meta-llama/Llama-2-7b-hf": (403, "GatedRepo"),
    "meta-llama/Llama-2-13b-hf": (404, "RevisionNotFound"),
    "meta-llama/Llama-2-70b-hf": (404, "RepoNotFound"),
    "mistralai/Mistral-7B-v0.1": (503, ""),
}


class Hub(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        name = "/".join(self.path.removeprefix("/datasets").split("/")[1:3])
        code, reason = REFUSALS.get(name, (200, ""))
        self.send_response(code)
        if reason:
            self.send_header("X-Error-Code", reason)
        for header, text in {"ETag": "x", "X-Repo-Commit": "x", "Content-Length": "1"}.items():
            self.send_header(header, text)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "config").symlink_to(REPOSITORY / "config")
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(PRESET))
    return tmp_path


def examine(project: Path, hub: str, **environment: str) -> dict[str, tuple[str, str]]:
    """State and detail of each check of a model, as the command prints them without Slurm."""
    clean = {key: text for key, text in os.environ.items() if not key.startswith("HF_")}
    clean |= {"PATH": str(Path(sys.executable).parent), "HF_ENDPOINT": hub, "HF_HOME": str(project / "home")}
    command = ["closerlook", "doctor", "--configfile", "p.yaml", "--json", "--no-jobs"]
    done = subprocess.run(
        [str(Path(sys.executable).parent / command[0]), *command[1:]],
        env=clean | environment,
        cwd=project,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1, done.stderr
    checks = {check["what"]: (check["state"], check["detail"]) for check in json.loads(done.stdout)}
    assert checks["site file"][0] == "FAILED"
    assert "copy config/site.example.yaml there" in checks["site file"][1]
    return {
        what.removeprefix("model "): found for what, found in checks.items() if what.startswith(("model ", "text "))
    }


def test_what_the_hub_says(project: Path, hub: str):
    models = examine(project, hub)
    assert all(words in models["llama-2-7b"][1] for words in ("gated", "https://huggingface.co/meta-llama"))
    assert "there is no such revision; see" in models["llama-2-13b"][1]
    assert "not on the hub, or private (then set HF_TOKEN)" in models["llama-2-70b"][1]
    assert "the hub refused" in models["mistral-7b-v0.1"][1]
    assert "503" in models["mistral-7b-v0.1"][1]
    assert {models[name][0] for name in list(models)[:4]} == {"FAILED"}
    assert models["phi-1.5"][0] == "ok"
    assert "miniature" not in models, "the workflow makes it"


def test_a_hub_out_of_reach(project: Path):
    models = examine(project, "http://127.0.0.1:9")
    assert models["phi-1.5"][0] == "FAILED"
    assert "the hub cannot be reached" in models["phi-1.5"][1]


def test_offline(project: Path, hub: str):
    revision = yaml.safe_load((REPOSITORY / "config/catalog.yaml").read_text())["models"]["phi-1.5"]["source"][
        "revision"
    ]
    cached = project / "home/hub/models--microsoft--phi-1_5/snapshots" / revision / "config.json"
    cached.parent.mkdir(parents=True)
    cached.touch()
    models = examine(project, hub, HF_HUB_OFFLINE="1")
    assert models["phi-1.5"] == ("ok", f"microsoft/phi-1_5 at {revision} is in the hub's cache")
    assert "HF_HUB_OFFLINE is set: unset it on the login node" in models["llama-2-7b"][1]


def test_folders_and_packages(project: Path, hub: str):
    fetched, local, bare = project / "results/p/models/llama-2-7b", project / "local", project / "bare"
    for folder in (fetched, local, bare):
        folder.mkdir(parents=True)
        (folder / "config.json").touch()
    for folder in (fetched, local):
        (folder / "model.safetensors").touch()
    models = {
        "llama-2-13b": {"source": {"folder": "local"}},
        "llama-2-70b": {"source": {"folder": "bare"}},
        "gemma-3-270m": {"source": {"gguf_package": "no-such-package-here"}},
    }
    (project / "p.yaml").write_text(yaml.safe_dump(PRESET | {"overrides": {"models": models}}))
    found = examine(project, hub)
    assert found["llama-2-7b"] == ("ok", "fetched into results/p/models/llama-2-7b")
    assert found["llama-2-13b"][0] == "ok"
    assert "models.llama-2-70b.source.folder" in found["llama-2-70b"][1]
    assert "bare: no *.safetensors; expected " in found["llama-2-70b"][1]
    assert "python -m pip install no-such-package-here" in found["gemma-3-270m"][1]


def test_texts(project: Path, hub: str):
    (project / "a.jsonl").write_text('{"body": "one"}\n')
    (project / "results/p/texts").mkdir(parents=True)
    (project / "results/p/texts/fetched.parquet").touch()
    gated = {"source": {"hub": "meta-llama/Llama-2-7b-hf"}}
    texts = {
        "there": {"source": {"hub": "some/text"}},
        "gated": gated,
        "fetched": gated,
        "file": {"source": {"file": "a.jsonl"}, "column": "body"},
        "other": {"source": {"file": "a.jsonl"}},
    }
    preset = PRESET | {"retention": [*texts, "corpus"], "overrides": {"texts": texts}}
    (project / "p.yaml").write_text(yaml.safe_dump(preset))
    found = examine(project, hub)
    assert found["text there"] == ("ok", "some/text at main is on the hub")
    assert found["text gated"][0] == "FAILED"
    assert "https://huggingface.co/datasets/meta-llama" in found["text gated"][1]
    assert found["text fetched"] == ("ok", "fetched into results/p/texts/fetched.parquet")
    assert found["text file"][0] == "ok"
    assert found["text other"][0] == "FAILED"
    assert "texts.other" in found["text other"][1]
    assert "text: no such column, expected one of body" in found["text other"][1]
    assert "text corpus" not in found, "the workflow makes it"
    assert examine(project, hub, HF_HUB_OFFLINE="1")["text there"][0] == "skipped"


def test_the_command_needs_no_torch():
    code = "import sys, closerlook.doctor.doctor, huggingface_hub.file_download; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
