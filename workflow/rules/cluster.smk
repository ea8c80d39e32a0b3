# Launch of jobs: programs, resources, supervision. None of it decides a result, so rules take it only through resources and through
# params that take `resources`. Snakemake does not rerun a job when these change.
import signal

from snakemake.jobs import Job

from closerlook.cluster import fork_server
from closerlook.cluster.driver import start_driving
from closerlook.cluster.gpus import VISIBLE, visible_gpus
from closerlook.cluster.scheduler import limit_timers
from closerlook.config import site as sites
from closerlook.config.problems import refuse
from closerlook.config.settings import EngineSettings
from closerlook.config.stages import stages
from closerlook.plan.resources import LOCAL_NAMES, NAMES, ResourcePlanner, problems

# Slurm sends its warning before a time limit to all processes of a job step. The training handles it; it would kill the Snakemake
# that runs the job on the node.
signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def set_attempt(job, attempt):
    """Start another attempt at a job. Snakemake itself keeps the params of the first one, though they depend on the resources."""
    job._attempt, job._resources, job._params = attempt, None, None


Job.attempt = Job.attempt.setter(set_attempt)

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

GPUS_IN_USE = "gpus_in_use"
JOBS_RUN_HERE = workflow.local_exec and not workflow.remote_exec and not workflow.dryrun
LOCAL_GPUS = None
if JOBS_RUN_HERE and (gpus := visible_gpus()):
    # Nobody else assigns them: Snakemake counts them, and the supervisor of each job chooses among these.
    os.environ[VISIBLE] = ",".join(gpus)
    if GPUS_IN_USE not in workflow.global_resources:
        workflow.register_resource(GPUS_IN_USE, len(gpus))
    LOCAL_GPUS = min(len(gpus), workflow.global_resources[GPUS_IN_USE].value)

RESOURCES = ResourcePlanner(CONFIG, SITE, LOCAL_GPUS)
SUPERVISE = script("supervise")


def job_resources(resources_of):
    """Resources of a job as Snakemake expects them: one callable per name."""
    return {
        name: lambda wildcards, attempt, name=name: resources_of(
            wildcards, attempt
        ).get(name)
        for name in (NAMES if SITE else LOCAL_NAMES)
    }


def cpu_job(hours, gigabytes):
    """Resources of an unsupervised job without a GPU."""
    return lambda wildcards, attempt: RESOURCES.cpu(hours, gigabytes)


def supervised_cpu_job(hours, gigabytes):
    """Resources of a supervised job without a GPU."""
    return lambda wildcards, attempt: RESOURCES.watched(hours, gigabytes, attempt)


def model_job(folder, stage):
    """Resources of a job that runs a cell's models and writes to a subfolder of its evalset."""
    return lambda wildcards, attempt: RESOURCES.evaluate(
        cell_of(wildcards),
        str(Path(wildcards.evalset) / folder),
        stage.format(marker=wildcards.get("marker")),
        attempt,
    )


def threads_of(wildcards):
    return CATALOG.models[wildcards.model].threads


def resume_words():
    """Flags of the printed commands that resume this run."""
    return [*run_words(not workflow.local_exec), *CONFIG_WORDS]


def launcher(ranks, threads):
    """The command that starts a program, in one process per rank."""
    if ranks == 1:
        return "python"
    if not workflow.local_exec or workflow.remote_exec:
        return f"srun --kill-on-bad-exit=1 --cpus-per-task={threads} python"
    return f"torchrun --standalone --nproc-per-node={ranks}"


def evaluation_launcher(wildcards, resources):
    """The command that starts a program that runs a model on an evalset."""
    model = CATALOG.models[wildcards.model]
    return launcher(model.generate.ranks, model.threads)


def gpus_flag(wildcards, resources):
    """The flag for the GPUs of each rank's model, if there are several."""
    gpus = CATALOG.models[wildcards.model].generate.gpus
    return f"--gpus {gpus}" if gpus > 1 else ""


def halved(number, resources):
    """A batch size, halved each time that the job ran out of memory. The result stays the same, except for rounding."""
    return max(1, number >> resources.halvings)


def supervised(stage, identity=lambda wildcards: ""):
    """The start of a job's command: the program that supervises the rest (closerlook.cluster.supervise).

    stage: may contain wildcards in braces. identity: everything that decides the result, except the inputs.
    """

    def words(wildcards, input, output, resources):
        folder = Path(output[-1]).parent
        # `exec` leaves no shell between Slurm's signals and the program.
        gpus = (
            f" --gpus {resources.get(GPUS_IN_USE, 0)}" if LOCAL_GPUS is not None else ""
        )
        return (
            f"exec python {SUPERVISE} --stage {stage.format(wildcards=wildcards)} --folder {folder} --outputs {output}"
            f" --inputs {input} --identity {shlex.quote(identity(wildcards))} --tries {resources.tries}"
            f" --notice {SITE.notice_seconds if SITE else 0}{gpus}"
        )

    return words


def drive():
    """Become the driver before the first job is submitted to Slurm. Raises WorkflowError if there is another."""
    if not SITE:
        raise WorkflowError(
            f"{SITE_FILE}: not found; it describes Slurm's partitions and GPUs. "
            "Copy config/site.example.yaml to it, enter your own numbers, and run `closerlook doctor`"
        )
    jobs = [
        (Path(at(stage.folder)), stage.name)
        for cell in CONFIG.cells
        for stage in stages(CONFIG, cell)
    ]
    try:
        for message in start_driving(
            Path(RESULTS), workflow.scheduler._executor.run_uuid, jobs
        ):
            print(message)
    except CloserlookError as error:
        raise WorkflowError(str(error)) from None
