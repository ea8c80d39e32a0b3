"""--configfile and --config of closerlook's own commands: what Snakemake makes of the same flags."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.cli import parse_config
from snakemake.settings.types import ConfigSettings
from tests.support import REPOSITORY

from closerlook.config.flags import config_words, read_configuration, run_words
from closerlook.core.errors import CloserlookError

FIRST = {
    "preset": "first",
    "template": "miniature",
    "grid": [{"models": ["miniature"], "datasets": ["brief"], "methods": ["lft"], "evalsets": ["questions"]}],
    "generate": {"max_new_tokens": 5, "stop": ["!"]},
    "overrides": {"methods": {"lft": {"train": {"learning_rate": 0.25, "epochs": 2.0}}}},
}
SECOND = {
    "preset": "second",
    "generate": {"max_new_tokens": 7},
    "overrides": {"methods": {"lft": {"train": {"epochs": 4.0}}}},
}


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    names = []
    for name, value in {"first.yaml": FIRST, "my second.yaml": SECOND}.items():
        (tmp_path / name).write_text(yaml.safe_dump(value))
        names.append(str(tmp_path / name))
    return names


def by_snakemake(files: list[str], values: list[str]) -> dict[str, Any]:
    settings = ConfigSettings(config=parse_config(values), configfiles=[Path(file) for file in files])
    return settings.overwrite_config


@pytest.mark.parametrize("values", [[], ["preset=third"], ["preset=third", "subset_seed=3"]])
def test_it_is_merged_as_snakemake_merges_it(files: list[str], values: list[str]) -> None:
    expected = by_snakemake(files, values)
    configuration = read_configuration(files, values, REPOSITORY)
    assert configuration.preset.preset == expected["preset"]
    assert configuration.preset.subset_seed == expected.get("subset_seed", 0)
    assert configuration.preset.generate.max_new_tokens == expected["generate"]["max_new_tokens"] == 7
    assert configuration.preset.generate.stop == expected["generate"]["stop"] == ["!"]
    train = configuration.train_settings(next(iter(configuration.cells)))
    assert (train.learning_rate, train.epochs) == (0.25, 4.0)


def test_the_words_give_the_same_configuration_again(files: list[str]) -> None:
    values = ["preset=third", "subset_seed=3"]
    words = config_words(files, values)
    assert words == ["--configfile", *files, "--config", *values]
    parsed = parse_config(values)
    again = config_words(files, parsed)
    assert by_snakemake(files, again[again.index("--config") + 1 :]) == by_snakemake(files, values)
    assert config_words([], {}) == []


def test_values_that_are_no_pairs_are_refused(files: list[str]) -> None:
    with pytest.raises(CloserlookError, match="--config preset: "):
        read_configuration(files, ["preset"], REPOSITORY)


def test_outside_a_project_it_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(CloserlookError) as error:
        read_configuration([], [], tmp_path)
    assert str(tmp_path) in str(error.value)
    assert "--configfile" in str(error.value)


def test_where_jobs_run_is_said_in_the_command(tmp_path: Path) -> None:
    assert run_words(slurm=True, root=REPOSITORY) == ["--profile", "slurm"]
    assert run_words(slurm=False, root=REPOSITORY) == ["--cores", "all"]
    assert run_words(slurm=False, root=tmp_path) == ["--snakefile", str(REPOSITORY / "Snakefile"), "--cores", "all"]


def test_without_snakemake_one_preset_is_read_and_several_name_the_extra(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("snakemake", "snakemake.cli", "snakemake.utils"):
        monkeypatch.setitem(sys.modules, name, None)
    assert read_configuration(files[:1], [], tmp_path).preset.preset == "first"
    with pytest.raises(CloserlookError, match=r"closerlook\[workflow\]"):
        read_configuration(files, [], tmp_path)
    with pytest.raises(CloserlookError, match=r"closerlook\[workflow\]"):
        read_configuration(files[:1], ["preset=third"], tmp_path)
