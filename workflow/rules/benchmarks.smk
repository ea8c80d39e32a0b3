# Scores of base and tuned models on tasks with known answers.
from closerlook.config.benchmarks import MINIATURE

TASK_FILES = [
    at(layout.tasks()) if file == MINIATURE else file
    for file in CONFIG.preset.benchmarks
]


if CONFIG.tasks:

    rule benchmarks:
        """A model's score on each item of each task. One job per cell, so that no cell waits for another one."""
        input:
            model=at(layout.model("{model}")),
            tuned=tuned_model,
            tasks=TASK_FILES,
            data=[task.file for task in CONFIG.tasks.values()],
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
            supervised=supervised("benchmarks"),
            python=evaluation_launcher,
            gpus=gpus_flag,
            batch_size=batch_size,
            batch_tokens=batch_tokens,
            engine=engine,
        shell:
            "{params.supervised} --log {log} -- {params.python} "
            + script("benchmark")
            + " --model {input.model} {params.tuned} --tasks {input.tasks} --out {params.out} --engine {params.engine}"
            " --batch-size {params.batch_size} --batch-tokens {params.batch_tokens} {params.gpus} 2> {log}"
