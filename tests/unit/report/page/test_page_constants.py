"""The page's scripts follow the build's rules of text, and take thresholds from its constants."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from closerlook.core.schemas import CLASSES, MARGINAL_RANK
from closerlook.report.page import build
from closerlook.report.page.constants import constants
from closerlook.text.escape import visible
from closerlook.text.words import words_of

HOSTILE = st.text() | st.text(
    alphabet="aZßẞΣς'’-é\u0301\u0600\u0903\u200d\u0d4e1٣ 一ก\U0001f600\U00010400_\n\t", max_size=20
)
SCRIPT = """
const fs = require("fs");
const closerlook = { facts: JSON.parse(fs.readFileSync(process.argv[2], "utf8")) };
eval(fs.readFileSync(process.argv[1], "utf8"));
const texts = JSON.parse(fs.readFileSync(0, "utf8"));
const words = (text, { point } = closerlook.ruler(text)) =>
  closerlook.words(text).map(({ text, start, end }) => [text, point(start), point(end)]);
console.log(JSON.stringify(texts.map((text) => [words(text), closerlook.visible(text)])));
"""


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("constants") / "facts.json"
    path.write_text(json.dumps(constants()))
    return path


@pytest.mark.skipif(shutil.which("node") is None, reason="node runs the page's script")
@settings(deadline=None, max_examples=15)
@given(texts=st.lists(HOSTILE, min_size=1))
@example(
    texts=[
        "don't well-known ŒUVRE Straße ΣΊΣΥΦΟΣ e\u0301te\u0301 \u0600١ क्षि 1,000 o''k",
        "a\u0301\u202e\u00a0\x00 \U000e0001",
    ]
)
def test_page_splits_and_shows_text_as_python_does(facts: Path, texts: list[str]) -> None:
    command = ["node", "-e", SCRIPT, str(build.STATIC / "text.js"), str(facts)]
    run = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == [[[list(word) for word in words_of(text)], visible(text)] for text in texts]


def test_scripts_have_no_copies_of_thresholds() -> None:
    """Ranks of the classes, and the probability below which tokens are left out."""
    exported = constants()
    assert list(exported["class_ranks"]) == list(CLASSES)
    assert str(MARGINAL_RANK) in exported["class_ranks"]["marginal"]
    copies = re.compile(rf"(or|above) {MARGINAL_RANK}\b|{100 * exported['unlikely']:g}%")
    scripts = sorted(build.STATIC.glob("*.js"))
    assert scripts
    assert [path.name for path in scripts if copies.search(path.read_text())] == []
