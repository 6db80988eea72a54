"""Whatever arrives, the machine neither breaks nor believes nonsense (hypothesis)."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.stack.tcp.language import connecting, established, fin_wait_1, ms, s, syn_received, time_wait

near = st.integers(-3000, 70_000) | st.integers(0, 0xFFFFFFFF) | st.sampled_from((0, 1, 2, 1449))
flags = st.sets(st.sampled_from("FSRP.UEW"), max_size=5).map("".join) | st.sampled_from((".", "P.", "F.", "S", "S."))
segments = st.fixed_dictionaries(
    {"flags": flags},
    optional={
        "seq": near,
        "ack": near,
        "win": st.integers(0, 65535),
        "length": st.integers(0, 1460),
        "ts": st.none() | st.integers(4000, 7000) | st.integers(0, 0xFFFFFFFF),
        "echo": st.integers(900, 1200) | st.integers(0, 0xFFFFFFFF),
        "sack": st.lists(st.tuples(near, near), max_size=3),
        "ce": st.booleans(),
    },
)
calls = st.sampled_from(("write", "read", "shutdown", "close", "abort", "mtu", "icmp"))
steps = st.lists(st.tuples(st.integers(0, 300), segments | calls), max_size=25)
beginnings = st.sampled_from((connecting, syn_received, established, fin_wait_1, time_wait))


def call(tcp, name):
    if name == "write":
        tcp.write(3000)
    elif name == "mtu":
        tcp.connection.path_mtu_changed(1000, tcp.now)
    elif name == "icmp":
        tcp.connection.icmp_error(113, True)
    else:
        getattr(tcp, name)()


@settings(deadline=None)
@given(beginnings, st.booleans(), st.integers(0, 1), steps)
def test_any_sequence_of_segments_and_calls_leaves_a_sane_machine(begin, reader, ecn, script):
    tcp = begin(ecn=ecn) if begin is not established or not ecn else begin()
    tcp.reader = reader
    for wait_ms, step in script:
        if tcp.state == "CLOSED":
            break
        tcp.advance(tcp.now + ms(wait_ms))
        if tcp.state == "CLOSED":
            break
        if isinstance(step, str):
            call(tcp, step)
        else:
            tcp.send(**step)
        sender, receiver = tcp.connection.sender, tcp.connection.receiver
        assert sender.outstanding <= 0xFFFF << 14
        assert receiver.unread <= 70_000
        assert receiver.window.memory >= 0
        assert receiver.window.offered >= 0
    for sent in tcp.sent:
        assert sent.length <= 1460
        assert 0 <= sent.win <= 65535


@settings(deadline=None)
@given(beginnings, steps)
def test_a_connection_whose_program_is_gone_ends(begin, script):
    tcp = begin()
    for wait_ms, step in script:
        if tcp.state == "CLOSED":
            break
        tcp.advance(tcp.now + ms(wait_ms))
        if not isinstance(step, str) and tcp.state != "CLOSED":
            tcp.send(**step)
    if tcp.state != "CLOSED":
        tcp.close()
    tcp.advance(tcp.now + s(20_000))
    assert tcp.state == "CLOSED"


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 60)), max_size=30), st.randoms())
def test_the_stream_is_what_was_sent_whatever_the_order_of_its_pieces(pieces, random):
    tcp = established()
    whole = bytes(random.randrange(256) for _ in range(260))
    for start, size in pieces:
        tcp.send(".", seq=1 + start, payload=whole[start : start + size])
    covered = 0
    for start, size in sorted(pieces):
        if start <= covered:
            covered = max(covered, start + size)
    assert tcp.received == whole[:covered]
    assert tcp.connection.receiver.rcv_nxt == (0x7FFFFFF0 + 1 + covered) & 0xFFFFFFFF
