"""Checks that the endpoints of judges answer and accept the API key."""

import os
from collections.abc import Iterator

import requests

from closerlook.config.catalog import ApiModel
from closerlook.config.judges import OpenAIJudge
from closerlook.config.load import Configuration
from closerlook.doctor.checks import Check, Failed, check

TIMEOUT = 10.0
"""Seconds for an endpoint to answer."""


def check_judges(configuration: Configuration) -> Iterator[Check]:
    """Check each endpoint of the preset: those of judges and of API models. The request, a list of models, is free."""
    sources = (configuration.catalog.models[cell.model].source for cell in configuration.cells)
    endpoints = [source.endpoint for source in sources if isinstance(source, ApiModel)]
    for name in dict.fromkeys([*configuration.preset.judges, *configuration.preset.comparison.judges, *endpoints]):
        judge = configuration.catalog.judges[name]
        if isinstance(judge, OpenAIJudge):
            yield check(f"judge {name}", _check_endpoint, judge)


def _check_endpoint(judge: OpenAIJudge) -> str:
    variable = judge.key_variable
    key = os.environ.get(variable)
    url = f"{judge.base_url.rstrip('/')}/models"
    try:
        answer = requests.get(url, headers={"Authorization": f"Bearer {key}"} if key else {}, timeout=TIMEOUT)
    except requests.RequestException as error:
        raise Failed(
            f"{url} cannot be reached ({type(error).__name__}); expected an answer: check base_url and the network"
        ) from None
    if answer.status_code in (401, 403):
        problem = f"the key in {variable} is refused" if key else f"{variable} is not set"
        raise Failed(f"{url} answers {answer.status_code}: {problem}")
    if answer.status_code >= 500:
        raise Failed(f"{url} answers {answer.status_code}; expected an endpoint that works")
    return f"{judge.base_url} answers" + ("" if key else f"; {variable} is not set")
