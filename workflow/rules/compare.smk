localrules:
    compare,


rule compare:
    """How the responses of a cell tuned on a simplified dataset compare with its like. Runs where the network is."""
    input:
        original=original_responses,
        simplified="results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/responses.parquet",
        evalset="results/{preset}/evalsets/{evalset}.parquet",
        by=comparer_files,
    output:
        "results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/pairwise/{comparer}.parquet",
    log:
        "results/{preset}/logs/compare/{model}/{dataset}/{run}/{evalset}/{comparer}.log",
    wildcard_constraints:
        dataset=one_of(cell.dataset for cell in CONFIG.originals),
        comparer=one_of([*CONFIG.preset.comparison.judges, configuration.LABELS]),
    conda:
        "../../envs/closerlook.yaml"
    params:
        by=comparing,
        prompt=lambda wildcards: (
            sha256(Path(CONFIG.preset.comparison.prompt_file))
            if isinstance(comparer(wildcards), OpenAIJudge)
            else ""
        ),
        pace=lambda wildcards, resources: paced(comparer(wildcards)),
    shell:
        "python workflow/scripts/compare.py --original {input.original} --simplified {input.simplified}"
        " --evalset {input.evalset} {params.by} {params.pace} --out {output} 2> {log}"
