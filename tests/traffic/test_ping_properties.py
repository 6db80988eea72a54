"""Whatever a network does to ping's packets, the counts add up and it comes to an end."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from emu.traffic.ping import Ping
from emu.traffic.ping_options import ping_options
from emu.traffic.ping_result import PingResult
from tests.traffic.fake_namespace import FakeNamespace, FakeSocket

MS = 1_000_000
SECOND = 1_000_000_000

fates = st.one_of(
    st.just(("lost", 0)),
    st.tuples(st.just("answered"), st.integers(1_000, 3 * SECOND)),
    st.tuples(st.just("doubled"), st.integers(1_000, 2 * SECOND)),
    st.tuples(st.just("refused"), st.integers(1_000, 4 * SECOND)),
)


def run(plan: list[tuple[str, int]], interval_ms: int, flavour: str) -> tuple[PingResult, int]:
    def network(socket: FakeSocket, destination: bytes, sequence: int, payload: bytes) -> None:
        fate, delay_ns = plan[len(namespace.sent) - 1]

        def answer(_: None) -> None:
            if not socket.closed and socket.on_reply is not None:
                socket.on_reply(destination, sequence, payload, 64)

        def refuse(_: None) -> None:
            if not socket.closed and socket.on_error is not None:
                socket.on_error(bytes((10, 0, 0, 1)), sequence, 3, 1, 0)

        if fate in ("answered", "doubled"):
            namespace.kernel.call_later(delay_ns, answer)
        if fate == "doubled":
            namespace.kernel.call_later(delay_ns + MS, answer)
        if fate == "refused":
            namespace.kernel.call_later(delay_ns, refuse)

    namespace = FakeNamespace(network)
    options = ping_options(count=len(plan), interval=interval_ms * MS, flavour=flavour)
    process = namespace.kernel.spawn(Ping(namespace, "10.0.0.2", options).run())  # type: ignore[arg-type]
    result: PingResult = namespace.kernel.run(until=process)
    gaps = [later[0] - earlier[0] for earlier, later in zip(namespace.sent, namespace.sent[1:], strict=False)]
    assert all(gap >= (interval_ms - 1) * MS for gap in gaps)
    return result, namespace.kernel.now


@given(
    plan=st.lists(fates, min_size=1, max_size=6),
    interval_ms=st.sampled_from([1, 5, 10, 200, 1000, 2500]),
    flavour=st.sampled_from(["iputils", "busybox"]),
)
def test_counts_add_up_and_ping_ends(plan: list[tuple[str, int]], interval_ms: int, flavour: str) -> None:
    result, now_ns = run(plan, interval_ms, flavour)
    answerable = sum(fate in ("answered", "doubled") for fate, _ in plan)
    refusable = sum(fate == "refused" for fate, _ in plan)
    assert 1 <= result.transmitted <= len(plan)
    assert result.received <= min(answerable, result.transmitted)
    assert result.errors <= refusable
    assert len(result.rtts_ns) == result.received + result.duplicates
    assert 0.0 <= result.loss <= 1.0
    assert now_ns <= len(plan) * (interval_ms * MS + 100 * MS) + 10 * SECOND
    lines = result.text.splitlines()
    assert len(re.findall(r"bytes from .* (?:icmp_)?seq=\d+", result.text)) == len(result.rtts_ns)
    assert f"{result.transmitted} packets transmitted, {result.received} " in lines[lines.index("") + 2]


@given(plan=st.lists(st.tuples(st.just("answered"), st.integers(1_000, 900 * MS)), min_size=1, max_size=6))
def test_on_a_network_that_only_delays_everything_is_answered_with_exact_times(plan: list[tuple[str, int]]) -> None:
    result, _ = run(plan, 1000, "iputils")
    assert result.received == result.transmitted == len(plan)
    assert result.rtts_ns == tuple(delay_ns for _, delay_ns in plan)
