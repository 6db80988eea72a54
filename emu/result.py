"""What came out of a run: counters, outcomes of tasks, and whether the expectations were met."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from emu.cnm.ipam.dhcp_service import LeaseEntry
from emu.device.impairments.statistics import LineStatistics
from emu.version import __version__


@dataclass(frozen=True, slots=True)
class InterfaceResult:
    """The counters of one interface; frames and bytes are those that passed it, drops are by reason."""

    name: str
    rx_packets: int
    rx_bytes: int
    tx_packets: int
    tx_bytes: int
    drops: dict[str, int] = field(default_factory=dict)

    @property
    def is_busy(self) -> bool:
        """Whether a frame passed it or was dropped there."""
        return bool(self.rx_packets or self.tx_packets or self.drops)

    def summary(self) -> dict[str, Any]:
        """The counters as JSON values."""
        return {
            "name": self.name,
            "rx_packets": self.rx_packets,
            "rx_bytes": self.rx_bytes,
            "tx_packets": self.tx_packets,
            "tx_bytes": self.tx_bytes,
            "drops": self.drops,
        }


@dataclass(frozen=True, slots=True)
class TaskResult:
    """The outcome of one task: its state, a line about its result, the tool's own output, what it waits for."""

    name: str
    state: str
    outcome: str
    started_ns: int | None
    finished_ns: int | None
    waiting_for: str | None
    output: str | None

    def summary(self) -> dict[str, Any]:
        """The outcome as JSON values."""
        return {
            "name": self.name,
            "state": self.state,
            "outcome": self.outcome,
            "started_ns": self.started_ns,
            "finished_ns": self.finished_ns,
            "waiting_for": self.waiting_for,
            "output": self.output,
        }


@dataclass(frozen=True, slots=True)
class ExpectationResult:
    """Whether something that was expected of the run is so; `problem` says why it could not be told."""

    text: str
    met: bool
    problem: str | None = None

    def summary(self) -> dict[str, Any]:
        """The outcome as JSON values."""
        return {"text": self.text, "met": self.met, "problem": self.problem}


@dataclass(frozen=True, slots=True)
class Result:
    """What came out of one run.

    now_ns: virtual time at which it ended.
    interfaces: one entry per interface, in the order in which they joined their namespaces.
    drops: every drop of the run by reason, also those without an interface.
    impairments: what rates, delays, loss and queues did on each direction where any were set, one entry for each time
        they were changed.
    leases: what the DHCP servers know of addresses, server by server.
    """

    name: str
    seed: int
    engine: str
    cost: str
    now_ns: int
    interfaces: list[InterfaceResult]
    tasks: list[TaskResult]
    expectations: list[ExpectationResult]
    drops: dict[str, int]
    impairments: list[LineStatistics] = field(default_factory=list)
    leases: list[LeaseEntry] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every expectation was met."""
        return all(expectation.met for expectation in self.expectations)

    @property
    def frames(self) -> int:
        """How many times a frame passed an interface, in either direction."""
        return sum(entry.rx_packets + entry.tx_packets for entry in self.interfaces)

    def summary(self) -> dict[str, Any]:
        """Everything as JSON values; the same for the same scenario and seed, on every machine."""
        return {
            "emu": __version__,
            "name": self.name,
            "seed": self.seed,
            "engine": self.engine,
            "cost": self.cost,
            "virtual_time_ns": self.now_ns,
            "frames": self.frames,
            "ok": self.ok,
            "interfaces": [entry.summary() for entry in self.interfaces],
            "tasks": [entry.summary() for entry in self.tasks],
            "expectations": [entry.summary() for entry in self.expectations],
            "drops": self.drops,
            "impairments": [entry.summary() for entry in self.impairments],
            "leases": [entry.summary() for entry in self.leases],
        }
