"""ESP: sizes and SPIs as libnetwork's, packets as Scapy's IPsec layer makes them, and nothing that arrives raises."""

from __future__ import annotations

import builtins

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.kernel.errors import EmuError
from emu.wire.drop import DropReason
from emu.wire.esp import EXPANSION, EspCipher, esp_length, payload_max, require_cryptography, security_parameters_index

KEY = bytes(range(16))
IV = bytes.fromhex("0102030405060708")
SPI = 0xDF51AC4B
payloads = st.binary(max_size=200)
next_headers = st.integers(0, 255)


def test_the_spi_is_libnetworks_for_both_directions():
    one, other = bytes((192, 168, 1, 1)), bytes((192, 168, 1, 2))
    assert security_parameters_index(one, other, 1) == 0xDF51AC4B
    assert security_parameters_index(other, one, 1) == 0x2C2ECDCF


@pytest.mark.parametrize(("inner_ip", "frame"), [(84, 174), (1424, 1514), (1372, 1462)])
def test_frames_have_the_sizes_of_the_reference(inner_ip, frame):
    datagram = 8 + 8 + 14 + inner_ip
    assert 14 + 20 + esp_length(datagram) == frame


@given(st.integers(28, 2000))
def test_the_longest_payload_fits_and_one_byte_more_does_not(limit):
    longest = payload_max(limit)
    assert esp_length(longest) <= limit < esp_length(longest + 1)


@given(payloads, next_headers, st.integers(0, 2**32 - 1), st.binary(min_size=8, max_size=8))
def test_what_was_encrypted_can_be_decrypted(payload, next_header, sequence, iv):
    cipher = EspCipher(SPI, KEY)
    packet = cipher.seal(sequence, iv, payload, next_header)
    assert cipher.open(packet) == (next_header, payload)
    assert len(packet) == esp_length(len(payload))
    assert len(packet) % 4 == 0
    assert packet[:16] == SPI.to_bytes(4, "big") + sequence.to_bytes(4, "big") + iv


@given(payloads, st.data())
def test_a_packet_with_one_wrong_bit_does_not_pass(payload, data):
    cipher = EspCipher(SPI, KEY)
    packet = bytearray(cipher.seal(1, IV, payload, 17))
    bit = data.draw(st.integers(32, len(packet) * 8 - 1))  # the SPI itself is how the cipher is found
    packet[bit // 8] ^= 1 << bit % 8
    assert cipher.open(bytes(packet)) is DropReason.ESP_INTEGRITY


@given(payloads, st.data())
def test_a_packet_that_is_cut_off_does_not_pass(payload, data):
    cipher = EspCipher(SPI, KEY)
    packet = cipher.seal(1, IV, payload, 17)
    rest = packet[: data.draw(st.integers(0, len(packet) - 1))]
    expected = DropReason.ESP_TRUNCATED if len(rest) < EXPANSION else DropReason.ESP_INTEGRITY
    assert cipher.open(rest) is expected


@given(st.binary(max_size=120))
def test_arbitrary_bytes_never_raise(packet):
    assert isinstance(EspCipher(SPI, KEY).open(packet), DropReason)


def test_more_padding_than_there_is_data_is_refused_although_the_packet_is_genuine():
    """A trailer made by hand: pad length 200 in a packet of 4 bytes."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    salt = SPI.to_bytes(4, "big")
    head = salt + (1).to_bytes(4, "big")
    sealed = AESGCM(KEY).encrypt(salt + IV, bytes((1, 2, 200, 17)), head)
    assert EspCipher(SPI, KEY).open(head + IV + sealed[:-8]) is DropReason.ESP_TRUNCATED


def test_another_key_does_not_decrypt():
    packet = EspCipher(SPI, KEY).seal(1, IV, b"secret", 17)
    assert EspCipher(SPI, KEY[::-1]).open(packet) is DropReason.ESP_INTEGRITY


@pytest.mark.parametrize("size", [0, 1, 2, 3, 100])
def test_scapys_ipsec_layer_decrypts_to_the_same_and_encrypts_to_the_same_bytes(size):
    from scapy.layers.inet import IP, UDP
    from scapy.layers.ipsec import ESP, SecurityAssociation

    source, destination = "198.18.0.1", "198.18.0.2"
    inner = IP(src=source, dst=destination, id=7, ttl=64, flags=0) / UDP(sport=40000, dport=4789) / (b"x" * size)
    payload = bytes(inner)[20:]
    ours = EspCipher(SPI, KEY).seal(1, IV, payload, 17)
    association = SecurityAssociation(ESP, spi=SPI, crypt_algo="AES-GCM", crypt_key=KEY + SPI.to_bytes(4, "big"))
    theirs = bytes(association.encrypt(inner, seq_num=1, iv=IV))[20:]
    assert theirs[:-16] == ours[:-8], "the same but for the length of the ICV"
    assert theirs[-16:-8] == ours[-8:]
    decrypted = association.decrypt(IP(src=source, dst=destination, proto=50) / ESP(ours + theirs[-8:]))
    assert bytes(decrypted[UDP]) == payload


def test_without_the_package_there_is_one_line_that_says_what_to_install(monkeypatch):
    real_import = builtins.__import__

    def no_cryptography(name, *rest):
        if name.startswith("cryptography"):
            raise ImportError(name)
        return real_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", no_cryptography)
    with pytest.raises(EmuError, match=r"need the package cryptography: pip install cryptography$"):
        require_cryptography()
