# Who marks the spans of a response that are hallucinated: the truth, a judge, the model's own other responses, or people.
from closerlook.config.markers import (
    ConsistencyMarker,
    HumanMarker,
    JudgeMarker,
    MarkPrompt,
    OracleMarker,
)

MARKERS = {name: CATALOG.markers[name] for name in CONFIG.preset.all_markers}
SPANS_STAGE = "spans-{wildcards.marker}"


def markers_of(kind):
    return [name for name, marker in MARKERS.items() if isinstance(marker, kind)]


def marking_judge(wildcards):
    return CATALOG.judges[MARKERS[wildcards.marker].judge]


def marker_flags(wildcards):
    """Everything that decides which spans an API model quotes, except its inputs and its prompt's text."""
    prompt = settings_flags(MARKERS[wildcards.marker], MarkPrompt)
    return f"{prompt} {llm_flags(marking_judge(wildcards))}"


def consistency_flags(wildcards):
    return as_flags(MARKERS[wildcards.marker].consistency)


def sample_flags(wildcards):
    consistency = MARKERS[wildcards.marker].consistency
    return (
        f"--samples {consistency.samples} --temperature {consistency.temperature}"
        f" --seed {consistency.seed}"
    )


wildcard_constraints:
    marker=one_of(MARKERS),


localrules:
    spans_judge,
    spans_human,


rule spans_oracle:
    """Spans that contradict the miniature's truth."""
    input:
        responses=at(layout.responses(CELL, EVALSET)),
        world=at(layout.world()),
    output:
        at(layout.spans(CELL, EVALSET, "{marker}")),
    log:
        at(layout.log("spans", CELL, EVALSET, "{marker}")),
    wildcard_constraints:
        marker=one_of(markers_of(OracleMarker)),
    conda:
        "../../envs/closerlook.yaml"
    resources:
        **job_resources(supervised_cpu_job(hours=1, gigabytes=4)),
    params:
        supervised=supervised(SPANS_STAGE),
    shell:
        "{params.supervised} --log {log} -- python "
        + script("mark_spans")
        + " oracle --world {input.world} --responses {input.responses} --out {output} 2> {log}"


rule spans_judge:
    """Spans that an API model quotes. Runs where the network is; every answer is stored in results/judge_cache.sqlite."""
    input:
        responses=at(layout.responses(CELL, EVALSET)),
        evalset=at(layout.evalset(EVALSET)),
        prompt=lambda wildcards: ancient(MARKERS[wildcards.marker].prompt_file),
    output:
        at(layout.spans(CELL, EVALSET, "{marker}")),
    log:
        at(layout.log("spans", CELL, EVALSET, "{marker}")),
    wildcard_constraints:
        marker=one_of(markers_of(JudgeMarker)),
    conda:
        "../../envs/closerlook.yaml"
    resources:
        **job_resources(supervised_cpu_job(hours=1, gigabytes=4)),
    params:
        flags=marker_flags,
        prompt=lambda wildcards: sha256(Path(MARKERS[wildcards.marker].prompt_file)),
        supervised=supervised(SPANS_STAGE, marker_flags),
        pace=lambda wildcards, resources: pace_flags(
            marking_judge(wildcards), CONFIG.preset
        ),
    shell:
        "{params.supervised} --log {log} -- python "
        + script("mark_spans")
        + " judge --responses {input.responses} --evalset {input.evalset}"
        f" --cache {ANSWER_CACHE}"
        " --out {output} {params.flags} {params.pace} 2> {log}"


rule samples:
    """Several sampled responses to each instruction, of the model whose spans are to be marked."""
    input:
        model=at(layout.model("{model}")),
        tuned=tuned_model,
        evalset=at(layout.evalset(EVALSET)),
    output:
        at(layout.samples(CELL, EVALSET, "{marker}")),
    log:
        at(layout.log("samples", CELL, EVALSET, "{marker}")),
    wildcard_constraints:
        marker=one_of(markers_of(ConsistencyMarker)),
    conda:
        "../../envs/closerlook.yaml"
    threads: threads_of
    resources:
        **job_resources(model_job("samples", "samples-{marker}")),
    params:
        config=at(layout.cell_config(CELL)),
        digest=generation_digest,
        tuned=tuned_flag,
        sampling=sample_flags,
        supervised=supervised(
            "samples-{wildcards.marker}",
            lambda wildcards: f"{sample_flags(wildcards)} {generation_digest(wildcards)}",
        ),
        python=evaluation_launcher,
        gpus=gpus_flag,
        batch_size=batch_size,
        engine=engine,
    shell:
        "{params.supervised} --log {log} -- {params.python} "
        + script("generate")
        + " --config {params.config} --model {input.model} {params.tuned} --evalset {input.evalset} --out {output}"
        " --engine {params.engine} --batch-size {params.batch_size} {params.gpus} {params.sampling} 2> {log}"


rule spans_consistency:
    """Spans that the model's own other responses contradict."""
    input:
        responses=at(layout.responses(CELL, EVALSET)),
        evalset=at(layout.evalset(EVALSET)),
        samples=at(layout.samples(CELL, EVALSET, "{marker}")),
    output:
        at(layout.spans(CELL, EVALSET, "{marker}")),
    log:
        at(layout.log("spans", CELL, EVALSET, "{marker}")),
    wildcard_constraints:
        marker=one_of(markers_of(ConsistencyMarker)),
    conda:
        "../../envs/closerlook.yaml"
    resources:
        **job_resources(supervised_cpu_job(hours=1, gigabytes=4)),
    params:
        settings=consistency_flags,
        supervised=supervised(SPANS_STAGE, consistency_flags),
    shell:
        "{params.supervised} --log {log} -- python "
        + script("mark_spans")
        + " consistency --sampled {input.samples} --responses {input.responses} --evalset {input.evalset}"
        " --out {output} {params.settings} 2> {log}"


rule spans_human:
    """Spans that people marked, from their file."""
    input:
        responses=at(layout.responses(CELL, EVALSET)),
        file=lambda wildcards: MARKERS[wildcards.marker].human,
    output:
        at(layout.spans(CELL, EVALSET, "{marker}")),
    log:
        at(layout.log("spans", CELL, EVALSET, "{marker}")),
    wildcard_constraints:
        marker=one_of(markers_of(HumanMarker)),
    conda:
        "../../envs/closerlook.yaml"
    resources:
        **job_resources(supervised_cpu_job(hours=1, gigabytes=4)),
    params:
        cell=CELL,
        supervised=supervised(SPANS_STAGE),
    shell:
        "{params.supervised} --log {log} -- python "
        + script("mark_spans")
        + " human --file {input.file} --cell {params.cell} --evalset-name {wildcards.evalset}"
        " --responses {input.responses} --out {output} 2> {log}"
