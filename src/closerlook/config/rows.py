"""The rows of grid.json: what tables and the page know of each cell and evalset."""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field, TypeAdapter, ValidationError

from closerlook.config import sweep
from closerlook.config.grid import Cell, dataset_and_size
from closerlook.config.lineage import BASE
from closerlook.config.load import Configuration
from closerlook.config.settings import Settings
from closerlook.config.stages import stages
from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_csv, write_json


class GridRow(Settings):
    """One cell and one evalset that tables report on. Names that a row lacks are empty."""

    cell: str
    """model/dataset@size/run, as under cells/."""
    model: str
    dataset: str = ""
    """Without its size; empty for a control."""
    size: int | None = None
    """Instances; of a whole dataset those that the catalog states. None for a control."""
    method: str
    seed: int = 0
    sweep: str = ""
    """The method of which this one is a learning rate."""
    evalset: str
    truth_known: bool = False
    """Whether it is known which answers are true: the miniature's, but for questions for planted values."""
    planted: bool = False
    """Whether the evalset asks for planted values."""
    paper_claims: bool = False
    """Whether claims are also decided from the paper's numbers."""
    judges: list[str] = Field([])
    original: str = ""
    """For a cell tuned on simplified responses: the cell tuned on the original ones, if it answers the evalset too."""
    compared_by: list[str] = Field([])
    """The judges that compare the two; "labels" for people."""
    markers: list[str] = Field([])
    """The markers of hallucinated spans."""
    searched: list[str] = Field([])
    """The datasets (dataset@size) that responses are searched in: the cell's own, then maybe one to calibrate on. A control's are
    those that the traced cells of its model were tuned on."""
    held_out: list[str] = Field([])
    """Those of them of which instances were not tuned on, so that there is a chance level."""
    base_cell: str = ""
    """The untuned control on the same evalset."""
    peers: list[str] = Field([])
    """The runs on the same model, data and seed, under whose models the spans' likelihood is measured."""
    retrained: list[str] = Field([])
    """The cells tuned on parts of its dataset, under whose models the spans' likelihood is measured too."""
    paraphrased: list[str] = Field([])
    """The evalsets that paraphrase this one and that the cell answers."""
    ablated: str = ""
    """What the cell's dataset leaves out of the dataset it was made from: an arm of the causal test. "planted" if it adds."""
    ablation_of: str = ""
    """The cell whose spans decide what is left out, which was tuned alike and answers the evalset too."""
    ablation_marker: str = ""
    ablation_sample: str = ""
    """What decides the sample of its spans: the arms of one test agree in it."""
    trials: list[str] = Field([])
    """The worlds of made-up answers on which the rankers are scored."""
    benchmarks: list[str] = Field([])
    """The benchmark tasks that the cell is scored on."""
    retention: list[str] = Field([])
    """The general texts on which it is measured what the cell kept of its base."""
    stages: list[tuple[str, str]] = Field([])
    """Name and file (relative to the results folder) of each stage, in the order they are made."""


_ROWS = TypeAdapter(list[GridRow])


def grid_rows(configuration: Configuration) -> list[GridRow]:
    """A row per cell and evalset. Evalsets that paraphrase another one have none: their responses enter that one's tables."""
    families = sweep.families(configuration.preset)
    planted = partial(configuration.catalog.is_planted, kind="evalsets")
    rows = []
    for cell, evalsets in configuration.cells.items():
        dataset, size = dataset_and_size(cell.dataset) if cell.dataset else ("", None)
        if dataset and size is None:
            size = configuration.catalog.datasets[dataset].rows
        stages_of_cell = list(stages(configuration, cell))
        rows += [
            GridRow(
                cell=cell.name,
                model=cell.model,
                dataset=dataset,
                size=size,
                method=cell.method,
                seed=cell.seed,
                sweep=families.get(cell.method, ""),
                evalset=evalset,
                truth_known=configuration.catalog.knows_truth(evalset) and not planted(evalset),
                planted=planted(evalset),
                paper_claims=configuration.preset.paper_claims,
                judges=configuration.traced.judges(evalset),
                trials=list(configuration.preset.tracing.trials) if configuration.preset.tracing else [],
                benchmarks=configuration.benchmarked(cell),
                retention=configuration.retained(cell),
                **_simplification(configuration, cell, evalset),
                **_tracing(configuration, cell, evalset),
                stages=[(stage.name, stage.file) for stage in stages_of_cell if stage.of in ("", evalset)],
            )
            for evalset in evalsets
            if not configuration.traced.is_paraphrase(evalset)
        ]
    return rows


def _simplification(configuration: Configuration, cell: Cell, evalset: str) -> dict[str, Any]:
    original = configuration.originals.get(cell)
    if original is None or evalset not in configuration.cells[original]:
        return {}
    return {"original": original.name, "compared_by": configuration.preset.comparison.comparers}


def _tracing(configuration: Configuration, cell: Cell, evalset: str) -> dict[str, Any]:
    lineage = configuration.traced
    row: dict[str, Any] = {"markers": lineage.markers(cell, evalset)}
    if cell.dataset and configuration.catalog.is_planted(dataset_and_size(cell.dataset)[0], "datasets"):
        row["ablated"] = "planted"
    if searched := lineage.searched_datasets(cell, evalset):
        row |= {
            "searched": searched,
            "held_out": list(lineage.held_out(cell, evalset)),
            "base_cell": lineage.base_cell(cell, evalset),
            "paraphrased": lineage.paraphrases(cell, evalset),
        }
    if lineage.measures_likelihood(cell, evalset):
        row["peers"] = [peer.run for peer in lineage.peers(cell)]
    row["retrained"] = [other.name for other in lineage.retrained(cell)]
    if ablation := lineage.ablation(cell):
        row["ablated"] = ablation.take
        original = lineage.ablation_of(cell)
        if original and evalset == ablation.evalset:
            row |= {
                "ablation_of": original.name,
                "ablation_marker": ablation.marker,
                "ablation_sample": ablation.sample,
            }
    return row


def write_grid(rows: list[GridRow], results: Path) -> None:
    """Write grid.json, and grid.csv for people: without the stages, lists as names between spaces."""
    write_json([row.model_dump() for row in rows], results / layout.GRID)
    exported = [row.model_dump(exclude={"stages"}) for row in rows]
    columns = [name for name in GridRow.model_fields if name != "stages"]
    texts = ({name: " ".join(v) if isinstance(v, list) else v for name, v in row.items()} for row in exported)
    write_csv(texts, columns, results / layout.GRID_CSV)


def read_grid(results: Path) -> list[GridRow]:
    """The rows of grid.json. Raises CloserlookError for a file that is missing or not a grid."""
    path = results / layout.GRID
    try:
        return _ROWS.validate_json(path.read_bytes())
    except FileNotFoundError:
        raise CloserlookError(f"{path}: not found; `snakemake {path}` writes it") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise CloserlookError(
            f"{path}: {where}: found {first['input']!r}, expected: {first['msg']}; write it again"
        ) from None


def with_base(rows: Iterable[dict[str, Any]], by: str = "evalset") -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each row with that of its model's base control for the same evalset (or value of another column), if there is one."""
    all_rows = list(rows)
    bases = {(row["model"], row[by]): row for row in all_rows if row["method"] == BASE}
    return ((row, base) for row in all_rows if (base := bases.get((row["model"], row[by]))))
