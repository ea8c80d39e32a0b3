# closerlook: what did instruction tuning change, was it worth it, and where do the new mistakes come from?
# The stages, in the order data flows, are in workflow/rules/; the grid is in the preset (config/*.yaml).
from snakemake.utils import min_version

min_version("9.0")

if not workflow.overwrite_configfiles:

    configfile: "config/mini.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/cluster.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/generate.smk"
include: "workflow/rules/shift.smk"
include: "workflow/rules/benchmarks.smk"
include: "workflow/rules/retention.smk"
include: "workflow/rules/derive.smk"
include: "workflow/rules/judge.smk"
include: "workflow/rules/spans.smk"
include: "workflow/rules/trace.smk"
include: "workflow/rules/causal.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/plan.smk"


rule all:
    default_target: True
    input:
        # Not only tables and figures: Snakemake would not miss a deleted cell behind an up-to-date table.
        CELL_FILES,
        TABLE_FILES,
        FIGURE_FILES,
        CASE_FILES,
        at(layout.PAGE),


rule cells:
    input:
        CELL_FILES,


rule trained:
    input:
        MANIFESTS,


onstart:
    if workflow.is_main_process:
        limit_timers(workflow.scheduler)
        if workflow.local_exec:
            fork_server.start(source_file("../scripts/supervise.py").parent)
        else:
            drive()
        write_configs()


onerror:
    # Tables never wait for a failed cell: they are drawn from what is there, and name what is missing and how to fill it.
    draw_partial_report()
    rows = status(CONFIG, Path(RESULTS), resume_words())
    print("Status of each cell:", *status_lines(rows, whole=False), sep="\n")
