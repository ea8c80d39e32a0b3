# Datasets and evalsets made from others: simplified, the longest, filtered, ablated, paraphrased.
from closerlook.config.derived import (
    AblatedSource,
    ScoredSource,
    SimplifiedSource,
    ancestry,
)
from closerlook.config.judges import OpenAIJudge
from closerlook.core.files import sha256

ABLATED_DATASETS = [
    name
    for name in DERIVED_DATASETS
    if isinstance(CATALOG.datasets[name].source, AblatedSource)
]


def derivation(wildcards):
    return CATALOG.datasets[wildcards.name].source


def scored_dataset(wildcards):
    """The dataset whose rows have the scores of a filtered dataset; none where a file of its own holds them."""
    source = derivation(wildcards)
    if not isinstance(source, ScoredSource) or source.scores:
        return None
    *_, root = ancestry(wildcards.name, CATALOG.datasets)
    return root


def source_flag(wildcards):
    root = scored_dataset(wildcards)
    return f"--source {at(layout.dataset_source(root))}" if root else ""


def derivation_identity(wildcards):
    root = scored_dataset(wildcards)
    return [
        derivation(wildcards).model_dump(),
        SOURCES.dataset(root).model_dump() if root else None,
    ]


def scored_rows(wildcards):
    root = scored_dataset(wildcards)
    return file_of(SOURCES.dataset(root)) if root else []


def simplifying_judge(wildcards):
    source = derivation(wildcards)
    if isinstance(source, SimplifiedSource):
        return CATALOG.judges[source.simplify.by]
    return None


def simplify_prompt(wildcards):
    if isinstance(simplifying_judge(wildcards), OpenAIJudge):
        return [derivation(wildcards).simplify.prompt_file]
    return []


def ablation_inputs(wildcards):
    """The dataset that instances are left out of, and the spans of a cell that decide which."""
    ablation = derivation(wildcards).without
    dataset = CONFIG.cell_of[ablation.cell].dataset
    cell = (ablation.cell, ablation.evalset)
    return {
        "dataset": at(layout.dataset(dataset)),
        "index": at(layout.index(dataset)),
        "embeddings": embeddings_of(dataset),
        "evalset": at(layout.evalset(ablation.evalset)),
        "responses": at(layout.responses(*cell)),
        "spans": at(layout.spans(*cell, ablation.marker)),
        "trace": at(layout.trace(*cell, ablation.marker)),
    }


def paraphrase_of(wildcards):
    return CATALOG.evalsets[wildcards.evalset].source


def paraphrasing_judge(wildcards):
    return CATALOG.judges[paraphrase_of(wildcards).paraphrase.by]


def paraphrase_prompt(wildcards):
    if isinstance(paraphrasing_judge(wildcards), OpenAIJudge):
        return [paraphrase_of(wildcards).paraphrase.prompt_file]
    return []


localrules:
    derive,
    ablate,
    paraphrase,


rule derive:
    """A dataset made from another of the catalog. Runs where the network is: an API model may have to write it."""
    input:
        dataset=lambda wildcards: at(layout.dataset(derivation(wildcards).of)),
        scores=lambda wildcards: getattr(derivation(wildcards), "scores", None) or [],
        rows=scored_rows,
        prompt=lambda wildcards: [ancient(file) for file in simplify_prompt(wildcards)],
    output:
        data=at(layout.dataset("{name}")),
        report=at(layout.dataset_report("{name}")),
    log:
        at(layout.log("data", "{name}")),
    wildcard_constraints:
        name=one_of(set(DERIVED_DATASETS) - set(ABLATED_DATASETS)),
    conda:
        "../../envs/closerlook.yaml"
    params:
        transform=at(layout.dataset_source("{name}")),
        source=source_flag,
        identity=derivation_identity,
        prompt=lambda wildcards: [
            sha256(Path(file)) for file in simplify_prompt(wildcards)
        ],
        llm=lambda wildcards: llm_flags(simplifying_judge(wildcards)),
        pace=lambda wildcards, resources: pace_flags(
            simplifying_judge(wildcards), CONFIG.preset
        ),
    shell:
        python("derive_dataset")
        + " --name {wildcards.name} --dataset {input.dataset} --transform {params.transform} {params.source}"
        " {params.llm} {params.pace} --out {output.data} --report {output.report} 2> {log}"


rule ablate:
    """A dataset without the instances that spans of a cell were traced to, or without as many similar ones, for control."""
    input:
        unpack(ablation_inputs),
    output:
        data=at(layout.dataset("{name}")),
        report=at(layout.dataset_report("{name}")),
    log:
        at(layout.log("data", "{name}")),
    wildcard_constraints:
        name=one_of(ABLATED_DATASETS),
    conda:
        "../../envs/closerlook.yaml"
    params:
        transform=at(layout.dataset_source("{name}")),
        identity=derivation_identity,
    shell:
        python("derive_dataset")
        + " --name {wildcards.name} --dataset {input.dataset} --transform {params.transform}"
        " --evalset {input.evalset} --responses {input.responses} --spans {input.spans} --trace {input.trace}"
        " --index {input.index} --embeddings {input.embeddings} --out {output.data} --report {output.report} 2> {log}"


rule paraphrase:
    """An evalset in other words. Runs where the network is: an API model may have to write them."""
    input:
        evalset=lambda wildcards: at(layout.evalset(paraphrase_of(wildcards).of)),
        prompt=lambda wildcards: [
            ancient(file) for file in paraphrase_prompt(wildcards)
        ],
    output:
        data=at(layout.evalset(EVALSET)),
        report=at(layout.evalset_report(EVALSET)),
    log:
        at(layout.log("evalsets", EVALSET)),
    wildcard_constraints:
        evalset=one_of(PARAPHRASED_EVALSETS),
    conda:
        "../../envs/closerlook.yaml"
    params:
        transform=at(layout.evalset_source(EVALSET)),
        identity=lambda wildcards: paraphrase_of(wildcards).model_dump(),
        prompt=lambda wildcards: [
            sha256(Path(file)) for file in paraphrase_prompt(wildcards)
        ],
        llm=lambda wildcards: llm_flags(paraphrasing_judge(wildcards)),
        pace=lambda wildcards, resources: pace_flags(
            paraphrasing_judge(wildcards), CONFIG.preset
        ),
    shell:
        python("derive_evalset")
        + " --name {wildcards.evalset} --evalset {input.evalset} --transform {params.transform}"
        " {params.llm} {params.pace} --out {output.data} --report {output.report} 2> {log}"
