"""Snakemake's own report of a finished run: built without a network, with the captions and labels of every result."""

import pytest
from docutils.core import publish_parts
from jinja2 import Environment
from tests.support import REPOSITORY
from tests.support.pages import words

from closerlook.report.figures.registry import FIGURES
from closerlook.report.tables.registry import TABLES


@pytest.mark.parametrize("kind", ["table", "figure"])
def test_captions_come_through_as_written(kind: str) -> None:
    """They pass a template and reStructuredText, to which an asterisk or an underscore is markup."""
    template = (REPOSITORY / f"workflow/report/{kind}.rst").read_text()
    files = {name: f"r/{name}.x" for name in ("markdown", "latex", "page", "png", "pdf")}
    hostile = "a_ b* *c `d` |e| \\f __g__ :h:`i` {{ j }} <script> k_l"
    registry = TABLES if kind == "table" else FIGURES
    for caption in [*(entry.caption for entry in registry.values()), hostile]:
        snakemake = {"params": {"caption": caption}, "output": files}
        rendered = Environment(trim_blocks=True, lstrip_blocks=True).from_string(template).render(snakemake=snakemake)
        body = publish_parts(rendered, writer="html", settings_overrides={"halt_level": 2})["body"]
        assert words(caption.replace("<", "&lt;")).replace(" ", "") in words(body).replace(" ", "")
