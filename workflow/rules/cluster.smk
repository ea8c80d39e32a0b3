# How jobs run: their programs, their resources, and who supervises them. Nothing here decides a result, so it reaches a rule only
# through resources and through params that ask for `resources`: Snakemake takes both for derived, and a change trains nothing again.
import signal

from closerlook.cluster.driver import start_driving
from closerlook.config import site as sites
from closerlook.config.problems import refuse
from closerlook.config.settings import EngineSettings
from closerlook.config.stages import stages
from closerlook.plan.resources import LOCAL_NAMES, NAMES, ResourcePlanner, problems

# Slurm's notice before a time limit reaches all processes of a job step. It is meant for the training, which handles it, and would
# end the Snakemake that runs the job there.
signal.signal(signal.SIGUSR2, signal.SIG_IGN)

SITE_FILE = Path("config/site.yaml")
SITE = None
if SITE_FILE.is_file():
    try:
        SITE = sites.read(SITE_FILE)
        refuse(
            problems(CONFIG, SITE, CONFIGFILES[-1] if CONFIGFILES else str(SITE_FILE))
        )
    except CloserlookError as error:
        raise WorkflowError(str(error)) from None
    if SITE.modules:
        shell.prefix(f"module load {shlex.join(SITE.modules)}; ")

RESOURCES = ResourcePlanner(CONFIG, SITE)
SUPERVISE = script("supervise")


def asks(of):
    """The resources of a job, one callable per name, as Snakemake wants them."""
    return {
        name: lambda wildcards, attempt, name=name: of(wildcards, attempt).get(name)
        for name in (NAMES if SITE else LOCAL_NAMES)
    }


def on_cpu(hours, gigabytes):
    """A job on a CPU that nobody supervises."""
    return lambda wildcards, attempt: RESOURCES.cpu(hours, gigabytes)


def watched(hours, gigabytes):
    """A supervised job on a CPU."""
    return lambda wildcards, attempt: RESOURCES.watched(hours, gigabytes, attempt)


def running_the_model(folder, stage):
    """A job that runs a cell's models, and writes into a folder of its evalset's."""
    return lambda wildcards, attempt: RESOURCES.evaluate(
        cell_of(wildcards),
        str(Path(wildcards.evalset) / folder),
        stage.format(marker=wildcards.get("marker")),
        attempt,
    )


def threads_of(wildcards):
    return CATALOG.models[wildcards.model].threads


def resume_words():
    """The flags of a printed command that resumes this run."""
    return [*run_words(not workflow.local_exec), *CONFIG_WORDS]


def python_for(ranks, threads):
    """What starts a program: Python, or one Python per rank."""
    if ranks == 1:
        return "python"
    if not workflow.local_exec or workflow.remote_exec:
        return f"srun --kill-on-bad-exit=1 --cpus-per-task={threads} python"
    return f"torchrun --standalone --nproc-per-node={ranks}"


def evaluation_program(wildcards, resources):
    """What starts a program that runs a model over an evalset."""
    model = CATALOG.models[wildcards.model]
    return python_for(model.generate.ranks, model.threads)


def spread(wildcards, resources):
    """The GPUs that one rank's model is spread over, where they are several."""
    gpus = CATALOG.models[wildcards.model].generate.gpus
    return f"--gpus {gpus}" if gpus > 1 else ""


def halved(number, resources):
    """A batch size, halved for each time that the job ran out of memory: the same result in more parts."""
    return max(1, number >> resources.halvings)


def supervised(stage, identity=lambda wildcards: ""):
    """The beginning of a job's command: the program that supervises the rest (closerlook.cluster.supervise).

    stage: may name wildcards in braces. identity: all that decides the result, but for the inputs.
    """

    def words(wildcards, input, output, resources):
        folder = Path(output[-1]).parent
        # `exec` leaves no shell between Slurm's signals and the program.
        return (
            f"exec python {SUPERVISE} --stage {stage.format(wildcards=wildcards)} --folder {folder} --outputs {output}"
            f" --inputs {input} --identity {shlex.quote(identity(wildcards))} --tries {resources.tries}"
            f" --notice {SITE.notice_seconds if SITE else 0}"
        )

    return words


def drive():
    """Before the first job is submitted to Slurm: take over from a driver that was killed, or give way to one that lives."""
    if not SITE:
        raise WorkflowError(
            f"{SITE_FILE}: not found, and Slurm's partitions and GPUs are described there; "
            "copy config/site.example.yaml to it, put your own numbers in, and check it with `closerlook doctor`"
        )
    jobs = [
        (Path(at(stage.folder)), stage.name)
        for cell in CONFIG.cells
        for stage in stages(CONFIG, cell)
    ]
    try:
        for line in start_driving(
            Path(RESULTS), workflow.scheduler._executor.run_uuid, jobs
        ):
            print(line)
    except CloserlookError as error:
        raise WorkflowError(str(error)) from None
