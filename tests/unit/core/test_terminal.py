"""Tables and numbers as text for the terminal."""

import pytest

from closerlook.core.terminal import (
    format_clock,
    format_count,
    format_gigabytes,
    format_hours,
    format_table,
)


def test_columns_are_aligned_and_texts_unchanged() -> None:
    rows = [["a/b", "1,000", "x y"], ["long/name", "1e5", "-"]]
    assert list(format_table(["cell", "size", "log"], rows, right=["size"])) == [
        "cell        size  log",
        "a/b        1,000  x y",
        "long/name    1e5  -",
    ]


def test_two_columns_may_have_the_same_name() -> None:
    assert list(format_table(["n", "n"], [("10", "200")], right=["n"])) == [" n    n", "10  200"]


def test_a_table_without_rows_is_its_header() -> None:
    assert list(format_table(["cell", "state"], [])) == ["cell  state"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0"),
        (999, "999"),
        (1000, "1.00k"),
        (999_600, "1.00M"),
        (123_456, "123k"),
        (1e9, "1.00B"),
        (2.5e21, "2.50Z"),
    ],
)
def test_counts_are_scaled(value: float | None, text: str) -> None:
    assert format_count(value) == text


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (5e6, "0.01"), (1e8, "0.1"), (1e10, "10"), (1.5e12, "1,500")])
def test_sizes_are_in_gigabytes(value: float | None, text: str) -> None:
    assert format_gigabytes(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.001, "3.6 s"), (0.01, "36 s"), (0.1, "6.0 min"), (0.5, "30 min"), (1, "1.0 h"), (1500, "1,500 h")],
)
def test_hours_have_the_unit_that_suits_them(value: float | None, text: str) -> None:
    assert format_hours(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "-"), (0, "0:00"), (59, "0:00"), (7530, "2:05"), (360_000, "100:00")]
)
def test_times_are_hours_and_minutes(seconds: float | None, text: str) -> None:
    assert format_clock(seconds) == text
