"""Files of a small Slurm: configuration, key and GPUs in one folder, and host names for its nodes."""

import fcntl
import os
import random
import shutil
import socket
import sys
from getpass import getuser
from pathlib import Path

NODES = ("n1", "n2")
GPUS = 4
HOSTS = Path("/etc/hosts")
KILL_WAIT = 10
"""Seconds between SIGTERM and SIGKILL, of jobs that are preempted, cancelled or out of time."""

_CONFIGURATION = """\
ClusterName=closerlook
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdSpoolDir={folder}/spool/%n
SlurmdPidFile={folder}/%n.pid
SlurmdLogFile={folder}/%n.log
# Nodes may have more cores than this machine.
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
TaskProlog={folder}/prolog
JobAcctGatherType=jobacct_gather/linux
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=500
GresTypes=gpu
SchedulerParameters=bf_interval=2,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
ReturnToService=2
KillWait={kill_wait}
# Finished jobs stay visible in squeue.
MinJobAge=3600
{nodes}
PartitionName=gpu Nodes=ALL Default=YES PriorityTier=1 MaxTime=INFINITE State=UP
PartitionName=cpu Nodes=ALL PriorityTier=1 MaxTime=INFINITE State=UP
PartitionName=urgent Nodes=ALL PriorityTier=10 MaxTime=INFINITE State=UP
"""
_NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} "
    f"CPUs=8 RealMemory=10000 Gres=gpu:h100:{GPUS} State=UNKNOWN"
)

# Precedes the real sbatch on PATH and logs its arguments.
_SBATCH = """\
#!{python}
import json, os, sys
with open({log!r}, "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
os.execv({sbatch!r}, ["sbatch", *sys.argv[1:]])
"""


def write(folder: Path, path: str) -> None:
    """Fill `folder`. path: a PATH with the real sbatch, which the wrapper in `folder`/bin calls."""
    folder.chmod(0o755)
    for name in ("state", "bin", *(f"spool/{node}" for node in NODES)):
        (folder / name).mkdir(parents=True)
    host = socket.gethostname().partition(".")[0]
    port, *ports = _free_ports(1 + len(NODES))
    nodes = [_NODE.format(name=name, host=host, port=port) for name, port in zip(NODES, ports, strict=True)]
    text = _CONFIGURATION.format(
        host=host, port=port, user=getuser(), folder=folder, kill_wait=KILL_WAIT, nodes="\n".join(nodes)
    )
    (folder / "slurm.conf").write_text(text)
    gpus = [folder / f"gpu{index}" for index in range(GPUS)]
    for gpu in gpus:
        gpu.symlink_to("/dev/null")  # with a plain file, Slurm names no job its GPUs
    # Torch finds no GPU there, and is told not to look for one.
    prolog = folder / "prolog"
    prolog.write_text("#!/bin/sh\necho export CUDA_VISIBLE_DEVICES=\n")
    prolog.chmod(0o755)
    files = f"{folder}/gpu[0-{GPUS - 1}]"
    (folder / "gres.conf").write_text(f"NodeName={','.join(NODES)} Name=gpu Type=h100 File={files}\n")
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o400)
    sbatch = shutil.which("sbatch", path=path)
    recorder = folder / "bin" / "sbatch"
    recorder.write_text(_SBATCH.format(python=sys.executable, log=str(folder / "sbatch.jsonl"), sbatch=sbatch))
    recorder.chmod(0o755)
    # Snakemake starts a job's program with a srun without Slurm's variables, SLURM_CONF included.
    srun = folder / "bin" / "srun"
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder / "slurm.conf"} exec {shutil.which("srun", path=path)} "$@"\n')
    srun.chmod(0o755)


def _free_ports(count: int) -> list[int]:
    """Ports below the ephemeral range, so that a restarted node finds its port free."""
    ports: set[int] = set()
    while len(ports) < count:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as listener:
            try:
                listener.bind(("", port))
            except OSError:
                continue
        ports.add(port)
    return sorted(ports)


def name_nodes(folder: Path) -> None:
    """Let the nodes' names resolve to this machine, where ranks meet at the first node."""
    try:
        with HOSTS.open("a") as hosts:
            fcntl.flock(hosts, fcntl.LOCK_EX)
            hosts.write(_hosts_line(folder))
    except OSError as error:
        if any(_address(node) != "127.0.0.1" for node in NODES):
            raise AssertionError(f"no right to write {HOSTS}; add to it: 127.0.0.1 {' '.join(NODES)}") from error


def forget_nodes(folder: Path) -> None:
    """Remove the line of `name_nodes`."""
    if (line := _hosts_line(folder)) not in HOSTS.read_text():
        return
    with HOSTS.open("r+") as hosts:  # in place: containers mount this file, so it cannot be replaced
        fcntl.flock(hosts, fcntl.LOCK_EX)  # another cluster may stop at the same time
        text = hosts.read().replace(line, "")
        hosts.seek(0)
        hosts.truncate()
        hosts.write(text)


def _hosts_line(folder: Path) -> str:
    """The line of one cluster, so that another one's is kept."""
    return f"127.0.0.1 {' '.join(NODES)} # {folder}\n"


def _address(node: str) -> str | None:
    try:
        return socket.gethostbyname(node)
    except OSError:
        return None
