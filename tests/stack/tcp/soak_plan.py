"""What the soak tests try: a path, settings and two streams, all drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from emu.stack.tcp.settings import TcpSettings
from tests.stack.tcp.machine_pair import MS, MachinePair, WireTraits


@dataclass(frozen=True)
class Plan:
    """One connection to try."""

    traits: WireTraits
    streams: tuple[bytes, bytes]
    settings: tuple[TcpSettings, TcpSettings]
    congestion: str
    lazy: bool


def plan(seed: int, largest: int = 200_000) -> Plan:
    """Draws a plan. Without SACK the loss stays below 10 %: retransmissions of retransmissions wait for ever longer
    timeouts there, in Linux too, and 15 minutes may pass without progress."""
    random = Random(seed)

    def settings() -> TcpSettings:
        return replace(
            TcpSettings(),
            sack=random.random() < 0.8,
            timestamps=random.random() < 0.8,
            window_scaling=random.random() < 0.8,
            dsack=random.random() < 0.8,
            rack=random.random() < 0.9,
            frto=random.random() < 0.9,
            prr=random.random() < 0.9,
            tail_loss_probe=random.random() < 0.8,
            ecn=random.choice([0, 1, 2]),
            receive_buffer=random.choice([4096, 131072, 131072]),
        )

    ends = (settings(), settings())
    worst = 0.2 if ends[0].sack and ends[1].sack else 0.08
    traits = WireTraits(
        loss=random.choice([0, 0, 0.01, 0.05, worst]),
        duplicate=random.choice([0, 0.02, 0.2]),
        reorder=random.choice([0, 0, 0.02, 0.3]),
        delay_ns=random.choice([10_000, 5 * MS, 80 * MS]),
        rate_bps=random.choice([1_000_000, 100_000_000, 10_000_000_000]),
        mtu=random.choice([576, 1450, 1500, 9000]),
    )
    size = random.choice([0, 1, 1000, 30_000, largest])
    streams = (
        random.randbytes(random.randrange(size + 1)),
        random.randbytes(random.choice([0, size, random.randrange(size + 1)])),
    )
    return Plan(traits, streams, ends, random.choice(["cubic", "reno"]), random.random() < 0.3)


def run(seed: int, chosen: Plan) -> MachinePair:
    """Runs a plan over two machines and checks that what went in came out."""
    pair = MachinePair(seed, chosen.traits, chosen.streams, chosen.settings, chosen.congestion, chosen.lazy)
    pair.run()
    for side in (0, 1):
        end, program = pair.ends[side], pair.programs[side]
        if end.receiver.unread:
            program.incoming += end.read(1 << 30, pair.now)
        assert not end.error, f"seed {seed}: errno {end.error}"
        expected = chosen.streams[1 - side]
        assert len(program.incoming) == len(expected), f"seed {seed}: end {side} got {len(program.incoming)} bytes"
        assert bytes(program.incoming) == expected, f"seed {seed}: end {side} got other bytes"
        assert pair.ends[side].sender.recovery.in_flight == 0
    return pair
