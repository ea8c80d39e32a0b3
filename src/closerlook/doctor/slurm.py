"""Is Slurm there, and does it have what the site file says: partitions, types of GPU, the size of their nodes, the account?"""

import getpass
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from closerlook.config.problems import nearest
from closerlook.config.site import Gpu, Site
from closerlook.core.shell import ask
from closerlook.doctor.checks import Check

UNUSABLE = ("down", "drain", "fail", "error", "maint", "unknown", "power")


@dataclass(frozen=True)
class Partition:
    """A partition as sinfo describes it."""

    name: str
    state: str
    limit: str
    default: bool


@dataclass(frozen=True)
class Node:
    """A node as sinfo describes it. Memory in units of Slurm's M, which --mem counts in too."""

    name: str
    gres: dict[str, int]
    cpus: int
    memory: int
    state: str

    @property
    def usable(self) -> bool:
        """It takes jobs, now or when those before are done."""
        return not self.state.startswith(UNUSABLE) and "*" not in self.state

    def size(self, gres: str) -> dict[str, float]:
        """Its size in the site file's terms. A job for all of its memory asks for --mem in M, a thousand to the GB."""
        return {
            "gpus_per_node": self.gpus(gres),
            "cpus_per_node": self.cpus,
            "memory_per_node_gb": self.memory / 1000,
        }

    def gpus(self, gres: str) -> int:
        """How many it has of what --gres calls `gres`; plain `gpu` means those of any type."""
        return sum(count for name, count in self.gres.items() if name == gres or name.startswith(f"{gres}:"))


def controller() -> Check:
    """Slurm's commands are here and its controller answers."""
    what = "slurm"
    version = ask("sinfo", "--version")
    if version.code != 0:
        advice = "run this on the login node, and load Slurm's module there if it has one"
        return Check(what, "FAILED", f"{version.reason}; expected Slurm's commands on PATH: {advice}")
    ping = ask("scontrol", "ping")
    if ping.code != 0 or "UP" not in ping.output:
        found = ping.reason
        return Check(
            what, "FAILED", f"scontrol ping: {found}; expected a controller that is UP: ask the cluster's people"
        )
    return Check(what, "ok", f"{version.output.strip()}; {ping.output.strip().splitlines()[0]}")


def partition(name: str | None, key: str) -> Check:
    """A partition exists and is up. None is the default partition; `key` is where the site file names it."""
    what, known = f"partition {name or '(default)'}", _partitions()
    default = next((one for one in known.values() if one.default), None)
    if name is None and default is None:
        return Check(
            what, "FAILED", f"{key} is left out, and Slurm has no default partition: name {nearest('', known)}"
        )
    found = known.get(name) if name else default
    if found is None:
        return Check(what, "FAILED", f"{key}: found {name!r}, expected {nearest(str(name), known)}")
    if found.state != "up":
        return Check(
            what, "FAILED", f"{key}: partition {found.name} is {found.state}, expected up: name another, or wait"
        )
    return Check(what, "ok", f"{'' if name else f'{found.name}, '}up")


def time_limit(name: str, gpu: Gpu, key: str) -> Check:
    """A partition that exists allows jobs as long as the site file says."""
    what, limit = f"time limit on {name}", _partitions()[gpu.partition].limit
    if gpu.max_hours > (allowed := hours_of(limit)):
        expected = f"at most {allowed:g}, the limit of partition {gpu.partition}"
        return Check(what, "FAILED", f"{key}.max_hours: found {gpu.max_hours:g}, expected {expected}")
    return Check(what, "ok", f"{gpu.max_hours:g} hours; the partition allows {limit}")


def nodes(name: str, gpu: Gpu, key: str) -> Check:
    """A partition's nodes have the type of GPU, and are as large and as many as the site file says."""
    what, gres = f"nodes with {name}", gpu.gres or f"gpu:{name}"
    there = _nodes_of(gpu.partition)
    if not there:
        return Check(what, "skipped", f"partition {gpu.partition} has no nodes to look at")
    having = [node for node in there if node.gpus(gres)]
    if not having:
        return Check(what, "FAILED", f"{key}.gres: found {gres!r}, {_gres_expected(gres, gpu.partition, there)}")
    asked = {field: getattr(gpu, field) for field in having[0].size(gres)}
    most = {field: max(node.size(gres)[field] for node in having) for field in asked}
    large = [node for node in having if all(asked[field] <= has for field, has in node.size(gres).items())]
    usable = [node for node in large if node.usable]
    problems = [
        f"{key}.{field}: found {asked[field]:g}, expected at most {most[field]:g}"
        for field in asked
        if asked[field] > most[field]
    ]
    if not problems and len(large) < gpu.nodes:
        problems.append(f"{key}.nodes: found {gpu.nodes}, expected at most {len(large)}, which are that large")
    if not problems and not usable:
        states = ", ".join(sorted({node.state for node in large}))
        problems.append(f"none of {len(large)} takes jobs ({states}); sinfo -R -p {gpu.partition} says why")
    if problems:
        return Check(what, "FAILED", "; ".join(problems))
    sizes = "{gpus_per_node:g} GPUs, {cpus_per_node:g} CPUs, {memory_per_node_gb:g} GB".format(**most)
    return Check(what, "ok", f"{len(large)} of up to {sizes}; {len(usable)} take jobs now")


def account(site: Site, key: str) -> Check:
    """The account that jobs are charged to is one of this user's."""
    what = f"account {site.account or '(default)'}"
    user = getpass.getuser()
    known = ask("sacctmgr", "-n", "-P", "show", "assoc", f"user={user}", "format=account")
    accounts = sorted({line.strip() for line in known.output.splitlines() if line.strip()})
    if known.code != 0 or not accounts:
        unchecked = f"{site.account} is not checked" if site.account else "none is named"
        return Check(what, "skipped", f"{unchecked}: sacctmgr knows no accounts of {user}")
    if site.account and site.account not in accounts:
        return Check(what, "FAILED", f"{key}: found {site.account!r}, expected {nearest(site.account, accounts)}")
    return Check(what, "ok", f"{user} has {', '.join(accounts)}")


def largest_job(name: str, gpu: Gpu, account: str | None) -> Check:
    """Slurm would take the largest job that the site file allows; its own rules (limits, QOS) are known to it alone."""
    what, gres = f"largest job on {name}", gpu.gres or f"gpu:{name}"
    size = [f"--nodes={gpu.nodes}", f"--ntasks-per-node={gpu.gpus_per_node}", f"--gres={gres}:{gpu.gpus_per_node}"]
    size += [f"--cpus-per-task={max(1, gpu.cpus_per_node // gpu.gpus_per_node)}"]
    size += [f"--mem={math.floor(gpu.memory_per_node_gb * 1000)}", f"--time={math.ceil(gpu.max_hours * 60)}"]
    where = [f"--partition={gpu.partition}", *([f"--account={account}"] if account else [])]
    said = ask("sbatch", "--test-only", *where, *size, "--wrap", "true", timeout=60)
    words = f"{gpu.nodes} nodes of {gpu.gpus_per_node} GPUs for {gpu.max_hours:g} hours"
    if said.code != 0:
        tried = f"sbatch --test-only {' '.join([*where, *size])} --wrap true"
        return Check(what, "FAILED", f"{words}: {said.reason}; expected Slurm to take: {tried}")
    return Check(what, "ok", words)


def _partitions() -> dict[str, Partition]:
    lines = (line.split("|") for line in ask("sinfo", "-h", "-o", "%P|%a|%l").output.splitlines())
    return {
        name.rstrip("*"): Partition(name.rstrip("*"), state, limit, name.endswith("*")) for name, state, limit in lines
    }


def _nodes_of(partition: str) -> list[Node]:
    return list(_read_nodes(ask("sinfo", "-h", "-N", "-p", partition, "-o", "%N|%G|%c|%m|%T").output))


def _read_nodes(text: str) -> Iterator[Node]:
    for line in text.splitlines():
        name, gres, cpus, memory, state = line.split("|")
        yield Node(name, parse_gres(gres), int(cpus.rstrip("+")), int(memory.rstrip("+")), state)


def parse_gres(text: str) -> dict[str, int]:
    """Counts by name of what sinfo calls gpu:h100:4(S:0-1),shard:8 or (null)."""
    counts: dict[str, int] = {}
    for item in re.sub(r"\([^)]*\)", "", text).split(","):
        name, _, count = item.rpartition(":")
        if name and count.isdigit():
            counts[name] = counts.get(name, 0) + int(count)
    return counts


def hours_of(limit: str) -> float:
    """Hours of sinfo's time limit: infinite, 45 (minutes), 30:00, 4:00:00 or 2-00:00:00; infinity for what is none of these."""
    if not (match := re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", limit)):
        return math.inf
    days, *rest = (int(part or 0) for part in match.groups())
    if match[1] or match[4]:
        hours, minutes, seconds = rest
    else:
        hours, minutes, seconds = 0, *rest[:2]
    return 24 * days + hours + minutes / 60 + seconds / 3600


def _gres_expected(gres: str, partition: str, there: list[Node]) -> str:
    here = {name for node in there for name in node.gres}
    lines = (line.partition("|") for line in ask("sinfo", "-h", "-o", "%R|%G").output.splitlines())
    elsewhere = sorted({name for name, _, text in lines if gres in parse_gres(text)})
    found = f"expected {nearest(gres, here)}" if here else "expected a partition with GPUs"
    return f"{found}; partition {partition} has no {gres}" + (f", but {', '.join(elsewhere)} has" if elsewhere else "")
