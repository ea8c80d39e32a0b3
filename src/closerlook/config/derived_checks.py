"""What can be refused of datasets made from datasets, and of comparing cells tuned on them, before a job starts."""

from collections.abc import Iterator

from closerlook.config.catalog import Catalog, MiniatureSource
from closerlook.config.derived import LongestSource, ScoredSource, SimplifiedSource, ancestry, of
from closerlook.config.judges import LocalJudge, OracleJudge
from closerlook.config.preset import Preset
from closerlook.config.problems import Problem, nearest


def is_miniature(name: str, catalog: Catalog) -> bool:
    """Whether a dataset is the miniature's, or made from one that is."""
    *_, root = ancestry(name, catalog.datasets)
    return isinstance(catalog.datasets[root].source, MiniatureSource)


def unknown_names(preset: Preset, catalog: Catalog, file: str) -> Iterator[Problem]:
    """Names of datasets and judges that the catalog does not have, and datasets made of themselves."""
    for name, dataset in catalog.datasets.items():
        key, parent = f"datasets.{name}.source", of(dataset.source)
        if parent is None:
            continue
        *_, root = ancestry(name, catalog.datasets)
        if parent not in catalog.datasets:
            yield Problem(preset.catalog, f"{key}.of", parent, f"a dataset: {nearest(parent, catalog.datasets)}")
        elif of(catalog.datasets[root].source) in catalog.datasets:
            yield Problem(preset.catalog, f"{key}.of", parent, f"a dataset that is not made of {name} itself")
        if isinstance(dataset.source, SimplifiedSource) and (by := dataset.source.simplify.by) not in catalog.judges:
            yield Problem(preset.catalog, f"{key}.simplify.by", by, f"a judge: {nearest(by, catalog.judges)}")
    for i, judge in enumerate(preset.comparison.judges):
        if judge not in catalog.judges:
            yield Problem(file, f"comparison.judges[{i}]", judge, f"a judge: {nearest(judge, catalog.judges)}")


def impossible(preset: Preset, catalog: Catalog, file: str) -> Iterator[Problem]:
    """Settings of what the grid uses that cannot be followed, once all names are known."""
    named = {written.partition("@")[0] for block in preset.grid for written in block.datasets}
    for name in sorted({origin for dataset in named for origin in ancestry(dataset, catalog.datasets)}):
        if parent := of(catalog.datasets[name].source):
            yield from _of_dataset(f"datasets.{name}", name, catalog.datasets[parent].rows, preset, catalog)
    others = sorted({e for block in preset.grid for e in block.evalsets if not catalog.knows_truth(e)})
    for i, judge in enumerate(preset.comparison.judges):
        if isinstance(catalog.judges[judge], OracleJudge) and others:
            expected = f"a judge that does not need the miniature's truth, which {', '.join(others)} has not"
            yield Problem(file, f"comparison.judges[{i}]", judge, expected)
        if isinstance(catalog.judges[judge], LocalJudge):
            yield Problem(file, f"comparison.judges[{i}]", judge, "a judge behind an endpoint (openai), or the oracle")


def _of_dataset(key: str, name: str, rows: int, preset: Preset, catalog: Catalog) -> Iterator[Problem]:
    dataset = catalog.datasets[name]
    source = dataset.source
    if isinstance(source, ScoredSource):
        if dataset.rows > rows:
            yield Problem(preset.catalog, f"{key}.rows", dataset.rows, f"at most the {rows:,} rows of {source.of}")
        if source.aspect and not source.scores:
            expected = "`scores`, a file of verdicts, with it"
            yield Problem(preset.catalog, f"{key}.source.aspect", source.aspect, expected)
    elif isinstance(source, SimplifiedSource | LongestSource) and dataset.rows != rows:
        yield Problem(preset.catalog, f"{key}.rows", dataset.rows, f"{rows}, the rows of {source.of}, which all stay")
    if isinstance(source, SimplifiedSource):
        by, judge = source.simplify.by, catalog.judges[source.simplify.by]
        if isinstance(judge, OracleJudge) and not is_miniature(name, catalog):
            expected = "a judge behind an endpoint (openai): the oracle knows the miniature alone"
            yield Problem(preset.catalog, f"{key}.source.simplify.by", by, expected)
        if isinstance(judge, LocalJudge):
            expected = "a judge behind an endpoint (openai); a local model can be served as one by vllm serve"
            yield Problem(preset.catalog, f"{key}.source.simplify.by", by, expected)
