"""IPv4 fragmentation and reassembly (RFC 791, RFC 815), without any input or output of its own."""

from __future__ import annotations

from emu.wire.checksum import internet_checksum

REASSEMBLY_TIMEOUT_NS = 30 * 1_000_000_000
HIGH_THRESHOLD = 4 * 1024 * 1024
MORE_FRAGMENTS = 0x2000
DONT_FRAGMENT = 0x4000
OFFSET_MASK = 0x1FFF
MAX_DATAGRAM = 65535
_COPIED_OPTION = 0x80


def fragment_packet(packet: bytes, mtu: int) -> list[bytes]:
    """Cut an IPv4 packet into fragments of at most `mtu` bytes each.

    packet: a whole packet or itself a fragment, header first. mtu: bytes of IP packet per link frame.
    Returns the packets to send in order (the packet itself when it fits). All share the identification; options
    without the "copied" flag stay in the first fragment only and are replaced by padding in the others, as Linux
    does it (so all headers have the same length).
    """
    total = len(packet)
    if total <= mtu:
        return [packet]
    header_length = (packet[0] & 15) * 4
    step = (mtu - header_length) & ~7
    assert step > 0, f"an MTU of {mtu} leaves no room for data after {header_length} bytes of header"
    flags_and_offset = int.from_bytes(packet[6:8], "big")
    offset = (flags_and_offset & OFFSET_MASK) * 8
    later_more = flags_and_offset & MORE_FRAGMENTS
    keep = flags_and_offset & 0xC000
    header = packet[:header_length]
    fragments = []
    for start in range(header_length, total, step):
        data = packet[start : start + step]
        more = MORE_FRAGMENTS if start + step < total else later_more
        field = keep | more | (offset + start - header_length) // 8
        fragments.append(_rewrite_header(header, header_length + len(data), field) + data)
        if start == header_length and header_length > 20:
            header = header[:20] + _options_for_later_fragments(header[20:])
    return fragments


def _rewrite_header(header: bytes, total_length: int, flags_and_offset: int) -> bytes:
    """Return the header with another length and fragment field, and the checksum that belongs to them."""
    head = header[:2] + total_length.to_bytes(2, "big") + header[4:6] + flags_and_offset.to_bytes(2, "big")
    head += header[8:10] + b"\0\0" + header[12:]
    return head[:10] + internet_checksum(head).to_bytes(2, "big") + head[12:]


def _options_for_later_fragments(options: bytes) -> bytes:
    """Replace every option that is not to be copied by no-operation bytes (RFC 791, section 3.1)."""
    result = bytearray(options)
    index = 0
    while index < len(options):
        kind = options[index]
        if kind == 0:
            break
        if kind == 1:
            index += 1
            continue
        length = options[index + 1] if index + 1 < len(options) else 0
        if length < 2 or index + length > len(options):
            break
        if not kind & _COPIED_OPTION:
            result[index : index + length] = b"\x01" * length
        index += length
    return bytes(result)


def truesize(packet_length: int) -> int:
    """Return how much kernel memory Linux accounts for a packet of that many bytes.

    The data and its 320-byte trailer are rounded up to a power of two, plus 256 bytes for the descriptor: 768 for
    small packets, 2304 for a full Ethernet frame.
    """
    size = 512
    while size < packet_length + 16 + 320:
        size *= 2
    return size + 256


class Incomplete:
    """A datagram of which some fragments have arrived.

    key: source, destination, protocol and identification. first_packet: the fragment with offset 0, once it is
    there (an ICMP error quotes it). packet_id: passport of the first fragment seen. max_size: the largest fragment.
    """

    __slots__ = (
        "altered",
        "context",
        "expires_ns",
        "first_packet",
        "first_packet_id",
        "key",
        "max_size",
        "memory",
        "packet_id",
        "pieces",
        "saw_dont_fragment",
        "total",
    )

    def __init__(self, key: bytes, expires_ns: int, packet_id: int, context: object) -> None:
        self.key = key
        self.expires_ns = expires_ns
        self.packet_id = packet_id
        self.context = context
        self.first_packet: bytes | None = None
        self.first_packet_id = packet_id
        self.pieces: dict[int, bytes] = {}
        self.total: int | None = None
        self.max_size = 0
        self.memory = 0
        self.altered = False
        self.saw_dont_fragment = False


class Reassembled:
    """A datagram put together again: the packet, the passport, and what the fragments looked like."""

    __slots__ = ("altered", "max_fragment_size", "packet", "packet_id", "saw_dont_fragment")

    def __init__(self, packet: bytes, incomplete: Incomplete) -> None:
        self.packet = packet
        self.packet_id = incomplete.first_packet_id
        self.altered = incomplete.altered
        self.max_fragment_size = incomplete.max_size
        self.saw_dont_fragment = incomplete.saw_dont_fragment


class Rejected:
    """Why a fragment was not taken: "overlap", "memory", "malformed" or "duplicate"."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why


OVERLAP = Rejected("overlap")
MEMORY = Rejected("memory")
MALFORMED = Rejected("malformed")
DUPLICATE = Rejected("duplicate")


class Reassembler:
    """Puts fragments together; the owner drives it with `add` and `expire`.

    timeout_ns: a datagram is given up so long after its first fragment arrived (`net.ipv4.ipfrag_time`).
    high_threshold: bytes of memory beyond which new fragments are refused (`ipfrag_high_thresh`; 4 MiB).
    An exact duplicate is dropped alone; any other overlap drops the whole datagram (as Linux since 4.20, RFC 5722's
    rule applied to IPv4).
    Limits: memory is refused to new fragments, as Linux does since 4.17; before it evicted old datagrams until only
    3 MiB (`ipfrag_low_thresh`) were left.
    """

    __slots__ = ("_queues", "high_threshold", "memory", "timeout_ns")

    def __init__(self, timeout_ns: int = REASSEMBLY_TIMEOUT_NS, high_threshold: int = HIGH_THRESHOLD) -> None:
        self.timeout_ns = timeout_ns
        self.high_threshold = high_threshold
        self.memory = 0
        self._queues: dict[bytes, Incomplete] = {}

    def __len__(self) -> int:
        return len(self._queues)

    def add(
        self, now_ns: int, packet: bytes, packet_id: int, context: object = None, altered: bool = False
    ) -> Reassembled | Rejected | None:
        """Take one fragment; return the whole datagram, a `Rejected`, or None while fragments are missing.

        packet: the fragment, header first, already checked to be as long as its header says.
        context: whatever tells where it came from; that of the first to arrive is kept for the owner.
        """
        field = int.from_bytes(packet[6:8], "big")
        header_length = (packet[0] & 15) * 4
        offset = (field & OFFSET_MASK) * 8
        data = packet[header_length:]
        more = bool(field & MORE_FRAGMENTS)
        if more and len(data) % 8:
            data = data[: len(data) & ~7]
        if not data or offset + len(data) + header_length > MAX_DATAGRAM:
            return MALFORMED
        key = packet[12:20] + packet[9:10] + packet[4:6]
        queue = self._queues.get(key)
        memory = truesize(len(packet))
        if self.memory + memory > self.high_threshold:
            return MEMORY
        if queue is None:
            queue = self._queues[key] = Incomplete(key, now_ns + self.timeout_ns, packet_id, context)
        verdict = self._insert(queue, offset, data, more)
        if verdict is not None:
            return verdict
        queue.memory += memory
        self.memory += memory
        queue.altered |= altered
        queue.max_size = max(queue.max_size, len(packet))
        queue.saw_dont_fragment |= bool(field & DONT_FRAGMENT)
        if not offset:
            queue.first_packet = packet
            queue.first_packet_id = packet_id
        return self._complete(queue)

    def _insert(self, queue: Incomplete, offset: int, data: bytes, more: bool) -> Rejected | None:
        """Put the data at its place, or say why not."""
        end = offset + len(data)
        if not more:
            if any(start + len(piece) > end for start, piece in queue.pieces.items()) or (
                queue.total is not None and queue.total != end
            ):
                self._forget(queue)
                return OVERLAP
        elif queue.total is not None and end > queue.total:
            self._forget(queue)
            return OVERLAP
        known = queue.pieces.get(offset)
        if known is not None and len(known) == len(data):
            return DUPLICATE
        for start, piece in queue.pieces.items():
            if start < end and offset < start + len(piece):
                if start <= offset and end <= start + len(piece):
                    return DUPLICATE  # Linux drops only this one when it brings nothing new
                self._forget(queue)
                return OVERLAP
        queue.pieces[offset] = data
        if not more:
            queue.total = end
        return None

    def _complete(self, queue: Incomplete) -> Reassembled | None:
        """Join the pieces when none is missing."""
        first = queue.first_packet
        if queue.total is None or first is None:
            return None
        if sum(map(len, queue.pieces.values())) != queue.total:
            return None
        header_length = (first[0] & 15) * 4
        if header_length + queue.total > MAX_DATAGRAM:
            self._forget(queue)
            return None
        field = DONT_FRAGMENT if queue.saw_dont_fragment else 0
        header = _rewrite_header(first[:header_length], header_length + queue.total, field)
        packet = header + b"".join(queue.pieces[offset] for offset in sorted(queue.pieces))
        self._forget(queue)
        return Reassembled(packet, queue)

    def expire(self, now_ns: int) -> list[Incomplete]:
        """Give up and return the datagrams whose time is over, oldest first."""
        due = []
        for queue in self._queues.values():  # in order of arrival, hence of expiry
            if queue.expires_ns > now_ns:
                break
            due.append(queue)
        for queue in due:
            self._forget(queue)
        return due

    def next_expiry_ns(self) -> int | None:
        """Return when `expire` must be called next, or None when nothing waits."""
        for queue in self._queues.values():
            return queue.expires_ns
        return None

    def clear(self) -> None:
        """Forget everything."""
        self._queues.clear()
        self.memory = 0

    def _forget(self, queue: Incomplete) -> None:
        if self._queues.get(queue.key) is queue:
            del self._queues[queue.key]
            self.memory -= queue.memory
