"""Checks of datasets derived from datasets, and of the comparison of cells tuned on them."""

from collections.abc import Iterator

from closerlook.config.catalog import Catalog, MiniatureSource
from closerlook.config.derived import LongestSource, ScoredSource, SimplifiedSource, ancestry, parent_of
from closerlook.config.judges import LocalJudge, OracleJudge
from closerlook.config.preset import Preset
from closerlook.config.problems import Problem, nearest


def _is_miniature(name: str, catalog: Catalog) -> bool:
    """Whether a dataset is the miniature's or derived from one that is."""
    *_, root = ancestry(name, catalog.datasets)
    return isinstance(catalog.datasets[root].source, MiniatureSource)


def unknown_names(preset: Preset, catalog: Catalog, file: str) -> Iterator[Problem]:
    """Names of datasets and judges that the catalog does not have, and datasets derived from themselves."""
    for name, dataset in catalog.datasets.items():
        key, parent = f"datasets.{name}.source", parent_of(dataset.source)
        if parent is None:
            continue
        *_, root = ancestry(name, catalog.datasets)
        if parent not in catalog.datasets:
            yield Problem(preset.catalog, f"{key}.of", parent, f"a dataset: {nearest(parent, catalog.datasets)}")
        elif parent_of(catalog.datasets[root].source) in catalog.datasets:
            yield Problem(preset.catalog, f"{key}.of", parent, f"a dataset that is not derived from {name} itself")
        if isinstance(dataset.source, SimplifiedSource) and (by := dataset.source.simplify.by) not in catalog.judges:
            yield Problem(preset.catalog, f"{key}.simplify.by", by, f"a judge: {nearest(by, catalog.judges)}")
    for i, judge in enumerate(preset.comparison.judges):
        if judge not in catalog.judges:
            yield Problem(file, f"comparison.judges[{i}]", judge, f"a judge: {nearest(judge, catalog.judges)}")


def impossible_settings(preset: Preset, catalog: Catalog, file: str) -> Iterator[Problem]:
    """Settings of the datasets and comparisons in use that cannot be run, once all names are known."""
    used = {written.partition("@")[0] for block in preset.grid for written in block.datasets}
    for name in sorted({origin for dataset in used for origin in ancestry(dataset, catalog.datasets)}):
        if parent := parent_of(catalog.datasets[name].source):
            yield from _dataset_problems(f"datasets.{name}", name, catalog.datasets[parent].rows, preset, catalog)
    others = sorted({e for block in preset.grid for e in block.evalsets if not catalog.knows_truth(e)})
    for i, judge in enumerate(preset.comparison.judges):
        if isinstance(catalog.judges[judge], OracleJudge) and others:
            expected = f"a judge that does not need the truth, which is unknown for {', '.join(others)}"
            yield Problem(file, f"comparison.judges[{i}]", judge, expected)
        if isinstance(catalog.judges[judge], LocalJudge):
            yield Problem(file, f"comparison.judges[{i}]", judge, "a judge behind an endpoint (openai), or the oracle")


def _dataset_problems(key: str, name: str, rows: int, preset: Preset, catalog: Catalog) -> Iterator[Problem]:
    dataset = catalog.datasets[name]
    source = dataset.source
    if isinstance(source, ScoredSource):
        if dataset.rows > rows:
            yield Problem(preset.catalog, f"{key}.rows", dataset.rows, f"at most the {rows:,} rows of {source.of}")
        if source.aspect and not source.scores:
            expected = "a file of verdicts under `scores` with it"
            yield Problem(preset.catalog, f"{key}.source.aspect", source.aspect, expected)
    elif isinstance(source, SimplifiedSource | LongestSource) and dataset.rows != rows:
        yield Problem(
            preset.catalog,
            f"{key}.rows",
            dataset.rows,
            f"{rows}, the rows of {source.of}, which are all kept",
        )
    if isinstance(source, SimplifiedSource):
        by, judge = source.simplify.by, catalog.judges[source.simplify.by]
        if isinstance(judge, OracleJudge) and not _is_miniature(name, catalog):
            expected = "a judge behind an endpoint (openai): the oracle knows the miniature only"
            yield Problem(preset.catalog, f"{key}.source.simplify.by", by, expected)
        if isinstance(judge, LocalJudge):
            expected = "a judge behind an endpoint (openai); `vllm serve` can serve a local model as one"
            yield Problem(preset.catalog, f"{key}.source.simplify.by", by, expected)
