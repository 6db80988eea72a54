"""A security association of IPsec: keys, sequence numbers and the replay window of one direction (RFC 4303)."""

from __future__ import annotations

from emu.kernel.errors import InvalidValue
from emu.wire.drop import DropReason
from emu.wire.esp import SEQUENCE_MAX, EspCipher

REPLAY_WINDOW_MAX = 32
_MASK_64 = 2**64 - 1


class SecurityAssociation:
    """One direction between two addresses.

    source, destination: 4-byte addresses. spi: 32 bits. key: 16 bytes; the salt is the SPI.
    iv_salt: 64 bits. The IV of a packet is its sequence number, exclusive or this, as Linux's `seqiv` makes it; so
        nobody can tell from the IV, and an association that is made anew with an old key does not repeat IVs.
    replay_window: how many sequence numbers behind the highest one are still accepted, once; 0 accepts everything.
        Docker leaves it at 0: sequence numbers are sent and never looked at.
    sequence: of the last packet sent, 0 before the first. highest: sequence number received, with a replay window.
    seen: bit n says that highest - n was received.
    packets, bytes: sent or received through it, without IP headers.
    """

    __slots__ = ("_cipher", "bytes", "destination", "highest", "iv_salt", "key", "packets", "replay_window", "seen",
                 "sequence", "source", "spi")  # fmt: skip

    def __init__(
        self, source: bytes, destination: bytes, spi: int, key: bytes, *, iv_salt: int = 0, replay_window: int = 0
    ) -> None:
        if type(replay_window) is not int or not 0 <= replay_window <= REPLAY_WINDOW_MAX:
            raise InvalidValue(f"invalid replay window {replay_window!r}: expected 0 to {REPLAY_WINDOW_MAX}")
        self.source = source
        self.destination = destination
        self.spi = spi
        self.key = key
        self.iv_salt = iv_salt & _MASK_64
        self.replay_window = replay_window
        self.sequence = 0
        self.highest = 0
        self.packets = self.bytes = 0
        self.seen = 0
        self._cipher = EspCipher(spi, key)

    @property
    def key_and_salt(self) -> bytes:
        """The key as Linux and Wireshark write it: AES key, then salt."""
        return self.key + self.spi.to_bytes(4, "big")

    def seal(self, payload: bytes, next_header: int) -> bytes | None:
        """Return the next ESP packet around a payload; None when the sequence numbers are used up."""
        sequence = self.sequence + 1
        if sequence > SEQUENCE_MAX:
            return None
        self.sequence = sequence
        self.packets += 1
        self.bytes += len(payload)
        return self._cipher.seal(sequence, (sequence ^ self.iv_salt).to_bytes(8, "big"), payload, next_header)

    def open(self, packet: bytes) -> tuple[int, bytes] | DropReason:
        """Return next header and payload of an ESP packet with this SPI, or why it is dropped."""
        sequence = int.from_bytes(packet[4:8], "big")
        if self.replay_window and self._is_replay(sequence):
            return DropReason.ESP_REPLAY
        opened = self._cipher.open(packet)
        if isinstance(opened, DropReason):
            return opened
        if self.replay_window:
            self._advance(sequence)
        self.packets += 1
        self.bytes += len(opened[1])
        return opened

    def _is_replay(self, sequence: int) -> bool:
        behind = self.highest - sequence
        if behind < 0:
            return False
        return not sequence or behind >= self.replay_window or bool(self.seen >> behind & 1)

    def _advance(self, sequence: int) -> None:
        """Take note of a sequence number; called only for packets that are genuine."""
        ahead = sequence - self.highest
        if ahead > 0:
            self.seen = (self.seen << min(ahead, REPLAY_WINDOW_MAX) | 1) & (1 << REPLAY_WINDOW_MAX) - 1
            self.highest = sequence
        else:
            self.seen |= 1 << -ahead

    def __repr__(self) -> str:
        return f"<SecurityAssociation 0x{self.spi:08x}, {self.packets} packets>"
