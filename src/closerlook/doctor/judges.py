"""Can the judges be asked: is the key there, and does the endpoint answer and take it?"""

import os
from collections.abc import Iterator

import requests

from closerlook.config.catalog import ApiModel
from closerlook.config.judges import OpenAIJudge
from closerlook.config.load import Configuration
from closerlook.doctor.checks import Check

TIMEOUT = 10.0
"""Seconds that an endpoint has to answer."""


def judges(configuration: Configuration) -> Iterator[Check]:
    """A check for each endpoint of the preset: judges, and models that answer. Asking for its models costs nothing."""
    sources = (configuration.catalog.models[cell.model].source for cell in configuration.cells)
    answering = [source.endpoint for source in sources if isinstance(source, ApiModel)]
    for name in dict.fromkeys([*configuration.preset.judges, *configuration.preset.comparison.judges, *answering]):
        judge = configuration.catalog.judges[name]
        if isinstance(judge, OpenAIJudge):
            yield _endpoint(f"judge {name}", judge)


def _endpoint(what: str, judge: OpenAIJudge) -> Check:
    key = os.environ.get(judge.key_variable)
    url = f"{judge.base_url.rstrip('/')}/models"
    try:
        answer = requests.get(url, headers={"Authorization": f"Bearer {key}"} if key else {}, timeout=TIMEOUT)
    except requests.RequestException as error:
        reason = f"{url} cannot be reached ({type(error).__name__}); expected an answer: is base_url right, is there a network?"
        return Check(what, "FAILED", reason)
    if answer.status_code in (401, 403):
        held = f"the key in {judge.key_variable} is refused" if key else f"{judge.key_variable} is not set"
        return Check(what, "FAILED", f"{url} answers {answer.status_code}: {held}")
    if answer.status_code >= 500:
        return Check(what, "FAILED", f"{url} answers {answer.status_code}; expected an endpoint that works")
    return Check(what, "ok", f"{judge.base_url} answers" + ("" if key else f"; {judge.key_variable} is not set"))
