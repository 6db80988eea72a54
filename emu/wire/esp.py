"""ESP packets (RFC 4303) as Docker's encrypted overlays use them: AES-GCM with an ICV of 8 bytes (RFC 4106).

    SPI 4 | sequence number 4 | IV 8 | encrypted: payload, padding 1 2 3 …, pad length 1, next header 1 | ICV 8

Linux calls the algorithm `rfc4106(gcm(aes))`, 64-bit ICV. The nonce is a 4-byte salt and the IV; SPI and sequence
number are authenticated, not encrypted. Docker takes the SPI itself as the salt.

The cipher comes from the package `cryptography`, the extra `crypto`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.kernel.errors import EmuError
from emu.wire.drop import DropReason

if TYPE_CHECKING:
    from collections.abc import Callable

PROTOCOL_ESP = 50
HEADER_LENGTH = 8
IV_LENGTH = 8
TRAILER_LENGTH = 2
ICV_LENGTH = 8
KEY_LENGTH = 16
ALIGNMENT = 4
"""Payload, padding and trailer together are a multiple of this."""
EXPANSION = HEADER_LENGTH + IV_LENGTH + TRAILER_LENGTH + ICV_LENGTH
"""What ESP adds to a payload that needs no padding: 26 bytes; up to 3 bytes of padding more."""
SEQUENCE_MAX = 2**32 - 1

_PADDING_AND_LENGTH = (b"\x00", b"\x01\x01", b"\x01\x02\x02", b"\x01\x02\x03\x03")
_FULL_ICV = 16
_MAPPED = b"\0" * 10 + b"\xff\xff"
_FNV_OFFSET, _FNV_PRIME = 0x811C9DC5, 0x01000193


def require_cryptography() -> None:
    """Raise EmuError, which says what to install, when the package for the cipher is missing."""
    try:
        import cryptography.hazmat.primitives.ciphers.aead  # noqa: F401
    except ImportError:
        raise EmuError("encrypted overlay networks need the package cryptography: pip install cryptography") from None


def security_parameters_index(source: bytes, destination: bytes, tag: int) -> int:
    """Return the SPI that libnetwork gives the way from one VTEP to another with a key.

    source, destination: 4-byte IPv4 addresses, hashed in their 16-byte form. tag: the key's Lamport time, 32 bits.
    FNV-1a, 32 bits (libnetwork overlay/encryption.go).
    """
    value = _FNV_OFFSET
    for byte in _MAPPED + source + tag.to_bytes(4, "big") + _MAPPED + destination:
        value = (value ^ byte) * _FNV_PRIME & 0xFFFFFFFF
    return value


def esp_length(payload_length: int) -> int:
    """Return how long the ESP packet around a payload is, without its IP header."""
    return HEADER_LENGTH + IV_LENGTH + -(-(payload_length + TRAILER_LENGTH) // ALIGNMENT) * ALIGNMENT + ICV_LENGTH


def payload_max(esp_length_max: int) -> int:
    """Return the longest payload whose ESP packet is not longer than this; negative when none is."""
    room = esp_length_max - HEADER_LENGTH - IV_LENGTH - ICV_LENGTH
    return room // ALIGNMENT * ALIGNMENT - TRAILER_LENGTH


class EspCipher:
    """Encrypts and decrypts the packets of one SPI.

    spi: 32 bits, also the salt. key: 16 bytes. Raises EmuError when the package `cryptography` is missing.
    """

    __slots__ = ("_encrypt", "_spi")

    def __init__(self, spi: int, key: bytes) -> None:
        require_cryptography()
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        assert len(key) == KEY_LENGTH, f"an AES-128 key has {KEY_LENGTH} bytes, not {len(key)}"
        self._spi = spi.to_bytes(4, "big")
        self._encrypt: Callable[[bytes, bytes, bytes], bytes] = AESGCM(key).encrypt

    def seal(self, sequence: int, iv: bytes, payload: bytes, next_header: int) -> bytes:
        """Return the ESP packet around a payload.

        sequence: 0 to 4294967295. iv: 8 bytes, never the same twice. next_header: protocol of the payload.
        """
        spi = self._spi
        padding = _PADDING_AND_LENGTH[-(len(payload) + TRAILER_LENGTH) % ALIGNMENT]
        head = spi + sequence.to_bytes(4, "big")
        sealed = self._encrypt(spi + iv, payload + padding + bytes((next_header,)), head)
        return head + iv + sealed[: ICV_LENGTH - _FULL_ICV]

    def open(self, packet: bytes) -> tuple[int, bytes] | DropReason:
        """Return next header and payload of an ESP packet, or why it must be dropped.

        packet: from the SPI to the end of the ICV; that it has this cipher's SPI is up to the caller.
        What the padding consists of is not checked, as in Linux.
        """
        if len(packet) < EXPANSION:
            return DropReason.ESP_TRUNCATED
        nonce = self._spi + packet[8:16]
        head = packet[:8]
        encrypt = self._encrypt
        # AES-GCM encrypts by exclusive or with a key stream, so encrypting decrypts. That and encrypting once more, for
        # the ICV, take less than half the time of the one interface of the package that knows short ICVs.
        plain = encrypt(nonce, packet[16:-ICV_LENGTH], head)[:-_FULL_ICV]
        if encrypt(nonce, plain, head)[-_FULL_ICV : ICV_LENGTH - _FULL_ICV] != packet[-ICV_LENGTH:]:
            return DropReason.ESP_INTEGRITY
        end = len(plain) - TRAILER_LENGTH - plain[-2]
        if end < 0:
            return DropReason.ESP_TRUNCATED
        return plain[-1], plain[:end]
