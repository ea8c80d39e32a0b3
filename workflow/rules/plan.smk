# Estimates of what a run takes, before it starts.
import time

from closerlook.plan.text import write_plan


localrules:
    plan,


rule plan:
    """Write the estimates of `closerlook plan`. Not part of `all`; runs each time that it is requested."""
    output:
        json=at(layout.PLAN),
        text=at(layout.PLAN_TEXT),
    log:
        at(layout.log("plan")),
    params:
        # The plan depends on the state of every cell. As inputs, Snakemake would make the cells first.
        time=lambda wildcards: time.time_ns(),
    run:
        write_plan(CONFIG, SITE, *map(Path, output))
