"""Checks of a preset and its catalog that go beyond their schemas. They run before any job starts, in the order given here."""

from collections.abc import Iterator

from closerlook.config.catalog import Catalog
from closerlook.config.checks import derived, grid, tracing
from closerlook.config.preset import Preset
from closerlook.config.problems import Problem


def unknown_names(preset: Preset, catalog: Catalog, file: str) -> Iterator[Problem]:
    """Names that the catalog does not have."""
    for topic in (grid, derived, tracing):
        yield from topic.unknown_names(preset, catalog, file)


def impossible_settings(preset: Preset, catalog: Catalog, file: str) -> Iterator[Problem]:
    """Settings of the grid and of derived datasets that cannot be run, once all names are known."""
    yield from grid.impossible_settings(preset, catalog, file)
    yield from derived.impossible_settings(preset, catalog, file)


def duplicate_cells(preset: Preset, catalog: Catalog, file: str) -> Iterator[Problem]:
    """Cells that the grid has twice, once its sweeps are expanded."""
    yield from grid.duplicate_cells(preset, catalog, file)


def impossible_tracing(preset: Preset, catalog: Catalog, file: str) -> Iterator[Problem]:
    """Settings of markers, tracing and ablation that cannot be run, once the grid has passed the other checks."""
    yield from tracing.impossible_settings(preset, catalog, file)
