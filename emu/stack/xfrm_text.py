"""What `ip xfrm state` and `ip xfrm policy` print for a namespace (iproute2 6.1), the newest entry first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.wire.address import ipv4_to_text
from emu.wire.esp import ICV_LENGTH

if TYPE_CHECKING:
    from emu.stack.xfrm import Xfrm
    from emu.stack.xfrm_state import SecurityAssociation

DOCKER_MARK = 0xD0C4E3
"""Docker's mark for packets to encrypt, and the request id of its associations."""


def states(xfrm: Xfrm) -> str:
    """Return what `ip xfrm state` prints."""
    return "".join(_state(state) for state in reversed(list(xfrm.states.values())))


def _state(state: SecurityAssociation) -> str:
    return (
        f"src {ipv4_to_text(state.source)} dst {ipv4_to_text(state.destination)}\n"
        f"{_template(state.spi)}"
        f"\treplay-window {state.replay_window} \n"
        f"\taead rfc4106(gcm(aes)) 0x{state.key_and_salt.hex()} {ICV_LENGTH * 8}\n"
        f"\tanti-replay context: seq 0x{state.highest:x}, oseq 0x{state.sequence:x}, bitmap 0x{state.seen:08x}\n"
        "\tsel src 0.0.0.0/0 dst 0.0.0.0/0 \n"
    )


def policies(xfrm: Xfrm) -> str:
    """Return what `ip xfrm policy` prints."""
    texts = []
    for (source, destination, port), spi in reversed(list(xfrm.policies.items())):
        here, there = ipv4_to_text(source), ipv4_to_text(destination)
        texts.append(
            f"src {here}/32 dst {there}/32 proto udp dport {port} \n"
            "\tdir out priority 0 ptype main \n"
            f"\tmark 0x{DOCKER_MARK:x}/0xffffffff \n"
            f"\ttmpl src {here} dst {there}\n"
            f"\t{_template(spi)}"
        )
    return "".join(texts)


def _template(spi: int) -> str:
    return f"\tproto esp spi 0x{spi:08x} reqid {DOCKER_MARK} mode transport\n"
