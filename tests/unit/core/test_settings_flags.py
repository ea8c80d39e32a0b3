"""Settings as flags: what a rule writes on a command line is what the program reads."""

import argparse
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from closerlook.core.errors import CloserlookError
from closerlook.core.scripts import add_settings, as_flags, read_settings

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(
    # argparse reads a leading dash as a flag; JSON's own words are values
    lambda text: not text.startswith("-") and text.strip() not in ("true", "false", "null", "NaN", "Infinity")
)


class Sampling(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    aspects: list[str] = Field(["clarity"], description="aspects, 100%")
    temperature: float = Field(0.0, ge=0, description="temperature")
    name: str = Field("x y", description="name")
    fast: bool = Field(False, description="speed")


def parsed(words: list[str]) -> Sampling:
    parser = argparse.ArgumentParser()
    add_settings(parser, Sampling)
    assert "100%" in parser.format_help()
    return read_settings(parser.parse_args(words), Sampling)


@given(
    st.builds(
        Sampling,
        aspects=st.lists(TEXT, max_size=3),
        temperature=st.floats(0, 2),
        name=TEXT.filter(lambda text: not text[0].isdigit() and text[0] not in '["{'),
        fast=st.booleans(),
    )
)
def test_a_program_reads_what_a_rule_writes(settings: Sampling) -> None:
    assert parsed(shlex.split(as_flags(settings))) == settings


def test_a_list_takes_words_and_no_json() -> None:
    assert parsed(["--aspects", "depth", "a b"]).aspects == ["depth", "a b"]
    assert parsed(["--aspects"]).aspects == []
    assert as_flags(Sampling(aspects=["depth", "a b"])).startswith("--aspects depth 'a b'")


def test_a_wrong_value_names_its_flag() -> None:
    with pytest.raises(CloserlookError, match=r"--temperature: .*found -1"):
        parsed(["--temperature=-1"])
