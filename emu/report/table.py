"""The result of a run as tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from emu.cnm.ipam.dhcp_service import LeaseEntry
from emu.kernel.units import format_time_ns
from emu.report.impairments import impairment_table
from emu.result import ExpectationResult, InterfaceResult, Result, TaskResult

PLAIN_WIDTH = 140
"""Columns for output that is not a terminal: enough that nothing is folded."""

ROWS_MAX = 40
"""Longer tables are cut on the terminal: about a screenful; `summary.json` has them whole."""


def make_console(*, stderr: bool = False) -> Console:
    """A console for people: as wide as the terminal, or wide enough for a file."""
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=PLAIN_WIDTH)


def print_result(result: Result, console: Console) -> None:
    """Print what came out of a run: counters, drops, impairments, tasks, expectations."""
    console.print(
        f"[bold]{escape(result.name)}[/bold]  seed {result.seed}, engine {result.engine}, "
        f"{format_time_ns(result.now_ns)} of virtual time, "
        f"{result.frames:,} frames at {len(result.interfaces)} interfaces",
        soft_wrap=True,
    )
    busy = [entry for entry in result.interfaces if entry.is_busy]
    console.print(interface_table(busy[:ROWS_MAX]))
    _print_rest(console, len(busy), "interfaces")
    if len(busy) < len(result.interfaces):
        idle = len(result.interfaces) - len(busy)
        words = "interface without traffic is" if idle == 1 else "interfaces without traffic are"
        console.print(f"[dim]{idle} {words} not shown[/dim]\n")
    drops = drop_table(result)
    if drops is not None:
        console.print(drops)
    impairments = impairment_table(result.impairments[:ROWS_MAX])
    if impairments is not None:
        console.print(impairments)
        _print_rest(console, len(result.impairments), "impairments")
    if result.tasks:
        tasks = tasks_in_need_first(result.tasks)
        console.print(task_table(tasks[:ROWS_MAX]))
        _print_rest(console, len(tasks), "tasks")
    print_leases(result, console)
    for expectation in result.expectations:
        console.print(expectation_line(expectation), soft_wrap=True)


def print_leases(result: Result, console: Console) -> None:
    """Print what the DHCP servers know of addresses at the end; nothing without any."""
    if result.leases:
        console.print(lease_table(result.leases[:ROWS_MAX], result.now_ns))
        _print_rest(console, len(result.leases), "leases")


def tasks_in_need_first(tasks: Sequence[TaskResult]) -> list[TaskResult]:
    """Put unfinished and failed tasks before the finished ones when not all fit on the screen; else keep the order."""
    if len(tasks) <= ROWS_MAX:
        return list(tasks)
    return sorted(tasks, key=lambda task: task.state == "finished")


def _print_rest(console: Console, count: int, what: str) -> None:
    if count > ROWS_MAX:
        console.print(f"[dim]{count - ROWS_MAX} more {what} are in summary.json[/dim]\n")


def interface_table(interfaces: Iterable[InterfaceResult]) -> Table:
    """Frames and bytes per interface."""
    table = _table("interface", ("frames in", "bytes", "frames out", "bytes", "dropped"))
    for entry in interfaces:
        dropped = sum(entry.drops.values())
        table.add_row(
            escape(entry.name),
            f"{entry.rx_packets:,}",
            bytes_text(entry.rx_bytes),
            f"{entry.tx_packets:,}",
            bytes_text(entry.tx_bytes),
            f"[red]{dropped:,}[/red]" if dropped else "0",
        )
    return table


def drop_table(result: Result) -> Table | None:
    """Why frames were dropped, per interface; None when none were."""
    table = _table("dropped at", ("frames",))
    table.add_column("because", overflow="fold")
    counted: dict[str, int] = {}
    for entry in result.interfaces:
        for reason, count in entry.drops.items():
            table.add_row(escape(entry.name), f"{count:,}", escape(reason))
            counted[reason] = counted.get(reason, 0) + count
    for reason, count in result.drops.items():
        if count > counted.get(reason, 0):  # drops that no interface accounts for: in a queue, in a namespace
            table.add_row("elsewhere", f"{count - counted.get(reason, 0):,}", escape(reason))
    return table if table.row_count else None


def task_table(tasks: Iterable[TaskResult]) -> Table:
    """The outcome of every task."""
    table = _table("task", ())
    table.add_column("state")
    table.add_column("outcome", overflow="fold")
    colours = {"finished": "green", "unfinished": "yellow", "failed": "red"}
    for task in tasks:
        outcome = f"waits for {task.waiting_for}" if task.waiting_for else ""
        outcome = "; ".join(part for part in (task.outcome, outcome) if part)
        colour = colours.get(task.state, "default")
        table.add_row(escape(task.name), f"[{colour}]{task.state}[/{colour}]", escape(outcome))
    return table


def lease_table(leases: Iterable[LeaseEntry], now_ns: int) -> Table:
    """Who holds which address until when, in virtual time and from now."""
    table = _table("lease", ())
    for name in ("client", "MAC address", "state", "until", "server"):
        table.add_column(name, overflow="fold")
    colours = {"bound": "green", "declined": "red"}
    for lease in leases:
        colour = colours.get(lease.state, "default")
        table.add_row(
            lease.address,
            escape(lease.client) or "-",
            lease.mac,
            f"[{colour}]{lease.state}[/{colour}]",
            _until(lease.expires_ns, now_ns),
            escape(lease.server),
        )
    return table


def _until(expires_ns: int | None, now_ns: int) -> str:
    if expires_ns is None:
        return "for ever"
    distance = f"{abs(expires_ns - now_ns) / 1e9:.1f} s"
    return f"{expires_ns / 1e9:.1f} s " + (f"(in {distance})" if expires_ns > now_ns else f"({distance} ago)")


def expectation_line(expectation: ExpectationResult) -> str:
    """One line: was it so?"""
    mark = "[green]as expected[/green]" if expectation.met else "[bold red]NOT as expected[/bold red]"
    problem = f" ({escape(expectation.problem)})" if expectation.problem else ""
    return f"{mark}: {escape(expectation.text)}{problem}"


def bytes_text(count: int) -> str:
    """A number of bytes in few characters: exact up to six digits, then "260.5 MB"."""
    if count < 1_000_000:
        return f"{count:,}"
    for unit in ("MB", "GB", "TB"):
        count_in_unit = count / {"MB": 1e6, "GB": 1e9, "TB": 1e12}[unit]
        if count_in_unit < 1000 or unit == "TB":
            return f"{count_in_unit:,.1f} {unit}"
    raise AssertionError(count)


def _table(first: str, numbers: Iterable[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column(first, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table
