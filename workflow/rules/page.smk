localrules:
    page,


rule page:
    """The static site on which people look: tables, figures, every answer, and a way to annotate them."""
    input:
        CELL_FILES,
        TABLE_FILES,
        FIGURE_FILES,
        "results/{preset}/grid.csv",
    output:
        "results/{preset}/report/index.html",
    log:
        "results/{preset}/logs/page.log",
    conda:
        "../../envs/closerlook.yaml"
    shell:
        "python workflow/scripts/page.py --results results/{wildcards.preset} --out results/{wildcards.preset}/report 2> {log}"
