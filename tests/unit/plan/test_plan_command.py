"""`closerlook plan`: states judged by files, measured runs beside estimates, warnings, and that it stays light and quick."""

import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support import REPOSITORY
from tests.support.cell_results import attempt
from tests.support.plan_project import Project, check_planned_without_torch, preset

from closerlook import cli
from closerlook.cluster import attempts
from closerlook.config import site
from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_parquet
from closerlook.core.schemas import INSTANCES

SITE = {
    "name": "lab",
    "gpus": {
        "h100": {
            "partition": "gpu",
            "nodes": 2,
            "gpus_per_node": 4,
            "cpus_per_node": 32,
            "memory_per_node_gb": 500,
            "gpu_memory_gb": 80,
            "peak_tflops": 989,
            "price_per_gpu_hour": 2.0,
        }
    },
}
LFT = "llama-2-7b/alpaca@1k/lft"


def small(*methods: str, **changes: Any) -> dict[str, Any]:
    block = {"models": ["llama-2-7b"], "datasets": ["alpaca@1k", "alpaca@10k"], "methods": list(methods)}
    return preset() | {"grid": [block | {"evalsets": ["just-eval-instruct"]}]} | changes


def cells(plan: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["cell"]: row for row in plan["cells"]}


def test_a_new_cell_is_planned(plan) -> None:
    planned = plan(small("lft", "sft"))
    row = cells(planned)[LFT]
    assert (row["state"], row["instances"], row["steps"], row["parameters"]) == ("new", 1000, 94, 6738415616)
    assert row["trainable"] == 19988480  # known of Llama-2 7B with r=8 on all linear layers
    # 32 short instances are one micro-batch, whose operations take longer than their launches; adapters are updated in no time
    assert (row["gpus"], row["engine"], row["micro_steps"]) == (1, "ddp", 1)
    assert row["gpu_hours"] == pytest.approx(row["flops"] / (0.4 * 989e12) / 3600, rel=0.01)
    sft = cells(planned)["llama-2-7b/alpaca@1k/sft"]
    assert (sft["gpus"], sft["engine"]) == (4, "zero2")
    assert sft["hours"] == pytest.approx(sft["gpu_hours"] / 4)
    assert sft["gpu_hours"] > 2 * sft["flops"] / (0.4 * 989e12) / 3600  # its GPUs wait for launches
    assert row["memory_per_gpu"] == pytest.approx(sum(row["memory"].values()))
    assert planned["totals"]["gpu_hours"] == pytest.approx(sum(row["gpu_hours"] for row in planned["cells"]))
    assert planned["device"]["measured_runs"] == 0
    assert "assum" in planned["device"]["told"]


def test_states_are_judged_by_files(project: Project, plan) -> None:
    results = project.root / "results/scale/cells"
    project.finish(LFT, "lora")
    failed = results / "llama-2-7b/alpaca@10k/lft/attempts/train"
    failed.mkdir(parents=True)
    (failed / "failure.json").write_text(json.dumps({"reason": "out of memory"}))
    assert {name: row["state"] for name, row in cells(plan(small("lft"))).items()} == {
        LFT: "done",
        "llama-2-7b/alpaca@10k/lft": "failed",
    }
    assert cells(plan(small("lft")))["llama-2-7b/alpaca@10k/lft"]["why"] == "out of memory"
    project.finish("llama-2-7b/alpaca@10k/lft", "lora")  # a retry went well: its failure is history
    assert plan(small("lft"))["totals"]["states"] == {"done": 2}
    changed = small("lft", overrides={"methods": {"lft": {"train": {"learning_rate": 0.5}}}})
    row = cells(plan(changed))[LFT]
    assert (row["state"], row["why"]) == ("stale", "learning_rate was 5e-05, is 0.5")
    launched = small("lft", overrides={"models": {"llama-2-7b": {"launch": {"lora": {"ranks": 2}}}}})
    assert cells(plan(launched))[LFT]["state"] == "done"
    template = project.root / "config/prompts/alpaca.txt"
    template.write_bytes(template.read_bytes().replace(b"\n", b"\r\n"))  # read as the same text
    assert cells(plan(small("lft")))[LFT]["state"] == "done"
    template.write_text("Other: {instruction}")
    assert cells(plan(small("lft")))[LFT]["why"] == "the prompt template changed"


def test_a_cell_at_work_is_running_and_one_that_failed_says_why(project: Project, plan) -> None:
    folder = project.root / "results/scale/cells" / LFT
    begun = attempt(host=socket.gethostname(), pid=os.getpid(), started=datetime.now(UTC))
    attempts.write(folder, "train", [attempt(minutes=1, reason="preempted"), begun])
    assert cells(plan(small("lft")))[LFT]["state"] == "running"
    attempts.write(folder, "train", [attempt(minutes=1, reason="disk full", message="12 MB left")])
    row = cells(plan(small("lft")))[LFT]
    assert (row["state"], row["why"]) == ("failed", "disk full: 12 MB left")
    attempts.write(folder, "train", [attempt(minutes=1)])  # it succeeded, and somebody removed what it made
    assert cells(plan(small("lft")))[LFT]["state"] == "new"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"config": 3}', '{"config": {"train": 3}}'])
def test_a_manifest_that_tells_nothing_is_stale_and_breaks_nothing(project: Project, plan, text: str) -> None:
    folder = project.finish(LFT, "lora")
    (folder / "manifest.json").write_text(text)
    row = cells(plan(small("lft")))[LFT]
    assert row["state"] == "stale"
    assert row["gpu_hours_measured"] is None


@pytest.mark.parametrize("text", ["", "[]", "{}"])
def test_a_failure_that_tells_nothing_is_a_failure(project: Project, plan, text: str) -> None:
    folder = project.root / "results/scale/cells" / LFT / "attempts/train"
    folder.mkdir(parents=True)
    (folder / "failure.json").write_text(text)
    assert cells(plan(small("lft")))[LFT]["state"] == "failed"


def test_a_control_is_done_when_it_has_answered(project: Project, plan) -> None:
    value = preset() | {"grid": [{"models": ["phi-1.5"], "methods": ["base"], "evalsets": ["just-eval-instruct"]}]}
    assert cells(plan(value))["phi-1.5/none/base"]["state"] == "new"
    answers = project.root / "results/scale/cells/phi-1.5/none/base/just-eval-instruct/responses.parquet"
    answers.parent.mkdir(parents=True)
    answers.touch()
    assert cells(plan(value))["phi-1.5/none/base"]["state"] == "done"


def test_measured_runs_replace_the_assumption(project: Project, plan) -> None:
    site_file = project.write(SITE, "lab.yaml")
    before = cells(plan(small("lft"), "--site", site_file))
    for cell, seconds in ((LFT, 10.0), ("llama-2-7b/alpaca@10k/lft", 20.0)):
        project.finish(cell, "lora", wall_seconds=seconds)
    project.finish("phi-1.5/alpaca@1k/lft", "lora", preset="other", wall_seconds=1e9, device="NVIDIA A100-SXM4-80GB")
    planned = plan(small("lft"), "--site", site_file)
    row = cells(planned)[LFT]
    assert row["gpu_hours_measured"] == pytest.approx(10 / 3600)
    assert row["memory_measured"] == 20e9
    assert planned["device"]["measured_runs"] == 2
    # each is estimated from the other alone, which was twice as slow (or fast) at the same work
    assert "off by 75% (median), 100% (worst)" in planned["device"]["told"]
    same_work = before[LFT]["gpu_hours"] * planned["device"]["flops_per_second"] / before[LFT]["flops"]
    assert same_work > 0
    other = project.root / "results/scale/cells/llama-2-7b/alpaca@10k/lft/manifest.json"
    other.unlink()
    alone = cells(plan(small("lft"), "--site", site_file))
    assert alone[LFT]["gpu_hours"] == pytest.approx(before[LFT]["gpu_hours"])  # not calibrated on itself
    assert alone["llama-2-7b/alpaca@10k/lft"]["gpu_hours"] != pytest.approx(
        before["llama-2-7b/alpaca@10k/lft"]["gpu_hours"]
    )


def test_runs_of_another_preset_calibrate_this_one(project: Project, plan) -> None:
    project.finish(LFT, "lora", preset="other")
    site_file = project.write(SITE, "lab.yaml")
    assert plan(small("lft"), "--site", site_file)["device"]["measured_runs"] == 1


def test_without_a_site_the_plan_is_for_the_device_of_the_runs(project: Project, plan) -> None:
    project.finish(LFT, "lora", device="CPU AMD EPYC", world_size=1)
    planned = plan(small("lft"))
    row = cells(planned)["llama-2-7b/alpaca@10k/lft"]
    assert planned["device"]["name"] == "CPU AMD EPYC"
    assert row["fewest_gpus"] is None
    assert row["memory"]["parameters"] > 4 * 6738415616  # float32 there
    assert cells(planned)[LFT]["memory_measured"] is None


def test_what_does_not_fit_is_said(project: Project, plan) -> None:
    site_file = project.write(SITE, "lab.yaml")
    value = preset()
    value["grid"][0] |= {"models": ["llama-2-70b", "llama-2-13b"], "datasets": ["lima"]}
    roomy = {"lora": {"micro_batch": 8, "micro_tokens": None, "gradient_checkpointing": False}}
    value["overrides"] = {"models": {"llama-2-13b": {"launch": roomy}}}
    planned = plan(value, "--site", site_file)
    warnings = "\n".join(planned["warnings"])
    assert "llama-2-70b/lima/sft: asks for 24 GPUs, and a job can get 8" in warnings
    assert "no number of GPUs up to 8 holds it as launched" in warnings
    assert "llama-2-13b/lima/lft: needs" in warnings
    value["overrides"] = {
        "models": {"llama-2-70b": {"threads": 64, "launch": {"lora": {"ranks": 64, "deepspeed": None}}}}
    }
    warnings = "\n".join(plan(value, "--site", site_file)["warnings"])
    assert "64 ranks are more than its batch of 32 instances" in warnings
    assert "asks for 64 CPU threads, and a node has 32" in warnings
    assert "552 GB of main memory on its first node, which has 500 GB" in warnings


def test_a_checkpoint_that_takes_longer_than_the_notice_is_said(project: Project, plan) -> None:
    value = preset()
    value["grid"][0] |= {"models": ["llama-2-70b", "llama-2-7b"], "datasets": ["lima", "dolly"]}
    site_file = project.write(SITE, "lab.yaml")
    (warning,) = [text for text in plan(value, "--site", site_file)["warnings"] if "notice_seconds" in text]
    assert warning.startswith("llama-2-70b/lima/sft and 1 more: a checkpoint of 966 GB takes about 483 s")
    patient = project.write(SITE | {"notice_seconds": 600}, "patient.yaml")
    assert not any("notice_seconds" in text for text in plan(value, "--site", patient)["warnings"])
    assert not any("notice_seconds" in text for text in plan(value)["warnings"])


def test_what_is_unknown_is_said_and_not_counted_as_nothing(plan) -> None:
    entry = {"source": {"hub": "me/model"}, "parameters": 5}
    data = {"source": {"hub": "me/data"}, "format": "alpaca", "rows": 64}
    value = small("lft", overrides={"models": {"mine": entry}, "datasets": {"own": data}})
    value["grid"][0] |= {"models": ["mine", "phi-1.5"], "datasets": ["own", "alpaca"]}
    planned = plan(value)
    assert cells(planned)["mine/alpaca/lft"]["gpu_hours"] is None
    assert cells(planned)["mine/alpaca/lft"]["steps"] == 4876
    assert cells(planned)["phi-1.5/own/lft"]["tokens"] is None
    assert cells(planned)["phi-1.5/own/lft"]["trainable"] > 0
    assert planned["totals"]["unknown"] == 3
    assert any("add `architecture`" in warning for warning in planned["warnings"])
    assert any("lengths of own are unknown" in warning for warning in planned["warnings"])


def test_a_prepared_subset_has_its_own_lengths(project: Project, plan) -> None:
    """A subset of a sorted dataset, such as the longest instances, is not as long as the whole one on average."""

    def tokens() -> float:
        return cells(plan(small("lft")))["llama-2-7b/alpaca@1k/lft"]["tokens"]

    def prepare(name: str, response: str) -> None:
        row = {"id": "0" * 16, "instruction": "Say.", "response": response, "source": "alpaca", "row": 0}
        write_parquet([row] * 1000, INSTANCES, project.root / f"results/scale/data/{name}.parquet")

    prepare("alpaca", "short")
    of_whole = tokens()
    prepare("alpaca@1k", "much longer " * 50)
    assert tokens() > 2 * of_whole


def test_a_wrong_parameter_count_in_the_catalog_is_said(plan) -> None:
    planned = plan(small("lft", overrides={"models": {"llama-2-7b": {"parameters": 7000000000}}}))
    assert any("found 7,000,000,000, expected 6,738,415,616" in warning for warning in planned["warnings"])


def test_what_is_still_to_do_costs(project: Project, plan) -> None:
    site_file = project.write(SITE, "lab.yaml")
    project.finish(LFT, "lora")
    totals = plan(small("lft"), "--site", site_file)["totals"]
    assert totals["cost_to_do"] == pytest.approx(2 * totals["gpu_hours_to_do"])
    assert totals["gpu_hours_to_do"] < totals["gpu_hours"]
    assert totals["gpu_hours_of_done"]["measured"] == pytest.approx(10 / 3600)


H100 = SITE["gpus"]["h100"]
MISTAKES = {
    "unknown key": ({"gpus_": {}}, ["gpus_", "no such key"]),
    "unknown key of a gpu": (
        {"gpus": {"h100": H100 | {"partitio": "x"}}},
        ["gpus.h100.partitio", "did you mean partition?"],
    ),
    "no gpus": ({"gpus": {}}, ["gpus", "at least 1 item"]),
    "text for a number": (
        {"gpus": {"h100": H100 | {"gpu_memory_gb": "80"}}},
        ["gpus.h100.gpu_memory_gb", "a number"],
    ),
    "no memory": ({"gpus": {"h100": H100 | {"gpu_memory_gb": 0}}}, ["greater than 0"]),
    "mfu in percent": (
        {"gpus": {"h100": H100 | {"mfu": 40.0}}},
        ["gpus.h100.mfu", "less than or equal to 1"],
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_site_is_refused_by_name(project: Project, plan, mistake: str) -> None:
    change, expected = MISTAKES[mistake]
    file = project.write(SITE | change, "lab.yaml")
    with pytest.raises(SystemExit):
        plan(small("lft"), "--site", file)
    with pytest.raises(CloserlookError) as error:
        site.read(Path(file))
    for part in ("lab.yaml", *expected):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--site", "config/no.yaml"], "config/no.yaml: cannot be read"),
        (["--gpu", "h100"], "expected --site FILE or config/site.yaml"),
        (["--site", "config/site.example.yaml", "--gpu", "h10"], "did you mean h100?"),
    ],
)
def test_a_wrong_argument_is_refused(
    plan, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    with pytest.raises(SystemExit):
        plan(small("lft"), *arguments)
    assert expected in capsys.readouterr().err


def test_the_example_site_is_right_and_read_by_its_default_name(project: Project, plan) -> None:
    assert list(site.read(REPOSITORY / "config/site.example.yaml").gpus) == ["h100", "a100"]
    (project.root / "config/site.example.yaml").rename(project.root / "config/site.yaml")
    assert plan(small("lft"))["device"]["partition"] == "gpu-h100"
    assert plan(small("lft"), "--gpu", "a100")["device"]["partition"] == "gpu-a100"


def test_the_table_says_what_the_json_says(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project.finish(LFT, "lora")
    file = project.write(small("lft", "sft"))
    monkeypatch.setattr("sys.argv", ["closerlook", "plan", "--configfile", file, "--site", "config/site.example.yaml"])
    cli.main()
    text = capsys.readouterr().out
    assert text.splitlines()[1].split()[:4] == [LFT, "done", "6.74B", "20.0M"]
    assert "4 cells: 1 done, 3 new" in text
    assert "the median of 1 finished run (" in text
    assert "generate: roughly" in text


def test_160_cells_are_planned_without_torch(project: Project) -> None:
    check_planned_without_torch(project, seeds=1)
