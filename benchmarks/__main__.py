"""`python -m benchmarks`: run workloads against ns-3, profile them, and measure single design choices."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import report
from benchmarks.harness import compare
from benchmarks.peer_ns3 import Ns3, find_ns3
from benchmarks.settings import CAPTURES, DEFAULT_COUNT, BenchmarkError, Setting

WORKLOAD_NAMES = tuple(CAPTURES)
DEFAULT_ROUNDS = 5
COUNT_HELP = "how many datagrams, or full segments of tcp-bulk, each run sends"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code (2: the user asked for something that cannot be measured)."""
    options = parser().parse_args(arguments)
    try:
        options.action(options)
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    top = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    verbs = top.add_subparsers(required=True, metavar="VERB")
    add_run(verbs.add_parser("run", help="measure workloads, alternating with a peer, and print medians"))
    add_measure(verbs.add_parser("measure", help="one run in this process; prints one line of JSON"))
    add_profile(verbs.add_parser("profile", help="show where the time of one run goes"))
    add_ablate(verbs.add_parser("ablate", help="measure what each design choice is worth"))
    add_micro(verbs.add_parser("micro", help="measure single operations of the hot path"))
    return top


def add_setting(verb: argparse.ArgumentParser) -> None:
    """Add the options that say what one run does."""
    verb.add_argument(
        "--capture",
        default="none",
        help="what is captured; bridge-udp: none, receiver, all; overlay-udp: none, underlay; tcp-bulk: none, receiver",
    )
    verb.add_argument("--checksums", action="store_true", help="compute and verify every UDP or TCP checksum")
    verb.add_argument("--count", type=positive, help=COUNT_HELP)


def add_run(verb: argparse.ArgumentParser) -> None:
    """Options of `run`."""
    verb.add_argument("workloads", nargs="+", metavar="WORKLOAD", help=", ".join(WORKLOAD_NAMES))
    verb.add_argument("--capture", help="comma-separated; all that the workload has unless given")
    verb.add_argument("--checksums", action="store_true", help="compute and verify every UDP or TCP checksum")
    verb.add_argument("--no-checksums", action="store_true", help="with --checksums: measure both")
    verb.add_argument("--peer", choices=["ns3"], help="measure this simulator by turns with emu")
    verb.add_argument("--peer-program", metavar="FILE", help="a program built from ns3/anchor.cc by hand")
    verb.add_argument("--peer-build", metavar="TEXT", help="what ns-3 that program was built against")
    verb.add_argument("--rounds", type=positive, default=DEFAULT_ROUNDS)
    verb.add_argument("--count", type=positive, help=COUNT_HELP)
    verb.add_argument("--json", type=Path, metavar="FILE", help="write the results here")
    verb.set_defaults(action=run)


def run(options: argparse.Namespace) -> None:
    """Measure every setting asked for, print the table and write the JSON file."""
    checksums = [False, True] if options.checksums and options.no_checksums else [options.checksums]
    settings = [
        checked(Setting(workload, capture, with_checksums, count_of(options, workload)))
        for workload in options.workloads
        for with_checksums in checksums
        for capture in captures_of(options, workload)
    ]
    peer = find_peer(options)
    results = [compare(setting, options.rounds, peer, say) for setting in settings]
    print(report.table(results))
    if options.json is not None:
        report.write_json(options.json, results, options.rounds, {each.workload: each.count for each in settings})


def captures_of(options: argparse.Namespace, workload: str) -> Sequence[str]:
    """Return the captures to measure a workload with."""
    return options.capture.split(",") if options.capture else CAPTURES.get(workload, ("none",))


def find_peer(options: argparse.Namespace) -> Ns3 | None:
    """Return the peer asked for, or None with a word why when it is not installed."""
    if options.peer is None:
        return None
    peer = find_ns3(options.peer_program, options.peer_build)
    if peer is None:
        say("ns-3 is not installed (Debian: apt install g++ libns3-dev): measuring without a peer")
    return peer


def add_measure(verb: argparse.ArgumentParser) -> None:
    """Options of `measure`, which the harness calls."""
    verb.add_argument("workload")
    add_setting(verb)
    verb.add_argument("--folder", type=Path, required=True, help="an empty folder for captures")
    verb.add_argument("--variant", help="the name of an ablation")
    verb.set_defaults(action=measure)


def measure(options: argparse.Namespace) -> None:
    """Run one workload once here and print what it gave as one line of JSON."""
    from benchmarks.ablations import apply_variant
    from benchmarks.workloads import measure_here

    if options.variant:
        apply_variant(options.variant)
    print(json.dumps(dataclasses.asdict(measure_here(one_setting(options), options.folder))))


def add_profile(verb: argparse.ArgumentParser) -> None:
    """Options of `profile`."""
    verb.add_argument("workload")
    add_setting(verb)
    verb.add_argument("--lines", type=positive, default=30, help="how many functions to show")
    verb.set_defaults(action=profile)


def profile(options: argparse.Namespace) -> None:
    """Profile one run and print the functions that took the time."""
    from benchmarks.profiling import profile_text

    print(profile_text(one_setting(options), options.lines))


def add_ablate(verb: argparse.ArgumentParser) -> None:
    """Options of `ablate`."""
    verb.add_argument("--workload", default="bridge-udp")
    verb.add_argument("--rounds", type=positive, default=DEFAULT_ROUNDS)
    verb.add_argument("--count", type=positive, help=COUNT_HELP)
    verb.add_argument("--json", type=Path, metavar="FILE")
    verb.set_defaults(action=ablate)


def ablate(options: argparse.Namespace) -> None:
    """Measure the workload with one design choice undone at a time."""
    from benchmarks.ablations import ablate as measure_all

    count = count_of(options, options.workload)
    checked(Setting(options.workload, "none", False, count))
    results = measure_all(options.workload, options.rounds, count, say)
    print("\n".join(report.aligned([[report.cell(value) for value in row] for row in rows_of(results)])))
    if options.json is not None:
        options.json.write_text(json.dumps({"results": results}, indent=2) + "\n", encoding="utf-8")


def rows_of(results: Sequence[dict[str, object]]) -> list[list[object]]:
    """Turn dictionaries with the same keys into a table with a head."""
    return [list(results[0]), *(list(result.values()) for result in results)]


def add_micro(verb: argparse.ArgumentParser) -> None:
    """`micro` has no options."""
    verb.set_defaults(action=micro)


def micro(_: argparse.Namespace) -> None:
    """Measure single operations."""
    from benchmarks.micro import measure_all

    rows = [["operation", "ns", "fastest"], *([name, f"{mid:,.0f}", f"{low:,.0f}"] for name, mid, low in measure_all())]
    print("\n".join(report.aligned(rows)))


def one_setting(options: argparse.Namespace) -> Setting:
    """Return the setting of a verb that does one run."""
    count = count_of(options, options.workload)
    return checked(Setting(options.workload, options.capture, options.checksums, count))


def count_of(options: argparse.Namespace, workload: str) -> int:
    """Return how much a workload sends: as asked, or its default."""
    return int(options.count or DEFAULT_COUNT.get(workload, 1))


def checked(setting: Setting) -> Setting:
    """Return the setting if it can be measured; raises `BenchmarkError` otherwise."""
    if setting.workload not in WORKLOAD_NAMES:
        raise BenchmarkError(f"no workload {setting.workload!r}: there is {', '.join(WORKLOAD_NAMES)}")
    captures = CAPTURES[setting.workload]
    if setting.capture not in captures:
        raise BenchmarkError(f"no capture {setting.capture!r} of {setting.workload}: choose from {', '.join(captures)}")
    return setting


def positive(text: str) -> int:
    """Read a number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


def say(text: str) -> None:
    """Tell what is going on, beside the results."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
