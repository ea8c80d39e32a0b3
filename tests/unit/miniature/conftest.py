"""The world of the default settings, and what is drawn from it."""

import pytest

from closerlook.config.settings import MiniatureSettings
from closerlook.miniature.corpus import draw_corpus
from closerlook.miniature.instructions import draw_datasets
from closerlook.miniature.questions import draw_questions
from closerlook.miniature.world import draw_world

SETTINGS = MiniatureSettings()


@pytest.fixture(scope="module")
def world():
    return draw_world(SETTINGS)


@pytest.fixture(scope="module")
def corpus(world):
    return draw_corpus(world, SETTINGS)


@pytest.fixture(scope="module")
def datasets(world):
    return draw_datasets(world, SETTINGS)


@pytest.fixture(scope="module")
def asked(world):
    return draw_questions(world, SETTINGS)
