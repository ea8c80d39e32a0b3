"""What the rules use of Snakemake that its documentation does not promise. Where a test fails, a rule file has to follow."""

import inspect
from pathlib import Path

import pytest
import snakemake.cli  # noqa: F401  (first: snakemake.modules and snakemake.workflow import each other)
import snakemake_executor_plugin_slurm
from snakemake.jobs import Job
from snakemake.modules import WorkflowModifier
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake.settings.types import ConfigSettings
from snakemake.workflow import Workflow

WORKFLOW = {
    "is_main_process": "common.smk and Snakefile: only the main process writes config.json and drives Slurm",
    "local_exec": "cluster.smk: whether jobs run on this machine",
    "remote_exec": "cluster.smk: whether this process runs a job on a node",
    "dryrun": "cluster.smk: whether jobs run at all",
    "register_resource": "cluster.smk: the number of GPUs of this machine",
    "overwrite_configfiles": "common.smk and Snakefile: the --configfile of the command line",
    "current_basedir": "common.smk: where the rules and programs of this workflow are",
    "source_path": "common.smk: the programs of a workflow that is fetched",
    "scheduler": "cluster.smk: drive() asks its executor for the run's name in Slurm; Snakefile: limit_timers()",
}


@pytest.mark.parametrize("name", WORKFLOW)
def test_the_workflow_object_has_what_the_rules_use(name: str) -> None:
    assert hasattr(Workflow, name), f"snakemake.workflow.Workflow.{name} is gone; used in {WORKFLOW[name]}"


def test_the_flags_of_the_command_line_can_be_read_back() -> None:
    assert ConfigSettings(config={"a": 1}).config == {"a": 1}, "common.smk: CONFIG_WORDS"
    source = Path(inspect.getfile(Workflow)).read_text(encoding="utf-8")
    assert "self.configfiles = " in source, "common.smk: CONFIGFILES"


def test_resources_can_be_limited_by_the_rules() -> None:
    assert "self.global_resources[name] = value" in inspect.getsource(Workflow.register_resource), "cluster.smk"


def test_a_module_is_told_from_the_main_snakefile() -> None:
    assert hasattr(WorkflowModifier, "is_main_snakefile"), "common.smk: config.json of a workflow used as a module"


def test_a_run_s_name_in_slurm_is_known() -> None:
    assert "_executor" in inspect.getsource(JobScheduler), "cluster.smk: workflow.scheduler._executor"
    executor = inspect.getsource(snakemake_executor_plugin_slurm.Executor)
    assert "self.run_uuid" in executor, "cluster.smk: the name that Slurm knows a run's jobs by"


def test_another_attempt_resets_what_cluster_smk_resets() -> None:
    assert inspect.getsource(Job.attempt.fset).count("self._") == 2, "cluster.smk: set_attempt"
    assert "_params is None" in inspect.getsource(Job.params.fget), "cluster.smk: set_attempt"


def test_the_schedulers_timers_can_be_limited() -> None:
    source = inspect.getsource(JobScheduler)
    assert "def _schedule_reevalutation(self, delay" in source, "closerlook.cluster.scheduler replaces it"
    assert "self._open_jobs.release()" in inspect.getsource(JobScheduler._schedule_reevalutation)
