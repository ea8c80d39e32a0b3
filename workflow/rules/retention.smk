# What tuned models kept of their base, on general texts.
TEXTS = CONFIG.preset.retention


def text_flags(wildcards):
    text = CATALOG.texts[wildcards.text]
    words = ["--column", text.column, "--pieces", str(text.pieces)]
    words += [] if text.separator is None else ["--separator", text.separator]
    words += [] if text.draw is None else ["--draw", str(text.draw)]
    return shlex.join(words)


localrules:
    text,


rule text:
    """Pieces of a general text. Runs where the network is."""
    input:
        lambda wildcards: file_of(SOURCES.text(wildcards.text)),
    output:
        data=at(layout.text("{text}")),
        report=at(layout.text_report("{text}")),
    log:
        at(layout.log("texts", "{text}")),
    wildcard_constraints:
        text=one_of(TEXTS),
    conda:
        "../../envs/closerlook.yaml"
    params:
        source=at(layout.text_source("{text}")),
        identity=lambda wildcards: SOURCES.text(wildcards.text).model_dump(),
        flags=text_flags,
    shell:
        python("prepare_text")
        + " --source {params.source} {params.flags} --out {output.data} --report {output.report} 2> {log}"


if TEXTS:

    rule retention:
        """How likely a cell's model and its base find each piece of each text. A control is compared with itself."""
        input:
            base=at(layout.model("{model}")),
            tuned=tuned_model,
            texts=[at(layout.text(name)) for name in TEXTS],
        output:
            [at(layout.retention(CELL, name)) for name in TEXTS],
        log:
            at(layout.log("retention", CELL)),
        conda:
            "../../envs/closerlook.yaml"
        threads: threads_of
        resources:
            **job_resources(
                lambda wildcards, attempt: RESOURCES.evaluate(
                    cell_of(wildcards), "retention", "retention", attempt
                )
            ),
        params:
            tuned=lambda wildcards, input: input.tuned or input.base,
            supervised=supervised("retention"),
            python=evaluation_launcher,
            max_tokens=[CATALOG.texts[name].max_tokens for name in TEXTS],
            gpus=gpus_flag,
            batch_tokens=batch_tokens,
        shell:
            "{params.supervised} --log {log} -- {params.python} "
            + script("retention")
            + " --base {input.base} --tuned {params.tuned} --text {input.texts} --out {output}"
            " --max-tokens {params.max_tokens} --batch-tokens {params.batch_tokens} {params.gpus} 2> {log}"
