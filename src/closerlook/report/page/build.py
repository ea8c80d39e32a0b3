"""Build the page of a results folder: a folder of static files, the same bytes for the same results."""

import shutil
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from closerlook.config.rows import GridRow, read_grid
from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.core.files import replacing
from closerlook.core.schemas import EVALSET
from closerlook.report.page import site
from closerlook.report.page.cell import cell_file
from closerlook.report.page.constants import constants
from closerlook.report.page.instances import Instances
from closerlook.report.page.pack import ENCODING, script
from closerlook.report.page.reading import Folder

STATIC = Path(__file__).parent / "static"


def build(results: Path, out: Path) -> None:
    """Write the page of `results` to the folder `out`, replacing all of it. Raises CloserlookError without a grid.json."""
    grid = read_grid(results)
    folder = Folder(results)
    with replacing(out) as temporary:
        shutil.copytree(STATIC, temporary)
        page = Page(folder, temporary)
        content = {**constants(), "preset": results.resolve().name}
        content["evalsets"] = page.evalsets(grid)
        content["cells"] = page.cells(grid)
        content["tables"] = page.tables()
        content["datasets"] = page.datasets()  # after the cells, which refer to the instances
        content["figures"] = page.figures()
        content["claims"] = site.claims(folder)
        content["problems"] = folder.problems
        page.write("site", content)


class Page:
    """The page under construction in the folder `out`."""

    def __init__(self, folder: Folder, out: Path) -> None:
        self.folder, self.out = folder, out
        self._instances: dict[str, Instances] = {}
        self._tokenizers: dict[str, Callable[[int], str]] = {}

    def write(self, name: str, content: dict[str, Any], columns: dict[str, Any] | None = None) -> None:
        """Write a data file of the page."""
        path = self.out / "data" / f"{name}.js"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(script(name, content, columns), encoding=ENCODING)

    def evalsets(self, grid: list[GridRow]) -> list[dict[str, Any]]:
        """Write the instructions of each evalset; returns name, file (None if there is none) and number of instructions."""
        listed = []
        for i, name in enumerate(dict.fromkeys(row.evalset for row in grid)):
            table = self.folder.parquet(layout.evalset(name), EVALSET)
            if table is not None:
                columns = {"ids": "id"} | {name: name for name in ("instruction", "task_types", "topics", "reference")}
                self.write(f"evalset-{i}", {key: table[column].to_pylist() for key, column in columns.items()})
            file, rows = (f"evalset-{i}", len(table)) if table is not None else (None, 0)
            listed.append({"name": name, "file": file, "rows": rows})
        return listed

    def cells(self, grid: list[GridRow]) -> list[dict[str, Any]]:
        """Write each cell's responses; returns the grid's rows, each with its stages and its file (None without responses)."""
        listed = []
        for i, row in enumerate(tqdm(grid, desc="page", unit="cell", disable=None)):
            identity = row.model_dump(include={"cell", "model", "dataset", "size", "method", "seed", "evalset"})
            content = cell_file(self.folder, row, self._token_text(row.model), self._instance_number(row))
            if content is not None:
                self.write(f"cell-{i}", *content)
            file = f"cell-{i}" if content is not None else None
            listed.append({**identity, "file": file, "stages": site.state(self.folder, row)})
        return listed

    def datasets(self) -> dict[str, dict[str, Any]]:
        """Write the instances that the cells refer to; returns their number and their files, in order, by dataset."""
        listed = {}
        for i, (name, instances) in enumerate(self._instances.items()):
            files = []
            for shard, rows in enumerate(instances.shards(self.folder)):
                files.append(f"instances-{i}-{shard}")
                self.write(files[-1], {"instances": rows})
            if files:
                listed[name] = {"instances": len(instances), "files": files}
        return listed

    def tables(self) -> list[dict[str, Any]]:
        """Write each table; returns name, title and number of rows."""
        listed = []
        for table in site.tables(self.folder):
            self.write(f"table-{table['name']}", table)
            listed.append({"name": table["name"], "title": table["title"], "rows": len(table["rows"])})
        return listed

    def figures(self) -> list[dict[str, Any]]:
        """Copy each figure; returns `site.figures`."""
        listed = site.figures(self.folder)
        for figure in listed:
            file = layout.figure(figure["name"])
            target = self.out / file
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(self.folder.path / file, target)
        return listed

    def _instance_number(self, row: GridRow) -> Callable[[str], int]:
        instances = self._instances.setdefault(row.dataset, Instances(row.dataset))
        instances.subsets.add(row.cell.split("/")[1])
        return instances.number

    def _token_text(self, model: str) -> Callable[[int], str]:
        """From a token's id to its text; to `#id` if the model's tokenizer is missing or cannot be read."""
        if model not in self._tokenizers:
            self._tokenizers[model] = lambda id_: f"#{id_}"
            path = self.folder.path / layout.model(model)
            if any(path.glob("tokenizer*")):
                from closerlook.models.load import load_tokenizer
                from closerlook.report.tables.tokens import text_of

                try:
                    self._tokenizers[model] = cache(partial(text_of, load_tokenizer(path)))
                except CloserlookError as error:
                    self.folder.problems.append(str(error))
        return self._tokenizers[model]
