"""The README's figures of speed are those of the recorded results."""

import pytest
from tests.support import REPOSITORY


@pytest.fixture
def summary(monkeypatch):
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    import summary

    return summary


def test_the_readme_has_the_summary_of_the_recorded_results(summary):
    text = summary.README.read_text(encoding="utf-8")
    assert text.split(summary.BEGIN)[1].split(summary.END)[0].strip() == summary.summary().strip()
