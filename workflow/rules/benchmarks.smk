# Scores of base and tuned models on tasks with known answers.
from closerlook.config.benchmarks import MINIATURE, LocalTask, is_file

ENTRIES = [
    at(layout.tasks()) if entry == MINIATURE else entry
    for entry in CONFIG.preset.benchmarks
]


def task_definition(wildcards):
    harness = HARNESS_TASKS[wildcards.task].harness
    return harness if is_file(harness) else []


def data_flag(wildcards, input):
    return f"--data {Path(input.data[0]).parent}" if HARNESS_TASKS else ""


localrules:
    benchmark_data,


rule benchmark_data:
    """The data of a task of lm-evaluation-harness. Runs where the network is."""
    input:
        task_definition,
    output:
        directory(at(layout.benchmark_data("{task}"))),
    log:
        at(layout.log("benchmarks", "data", "{task}")),
    wildcard_constraints:
        task=one_of(HARNESS_TASKS),
    conda:
        "../../envs/closerlook.yaml"
    params:
        task=at(layout.benchmark_source("{task}")),
        identity=lambda wildcards: HARNESS_TASKS[wildcards.task].model_dump(),
    shell:
        python("fetch_benchmark") + " --task {params.task} --out {output} 2> {log}"


if CONFIG.tasks:

    rule benchmarks:
        """A model's score on each item of each task. One job per cell, so that no cell waits for another one."""
        input:
            model=at(layout.model("{model}")),
            tuned=tuned_model,
            tasks=[entry for entry in ENTRIES if is_file(entry)],
            own=[
                task.file
                for task in CONFIG.tasks.values()
                if isinstance(task, LocalTask)
            ],
            data=[at(layout.benchmark_data(name)) for name in HARNESS_TASKS],
        output:
            [at(layout.benchmark(CELL, task)) for task in CONFIG.tasks],
        log:
            at(layout.log("benchmarks", CELL)),
        conda:
            "../../envs/closerlook.yaml"
        threads: threads_of
        resources:
            **job_resources(
                lambda wildcards, attempt: RESOURCES.evaluate(
                    cell_of(wildcards), "benchmarks", "benchmarks", attempt
                )
            ),
        params:
            out=lambda wildcards, output: Path(output[0]).parent,
            tuned=tuned_flag,
            tasks=ENTRIES,
            data=data_flag,
            supervised=supervised("benchmarks"),
            python=evaluation_launcher,
            gpus=gpus_flag,
            batch_size=batch_size,
            batch_tokens=batch_tokens,
            engine=engine,
        shell:
            "{params.supervised} --log {log} -- {params.python} "
            + script("benchmark")
            + " --model {input.model} {params.tuned} --tasks {params.tasks:q} {params.data} --out {params.out} --engine {params.engine}"
            " --batch-size {params.batch_size} --batch-tokens {params.batch_tokens} {params.gpus} 2> {log}"
