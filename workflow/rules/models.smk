rule model:
    """A base model's safetensors and tokenizer in one folder. Runs where the network is."""
    input:
        lambda wildcards: file_of(CATALOG.models[wildcards.model].source),
    output:
        directory("results/{preset}/models/{model}"),
    log:
        "results/{preset}/logs/models/{model}.log",
    conda:
        "../../envs/closerlook.yaml"
    params:
        source=lambda wildcards: json_flag(CATALOG.models[wildcards.model].source),
    shell:
        "python workflow/scripts/fetch_model.py --source {params.source} --out {output} 2> {log}"


rule pretrain:
    """The miniature's base model, which must know its world."""
    input:
        corpus="results/{preset}/miniature/corpus.txt",
        world="results/{preset}/miniature/world.json",
        few_shot=ancient("config/prompts/miniature_icl.txt"),
    output:
        directory("results/{preset}/models/{model}"),
    log:
        "results/{preset}/logs/models/{model}.log",
    wildcard_constraints:
        model=one_of(MINIATURE_MODELS),
    conda:
        "../../envs/closerlook.yaml"
    resources:
        **asks(on_cpu(hours=1, gigabytes=4)),
    params:
        settings=lambda wildcards: as_flags(
            CATALOG.models[wildcards.model].source.miniature
        ),
    shell:
        "python workflow/scripts/pretrain_miniature.py --miniature results/{wildcards.preset}/miniature"
        " --few-shot {input.few_shot} --out {output} {params.settings} 2> {log}"


ruleorder: pretrain > model
