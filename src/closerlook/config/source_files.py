"""Sources as files: each dataset, evalset, text, model and judge has a <name>.source.json that its program reads."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from closerlook.config.catalog import Catalog, MiniatureSource, ParaphrasedSource
from closerlook.config.judges import LocalJudge
from closerlook.config.problems import Problem, refuse, refuse_invalid
from closerlook.config.settings import (
    FileSource,
    FolderModel,
    GgufPackageModel,
    HubModel,
    HubSource,
    Settings,
    WebSource,
)
from closerlook.config.texts import MiniatureText
from closerlook.core import layout
from closerlook.core.files import read_text

S = TypeVar("S", bound=Settings)
RowSource = HubSource | FileSource | WebSource
WeightSource = HubModel | FolderModel | GgufPackageModel

ROW_SOURCES: Mapping[str, type[RowSource]] = {"hub": HubSource, "file": FileSource, "url": WebSource}
"""Each kind of source by the key that identifies it."""
WEIGHT_SOURCES: Mapping[str, type[WeightSource]] = {
    "hub": HubModel,
    "folder": FolderModel,
    "gguf_package": GgufPackageModel,
}
PARAPHRASED_SOURCES: Mapping[str, type[ParaphrasedSource]] = {"paraphrase": ParaphrasedSource}


def read_source(file: Path, kinds: Mapping[str, type[S]]) -> S:
    """The source in a JSON file. Raises CloserlookError with the file, the key, what was found and what was expected."""
    text, expected = read_text(file, "source"), f"a JSON object with one of the keys {', '.join(kinds)}"
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        refuse([Problem(str(file), f"line {error.lineno}", text, expected)])
        raise
    keys = [key for key in kinds if isinstance(value, dict) and key in value]
    if len(keys) != 1:
        refuse([Problem(str(file), "source", value, expected)])
    try:
        return kinds[keys[0]].model_validate(value)
    except ValidationError as error:
        refuse_invalid(file, error)


class SourceFiles:
    """The sources of a catalog, where the miniature's data are files that the workflow makes under `results`."""

    def __init__(self, catalog: Catalog, results: str) -> None:
        self.catalog, self.results = catalog, results

    def dataset(self, name: str) -> Any:
        """The source of a dataset."""
        return self._made(self.catalog.datasets[name].source, layout.miniature_dataset)

    def evalset(self, name: str) -> Any:
        """The source of an evalset."""
        return self._made(self.catalog.evalsets[name].source, layout.miniature_evalset)

    def text(self, name: str) -> Any:
        """The source of a general text."""
        return self._made(self.catalog.texts[name].source, layout.miniature_text)

    def model(self, name: str) -> Any:
        """The source of a base model."""
        return self.catalog.models[name].source

    def judge(self, name: str) -> WeightSource:
        """The source of a judge that runs on this machine."""
        judge = self.catalog.judges[name]
        assert isinstance(judge, LocalJudge)
        if Path(judge.local).is_dir():
            return FolderModel(folder=judge.local)
        return HubModel(hub=judge.local, revision=judge.revision)

    def _made(self, source: Any, file_of: Callable[[str, str], str]) -> Any:
        if not isinstance(source, MiniatureSource | MiniatureText):
            return source
        # The first world is the one that the base model knows and evalsets ask about.
        world = f"-{source.world}" if source.world else ""
        return FileSource(file=f"{self.results}/{file_of(source.miniature, world)}")

    def files(self) -> Iterator[tuple[Path, Settings]]:
        """Every source and the file that holds it."""
        judges = [name for name, judge in self.catalog.judges.items() if isinstance(judge, LocalJudge)]
        for names, source_of, file_of in (
            (self.catalog.datasets, self.dataset, layout.dataset_source),
            (self.catalog.evalsets, self.evalset, layout.evalset_source),
            (self.catalog.texts, self.text, layout.text_source),
            (self.catalog.models, self.model, layout.model_source),
            (judges, self.judge, layout.judge_source),
        ):
            for name in names:
                yield Path(self.results, file_of(name)), source_of(name)
