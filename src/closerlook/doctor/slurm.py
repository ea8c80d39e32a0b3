"""Checks that Slurm answers and has what the site file says: partitions, GPU types, node sizes, account.

Each check returns what it found, or raises Failed or Skipped. `key` is the key of the site file that it is about.
"""

import getpass
import math
import re
from typing import NamedTuple

from closerlook.config.problems import nearest
from closerlook.config.site import Gpu
from closerlook.core.shell import run_command
from closerlook.doctor.checks import Failed, Skipped

UNUSABLE = ("down", "drain", "fail", "error", "maint", "unknown", "power")
"""Prefixes of the states of nodes that take no jobs."""


class Partition(NamedTuple):
    """A partition as sinfo describes it."""

    name: str
    state: str
    limit: str
    default: bool


def check_controller() -> str:
    """Slurm's commands exist and its controller answers."""
    version = run_command("sinfo", "--version")
    if version.code != 0:
        advice = "run this on the login node, and load Slurm's module there if it has one"
        raise Failed(f"{version.failure}; expected Slurm's commands on PATH: {advice}")
    ping = run_command("scontrol", "ping")
    if ping.code != 0 or "UP" not in ping.output:
        raise Failed(f"scontrol ping: {ping.failure}; expected a controller that is UP: ask your administrators")
    return f"{version.output.strip()}; {ping.output.strip().splitlines()[0]}"


def check_partition(name: str | None, key: str) -> str:
    """A partition exists and is up. None is the default partition."""
    partitions = _partitions()
    default = next((partition for partition in partitions.values() if partition.default), None)
    partition = partitions.get(name) if name else default
    if partition is None and name:
        raise Failed(f"{key}: found {name!r}, expected {nearest(name, partitions)}")
    if partition is None:
        raise Failed(f"{key} is missing, and Slurm has no default partition: name {nearest('', partitions)}")
    if partition.state != "up":
        raise Failed(f"{key}: partition {partition.name} is {partition.state}, expected up: name another, or wait")
    return "up" if name else f"{partition.name}, up"


def check_time_limit(gpu: Gpu, key: str) -> str:
    """A partition allows jobs as long as the site file says."""
    limit = _partitions()[gpu.partition].limit
    if gpu.max_hours > (allowed := parse_time_limit(limit)):
        expected = f"at most {allowed:g}, the limit of partition {gpu.partition}"
        raise Failed(f"{key}.max_hours: found {gpu.max_hours:g}, expected {expected}")
    return f"{gpu.max_hours:g} hours; the partition allows {limit}"


def check_nodes(name: str, gpu: Gpu, key: str) -> str:
    """A partition has the type of GPU, and its nodes are as large and as many as the site file says."""
    gres = gpu.gres or f"gpu:{name}"
    lines = run_command("sinfo", "-h", "-N", "-p", gpu.partition, "-o", "%N|%G|%c|%m|%T").output.splitlines()
    if not lines:
        raise Skipped(f"partition {gpu.partition} has no nodes")
    nodes = [line.split("|")[1:] for line in lines]
    with_gpu = [
        (_node_size(gpus, cpus, memory), state)
        for text, cpus, memory, state in nodes
        if (gpus := _count_gpus(parse_gres(text), gres))
    ]
    if not with_gpu:
        known = {name for text, *_ in nodes for name in parse_gres(text)}
        raise Failed(f"{key}.gres: found {gres!r}, {_gres_expected(gres, gpu.partition, known)}")
    most = {field: max(size[field] for size, _ in with_gpu) for field in with_gpu[0][0]}
    wanted = {field: getattr(gpu, field) for field in most}
    too_large = [field for field in most if wanted[field] > most[field]]
    if too_large:
        problems = (f"{key}.{field}: found {wanted[field]:g}, expected at most {most[field]:g}" for field in too_large)
        raise Failed("; ".join(problems))
    states = [state for size, state in with_gpu if all(wanted[field] <= size[field] for field in most)]
    if len(states) < gpu.nodes:
        raise Failed(f"{key}.nodes: found {gpu.nodes}, expected at most {len(states)}, the nodes of that size")
    usable = [state for state in states if not state.startswith(UNUSABLE) and "*" not in state]
    if not usable:
        named = ", ".join(sorted(set(states)))
        raise Failed(f"none of {len(states)} takes jobs ({named}); sinfo -R -p {gpu.partition} says why")
    size = "{gpus_per_node:g} GPUs, {cpus_per_node:g} CPUs, {memory_per_node_gb:g} GB".format(**most)
    return f"{len(states)} of up to {size}; {len(usable)} take jobs now"


def check_account(account: str | None, key: str) -> str:
    """The account that jobs are charged to is one of this user's."""
    user = getpass.getuser()
    answer = run_command("sacctmgr", "-n", "-P", "show", "assoc", f"user={user}", "format=account")
    accounts = sorted({line.strip() for line in answer.output.splitlines() if line.strip()})
    if answer.code != 0 or not accounts:
        unchecked = f"{account} is not checked" if account else "none is named"
        raise Skipped(f"{unchecked}: sacctmgr knows no accounts of {user}")
    if account and account not in accounts:
        raise Failed(f"{key}: found {account!r}, expected {nearest(account, accounts)}")
    return f"{user} has {', '.join(accounts)}"


def check_largest_job(name: str, gpu: Gpu, account: str | None) -> str:
    """Slurm would take the largest job that the site file allows. Only Slurm knows all its limits and QOS rules."""
    options = [f"--partition={gpu.partition}", *([f"--account={account}"] if account else [])]
    options += [f"--nodes={gpu.nodes}", f"--ntasks-per-node={gpu.gpus_per_node}"]
    options += [f"--gres={gpu.gres or f'gpu:{name}'}:{gpu.gpus_per_node}"]
    options += [f"--cpus-per-task={max(1, gpu.cpus_per_node // gpu.gpus_per_node)}"]
    options += [f"--mem={math.floor(gpu.memory_per_node_gb * 1000)}", f"--time={math.ceil(gpu.max_hours * 60)}"]
    answer = run_command("sbatch", "--test-only", *options, "--wrap", "true", timeout=60)
    job = f"{gpu.nodes} nodes of {gpu.gpus_per_node} GPUs for {gpu.max_hours:g} hours"
    if answer.code != 0:
        command = f"sbatch --test-only {' '.join(options)} --wrap true"
        raise Failed(f"{job}: {answer.failure}; expected Slurm to take: {command}")
    return job


def _partitions() -> dict[str, Partition]:
    lines = (line.split("|") for line in run_command("sinfo", "-h", "-o", "%P|%a|%l").output.splitlines())
    return {
        name.rstrip("*"): Partition(name.rstrip("*"), state, limit, name.endswith("*")) for name, state, limit in lines
    }


def _node_size(gpus: int, cpus: str, memory: str) -> dict[str, float]:
    """A node's size by the keys of the site file. sinfo counts memory in the M of --mem; jobs ask for 1000 M per GB."""
    size = {"gpus_per_node": gpus, "cpus_per_node": int(cpus.rstrip("+"))}
    return size | {"memory_per_node_gb": int(memory.rstrip("+")) / 1000}


def _count_gpus(counts: dict[str, int], gres: str) -> int:
    """The number of GPUs that --gres calls `gres`; plain `gpu` counts all types."""
    return sum(count for name, count in counts.items() if name == gres or name.startswith(f"{gres}:"))


def parse_gres(text: str) -> dict[str, int]:
    """Return counts by name from sinfo's notation: gpu:h100:4(S:0-1),shard:8 or (null)."""
    counts: dict[str, int] = {}
    for item in re.sub(r"\([^)]*\)", "", text).split(","):
        name, _, count = item.rpartition(":")
        if name and count.isdigit():
            counts[name] = counts.get(name, 0) + int(count)
    return counts


def parse_time_limit(limit: str) -> float:
    """Return the hours of sinfo's time limit: 45 (minutes), 30:00, 4:00:00 or 2-00:00:00; infinity for any other text."""
    if not (match := re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", limit)):
        return math.inf
    days, *rest = (int(part or 0) for part in match.groups())
    hours, minutes, seconds = rest if match[1] or match[4] else (0, *rest[:2])
    return 24 * days + hours + minutes / 60 + seconds / 3600


def _gres_expected(gres: str, partition: str, known: set[str]) -> str:
    lines = (line.partition("|") for line in run_command("sinfo", "-h", "-o", "%R|%G").output.splitlines())
    others = ", ".join(sorted({name for name, _, text in lines if gres in parse_gres(text)}))
    expected = f"expected {nearest(gres, known)}" if known else "expected a partition with GPUs"
    return f"{expected}; partition {partition} has no {gres}" + (f", but {others} has" if others else "")
