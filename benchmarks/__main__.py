"""The command line: ``python -m benchmarks``; README.md says what it prints."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from event_model import DocumentNames, schema_validators

from benchmarks import table, watching
from benchmarks.bars import LIMIT
from benchmarks.job import Job, Result
from benchmarks.sampling import Place, compare, sample, text
from benchmarks.streams import WORKLOADS, stream
from benchmarks.writers.ours import has_journal

DEFAULT_N = {
    "time": {"W1": [1_000, 10_000, 100_000], "W2": [100_000, 1_000_000], "W3": [1_000], "W4R": [10_000, 100_000],
             "W4S": [10_000, 100_000], "W5": [2_000], "W6": [200]},
    "memory": {"W1": [100_000], "W2": [1_000_000], "W3": [1_000], "W4R": [100_000], "W4S": [100_000], "W5": [2_000],
               "W6": [200]},
}  # fmt: skip
RE_PLANS = ("scan1", "scan10", "count1", "fly")
OURS = ["journaled", "direct"] if has_journal() else ["inline"]


def say(message: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{message}\n")
    sys.stdout.flush()


def tell(message: str) -> None:
    """Say how far it is, beside the output."""
    sys.stderr.write(f"{message}\n")


def place(arguments: argparse.Namespace) -> Place:
    """Where samples go."""
    return Place(arguments.tmp, arguments.timeout)


def print_table(arguments: argparse.Namespace) -> None:
    """The bars and today's numbers."""
    where, journal = place(arguments), has_journal()
    results = table.measure(arguments.quick, journal, lambda job: sample(job, where), tell)
    found = table.lines(results, journal)
    say(json.dumps(table.record(found, results)) if arguments.json else table.text(found, journal))


def print_results(
    arguments: argparse.Namespace, heading: str, jobs: list[Job], once: Callable[[Job], Result], repeat: int
) -> None:
    """Several contestants at one workload and n."""
    results = compare(jobs, repeat, once, tell)
    if not arguments.json:
        say(f"\n## {heading} (median of {repeat})")
    for job in jobs:
        result = results[job.contestant]
        if arguments.json:
            named = {"measure": arguments.command, "workload": job.workload, "n": job.n, "contestant": job.contestant}
            say(json.dumps({**named, **result}))
        else:
            say(f"{job.contestant:28s} {text(result)}")


def measure(arguments: argparse.Namespace) -> None:
    """``time`` and ``memory``."""
    where = place(arguments)
    for workload in arguments.workload:
        for n in arguments.n or DEFAULT_N[arguments.command][workload]:
            jobs = [
                Job(arguments.command, c, workload, n, arguments.rate, arguments.cold, not arguments.nocheck)
                for c in arguments.contestant
            ]
            heading = f"{arguments.command} {workload} n={n}"
            print_results(arguments, heading, jobs, lambda job: sample(job, where), arguments.repeat)


def kill(arguments: argparse.Namespace) -> None:
    """``kill``."""
    where = place(arguments)
    for n in arguments.n or [100_000]:
        jobs = [Job("feed", c, "W1", n, arguments.rate) for c in arguments.contestant]
        print_results(arguments, f"kill W1 n={n}", jobs, lambda job: watching.kill(job, where), arguments.repeat)


def live(arguments: argparse.Namespace) -> None:
    """``live``."""
    where = place(arguments)
    n = int(arguments.rate * arguments.seconds)
    jobs = [Job("feed", c, "W1", n, arguments.rate) for c in arguments.contestant]
    heading = f"live W1 at {arguments.rate:g}/s"
    print_results(arguments, heading, jobs, lambda job: watching.live(job, where, arguments.swmr), arguments.repeat)


def re_cost(arguments: argparse.Namespace) -> None:
    """``re_cost``."""
    where = place(arguments)
    for plan in arguments.plan:
        for n in arguments.n or [200, 1_000]:
            jobs = [Job("re_cost", c, plan, n, repeat=arguments.repeat) for c in arguments.contestant]
            print_results(arguments, f"re_cost {plan} n={n}", jobs, lambda job: sample(job, where), 1)


def check_streams(arguments: argparse.Namespace) -> None:
    """``streams``: every document of every workload against its schema."""
    with tempfile.TemporaryDirectory() as folder:
        for name, workload in WORKLOADS.items():
            documents = list(stream(name, workload.tiny + 30, Path(folder)))
            for kind, document in documents:
                schema_validators[DocumentNames[kind]].validate(document)
            say(f"{name}: {len(documents)} documents are valid")


def parser() -> argparse.ArgumentParser:
    """What can be asked."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="JSON instead of text")
    shared.add_argument("--tmp", type=Path, help="where files go (default: the temporary directory)")
    shared.add_argument("--timeout", type=float, default=300.0, help="s for a sample")
    several = argparse.ArgumentParser(add_help=False, parents=[shared])
    several.add_argument("--contestant", nargs="+", default=[*OURS, LIMIT], help="names, or module:factory")
    several.add_argument("--n", type=int, nargs="+", help="rows, frames, signals or runs")
    several.add_argument("--repeat", type=int, default=3, help="samples of each")

    found = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, parents=[shared])
    found.add_argument("--quick", action="store_true", help="small n: two minutes instead of a quarter of an hour")
    found.set_defaults(run=print_table)
    commands = found.add_subparsers(dest="command")
    for name in ("time", "memory"):
        one = commands.add_parser(name, parents=[several], help=f"{name} of contestants at workloads")
        one.add_argument("--workload", nargs="+", default=["W1"], choices=list(WORKLOADS))
        one.add_argument("--rate", type=float, default=0.0, help="events a second (default: full speed)")
        one.add_argument("--cold", action="store_true", help="no warm-up run: lazy imports are timed too")
        one.add_argument("--nocheck", action="store_true", help="do not read the rows back")
        one.set_defaults(run=measure)
    one = commands.add_parser("live", parents=[several], help="what a reader sees meanwhile")
    one.add_argument("--rate", type=float, default=200.0, help="events a second")
    one.add_argument("--seconds", type=float, default=6.0)
    one.add_argument("--swmr", action="store_true", help="the reader opens with swmr=True")
    one.set_defaults(run=live)
    one = commands.add_parser("kill", parents=[several], help="what is left after kill -9 half-way")
    one.add_argument("--rate", type=float, default=0.0, help="events a second (default: full speed)")
    one.set_defaults(run=kill)
    one = commands.add_parser("re_cost", parents=[several], help="share of the RunEngine's time")
    one.add_argument("--plan", nargs="+", default=RE_PLANS, choices=RE_PLANS)
    one.set_defaults(run=re_cost)
    one = commands.add_parser("streams", help="check that all documents are schema-valid")
    one.set_defaults(run=check_streams)
    return found


def main() -> None:
    """Do what the command line asks; nothing that is measured makes it fail."""
    arguments = parser().parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
