rule grid:
    """The cells that the tables speak of."""
    output:
        "results/{preset}/grid.csv",
    log:
        "results/{preset}/logs/grid.log",
    params:
        rows=CONFIG.rows,
    run:
        write_csv(params.rows, Path(output[0]))


rule table:
    """One table: CSV, and Markdown and LaTeX drawn from it."""
    input:
        "results/{preset}/grid.csv",
        table_inputs,
    output:
        csv=report(
            "results/{preset}/tables/{table}.csv",
            caption="../report/table.rst",
            category="Tables",
            labels=labels,
        ),
        markdown="results/{preset}/tables/{table}.md",
        latex="results/{preset}/tables/{table}.tex",
    log:
        "results/{preset}/logs/tables/{table}.log",
    conda:
        "../../envs/closerlook.yaml"
    params:
        caption=lambda wildcards: TABLES[wildcards.table].caption,
    shell:
        "python workflow/scripts/table.py {wildcards.table} --results results/{wildcards.preset} --out {output.csv} 2> {log}"


rule figure:
    """One figure, drawn from its table, and a page with its caption."""
    input:
        figure_inputs,
    output:
        svg=report(
            "results/{preset}/figures/{figure}.svg",
            caption="../report/figure.rst",
            category="Figures",
            labels=labels,
        ),
        png="results/{preset}/figures/{figure}.png",
        pdf="results/{preset}/figures/{figure}.pdf",
        page="results/{preset}/figures/{figure}.md",
    log:
        "results/{preset}/logs/figures/{figure}.log",
    conda:
        "../../envs/closerlook.yaml"
    params:
        caption=lambda wildcards: FIGURES[wildcards.figure].caption,
    shell:
        "python workflow/scripts/figure.py {wildcards.figure} --results results/{wildcards.preset} --out {output.svg} 2> {log}"
