# Who marks the spans of a response that are hallucinated: the truth, a judge, the model's own other answers, or people.
wildcard_constraints:
    marker=one_of(MARKERS),


localrules:
    spans_judge,
    spans_human,


rule spans_oracle:
    """Spans that contradict the miniature's truth."""
    input:
        responses="results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/responses.parquet",
        world="results/{preset}/miniature/world.json",
    output:
        "results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/spans/{marker}.parquet",
    log:
        "results/{preset}/logs/spans/{model}/{dataset}/{run}/{evalset}/{marker}.log",
    wildcard_constraints:
        marker=one_of(markers_of(OracleMarker)),
    conda:
        "../../envs/closerlook.yaml"
    resources:
        **asks(watched(hours=1, gigabytes=4)),
    params:
        supervised=supervised(SPANS_STAGE, lambda wildcards: ""),
    shell:
        "{params.supervised} --log {log} -- python workflow/scripts/mark_spans.py oracle --world {input.world}"
        " --responses {input.responses} --out {output} 2> {log}"


rule spans_judge:
    """Spans that a model behind an endpoint quotes. Runs where the network is; every answer is kept in results/judge_cache.sqlite."""
    input:
        responses="results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/responses.parquet",
        evalset="results/{preset}/evalsets/{evalset}.parquet",
        prompt=lambda wildcards: ancient(MARKERS[wildcards.marker].prompt_file),
    output:
        "results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/spans/{marker}.parquet",
    log:
        "results/{preset}/logs/spans/{model}/{dataset}/{run}/{evalset}/{marker}.log",
    wildcard_constraints:
        marker=one_of(markers_of(JudgeMarker)),
    conda:
        "../../envs/closerlook.yaml"
    resources:
        **asks(watched(hours=1, gigabytes=4)),
    params:
        asked=marker_asked,
        prompt=lambda wildcards, input: sha256(Path(input.prompt)),
        supervised=supervised(SPANS_STAGE, marker_asked),
        pace=marker_pace,
    shell:
        "{params.supervised} --log {log} -- python workflow/scripts/mark_spans.py judge --responses {input.responses}"
        " --evalset {input.evalset} --cache results/judge_cache.sqlite --out {output} {params.asked} {params.pace} 2> {log}"


rule samples:
    """Several answers to each instruction, drawn from the model that is to be marked."""
    input:
        model="results/{preset}/models/{model}",
        tuned=tuned_model,
        evalset="results/{preset}/evalsets/{evalset}.parquet",
    output:
        "results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/samples/{marker}.parquet",
    log:
        "results/{preset}/logs/samples/{model}/{dataset}/{run}/{evalset}/{marker}.log",
    wildcard_constraints:
        marker=one_of(markers_of(ConsistencyMarker)),
    conda:
        "../../envs/closerlook.yaml"
    threads: threads_of
    resources:
        **asks(working("samples", "samples-{marker}")),
    params:
        tuned=lambda wildcards, input: f"--tuned {input.tuned}" if input.tuned else "",
        settings=sample_settings,
        config=CELL_CONFIG,
        digest=generation_digest,
        supervised=supervised("samples-{wildcards.marker}", sample_identity),
        python=evaluation_program,
        spread=spread,
        batch_size=batch_size,
    shell:
        "{params.supervised} --log {log} -- {params.python} workflow/scripts/generate.py --config {params.config}"
        " --model {input.model} {params.tuned} --evalset {input.evalset} --out {output} --batch-size {params.batch_size}"
        " {params.spread} {params.settings} 2> {log}"


rule spans_consistency:
    """Spans that the model's own other answers contradict."""
    input:
        responses="results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/responses.parquet",
        evalset="results/{preset}/evalsets/{evalset}.parquet",
        samples="results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/samples/{marker}.parquet",
    output:
        "results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/spans/{marker}.parquet",
    log:
        "results/{preset}/logs/spans/{model}/{dataset}/{run}/{evalset}/{marker}.log",
    wildcard_constraints:
        marker=one_of(markers_of(ConsistencyMarker)),
    conda:
        "../../envs/closerlook.yaml"
    resources:
        **asks(watched(hours=1, gigabytes=4)),
    params:
        settings=lambda wildcards: as_flags(MARKERS[wildcards.marker].consistency),
        supervised=supervised(
            SPANS_STAGE,
            lambda wildcards: as_flags(MARKERS[wildcards.marker].consistency),
        ),
    shell:
        "{params.supervised} --log {log} -- python workflow/scripts/mark_spans.py consistency --sampled {input.samples}"
        " --responses {input.responses} --evalset {input.evalset} --out {output} {params.settings} 2> {log}"


rule spans_human:
    """Spans that people marked, out of their file."""
    input:
        responses="results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/responses.parquet",
        file=lambda wildcards: MARKERS[wildcards.marker].human,
    output:
        "results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/spans/{marker}.parquet",
    log:
        "results/{preset}/logs/spans/{model}/{dataset}/{run}/{evalset}/{marker}.log",
    wildcard_constraints:
        marker=one_of(markers_of(HumanMarker)),
    conda:
        "../../envs/closerlook.yaml"
    resources:
        **asks(watched(hours=1, gigabytes=4)),
    params:
        supervised=supervised(SPANS_STAGE, lambda wildcards: ""),
    shell:
        "{params.supervised} --log {log} -- python workflow/scripts/mark_spans.py human --file {input.file}"
        " --cell {wildcards.model}/{wildcards.dataset}/{wildcards.run} --evalset-name {wildcards.evalset}"
        " --responses {input.responses} --out {output} 2> {log}"
