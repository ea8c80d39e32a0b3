"""Sources as files: what each catalog entry writes is what its program reads; what is wrong is named with its key."""

import pytest
from tests.support import REPOSITORY

from closerlook.config.derived import DERIVED_SOURCES
from closerlook.config.load import read
from closerlook.config.settings import FileSource, FolderModel, HubModel, HubSource, WebSource
from closerlook.config.source_files import ROW_SOURCES, SourceFiles, read_source
from closerlook.core.errors import CloserlookError


@pytest.mark.parametrize(
    "source",
    [
        HubSource(hub="a/b", revision="abc", split="test"),
        FileSource(file="dir with spaces/a'b\".jsonl"),
        WebSource(url="https://x/y.json?raw=1"),
    ],
)
def test_what_is_written_is_read(source, tmp_path):
    file = tmp_path / "x.source.json"
    source.write(file)
    assert read_source(file, ROW_SOURCES) == source
    touched = file.stat().st_mtime_ns
    source.write(file)
    assert file.stat().st_mtime_ns == touched


@pytest.mark.parametrize("preset", ["mini", "small", "paper"])
def test_every_source_of_a_catalog_is_read_by_its_program(preset, tmp_path):
    catalog = read(f"config/{preset}.yaml", REPOSITORY).catalog
    sources = SourceFiles(catalog, str(tmp_path))
    for name in catalog.datasets:
        file = tmp_path / "data" / f"{name}.source.json"
        sources.dataset(name).write(file)
        assert read_source(file, ROW_SOURCES | DERIVED_SOURCES) == sources.dataset(name)
    paths = [path for path, _ in sources.files()]
    assert len(set(paths)) == len(paths) >= len(catalog.datasets) + len(catalog.evalsets) + len(catalog.models)


def test_the_miniatures_data_are_files_of_their_world():
    catalog = read("config/mini.yaml", REPOSITORY).catalog
    sources = SourceFiles(catalog, "results/mini")
    files = {name: source.file for name in catalog.datasets if isinstance(source := sources.dataset(name), FileSource)}
    assert files["brief"] == "results/mini/miniature/datasets/brief.jsonl"
    assert any(file.startswith("results/mini/miniature-1/") for file in files.values())
    assert sources.evalset("questions").file == "results/mini/miniature/questions.jsonl"


def test_a_local_judge_is_a_folder_or_a_hub_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    catalog = read("config/mini.yaml", REPOSITORY).catalog
    judge = {"local": {"local": "chat", "prompt_file": "p.txt"}}
    catalog = type(catalog).model_validate(catalog.model_dump() | {"judges": judge})
    assert SourceFiles(catalog, "r").judge("local") == HubModel(hub="chat")
    (tmp_path / "chat").mkdir()
    assert SourceFiles(catalog, "r").judge("local") == FolderModel(folder="chat")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "line 1"),
        ("[]", "source: found []"),
        ("{}", "source: found {}"),
        ('"hub"', "source: found 'hub'"),
        ('{"hub": "a/b", "file": "x.json"}', "source: found"),
        ('{"hub": 3}', "hub: found 3"),
        ('{"hub": "a/b", "spilt": "train"}', "spilt: found 'train'"),
        ('{"url": "ftp://x/y.json"}', "url: found 'ftp://x/y.json'"),
        ('{"of": "x"}', "source: found {'of': 'x'}"),
        ('{"of": "x", "longest": false}', "longest: found False"),
        ('{"of": "x", "minimum_score": "4"}', "minimum_score: found '4'"),
        ('{"of": "x", "simplify": {}}', "simplify.by: found nothing"),
        ('{"longest": true}', "of: found nothing"),
    ],
)
def test_a_wrong_source_is_named(text, named, tmp_path):
    file = tmp_path / "x.source.json"
    file.write_text(text)
    with pytest.raises(CloserlookError) as refused:
        read_source(file, ROW_SOURCES | DERIVED_SOURCES)
    assert f"{file}: {named}" in str(refused.value)
