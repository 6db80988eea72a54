"""A machine that sends a stream to a scripted peer 100 ms away: segments are counted from 0, each FULL bytes long."""

from tests.stack.tcp.language import connecting, ms

FULL = 1448
FULL_WITHOUT_TIMESTAMPS = 1460
RTT = 100


def seq(index, full=FULL):
    """The sequence number at which a segment begins; halves are allowed."""
    return 1 + round(index * full)


def body(count, full=FULL):
    """Data of so many segments, every one different."""
    return b"".join(bytes([65 + index % 26]) * full for index in range(count))


def streaming(count, *, cwnd=None, at=RTT, timestamps=True, **options):
    """A connection opened at `at` ms with a round trip of as much, the program having written `count` segments.

    The initial window of them is out (and taken). cwnd: the window in segments.
    """
    tcp = connecting(timestamps=timestamps, **options)
    tcp.send("S.", seq=0, ack=1, at=ms(at))
    tcp.recv(".", seq=1, ack=1)
    tcp.send(".", ack=1)
    assert tcp.connection.sender.mss == full_of(tcp)
    if cwnd is not None:
        tcp.connection.sender.recovery._congestion.cwnd = cwnd * full_of(tcp)
    if count:
        tcp.write(body(count, full_of(tcp)))
        expect(tcp, *range(min(count, cwnd or 10)))
    return tcp


def full_of(tcp):
    """The payload of the connection's full segments."""
    return FULL if tcp.connection.timestamps_on else FULL_WITHOUT_TIMESTAMPS


def expect(tcp, *indexes, at=None):
    """The machine sends exactly these segments, now (or at a time in ms); then nothing."""
    for index in indexes:
        found = tcp.recv(at=None if at is None else ms(at), seq=seq(index, full_of(tcp)))
        assert found.payload == bytes([65 + index % 26]) * found.length, f"segment {index} has other bytes"
    tcp.recv_nothing()


def ack(tcp, index, *blocks, at, **fields):
    """The peer acknowledges everything before a segment and SACKs from and to others."""
    full = full_of(tcp)
    sack = [(seq(start, full), seq(end, full)) for start, end in blocks]
    tcp.send(".", ack=seq(index, full), sack=sack, at=ms(at), **fields)


def recovery(tcp):
    """The machine's loss recovery."""
    return tcp.connection.sender.recovery


def window(tcp):
    """The congestion window in segments."""
    return tcp.cwnd / full_of(tcp)
