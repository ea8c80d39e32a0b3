# Base models, in one folder each; the miniature's is trained here.
from closerlook.config.catalog import MiniatureModel

MINIATURE_MODELS = [
    name
    for name, model in CATALOG.models.items()
    if isinstance(model.source, MiniatureModel)
]


localrules:
    model,


rule model:
    """A base model's safetensors and tokenizer in one folder. Runs where the network is."""
    input:
        lambda wildcards: file_of(SOURCES.model(wildcards.model)),
    output:
        directory(at(layout.model("{model}"))),
    log:
        at(layout.log("models", "{model}")),
    conda:
        "../../envs/closerlook.yaml"
    params:
        source=at(layout.model_source("{model}")),
        identity=lambda wildcards: SOURCES.model(wildcards.model).model_dump(),
    shell:
        python("fetch_model") + " --source {params.source} --out {output} 2> {log}"


rule pretrain:
    """The miniature's base model, which must know its world."""
    input:
        corpus=at(layout.corpus()),
        world=at(layout.world()),
        few_shot=ancient(CONFIG.find("config/prompts/miniature_icl.txt")),
    output:
        directory(at(layout.model("{model}"))),
    log:
        at(layout.log("models", "{model}")),
    wildcard_constraints:
        model=one_of(MINIATURE_MODELS),
    conda:
        "../../envs/closerlook.yaml"
    # All of the run waits for it, and two threads compute the same bytes as one.
    threads: 2
    resources:
        **job_resources(cpu_job(hours=1, gigabytes=4)),
    params:
        miniature=lambda wildcards, input: Path(input.corpus).parent,
        settings=lambda wildcards: as_flags(
            CATALOG.models[wildcards.model].source.miniature
        ),
    shell:
        python("pretrain_miniature")
        + " --miniature {params.miniature} --few-shot {input.few_shot} --out {output} {params.settings} 2> {log}"


ruleorder: pretrain > model
