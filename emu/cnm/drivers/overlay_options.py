"""The options of an overlay network: which ones act, which are refused. Source: libnetwork overlay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from emu.cnm.swarm.vni import parse_vni_list
from emu.kernel.errors import InvalidValue, NotSupported
from emu.wire.esp import ALIGNMENT, EXPANSION

MTU = "com.docker.network.driver.mtu"
VXLAN_ID_LIST = "com.docker.network.driver.overlay.vxlanid_list"
ENCRYPTED = ("encrypted",)
"""Encrypts whatever its value is, "false" included, as in Docker."""
DIRECT_RETURN = ("dsr", "com.docker.network.driver.dsr")

UNDERLAY_MTU = 1500
OVERHEAD_BYTES = 50
"""Outer IPv4, UDP and VXLAN headers, and the inner Ethernet header."""
SMALLEST_MTU = 68


@dataclass(frozen=True, slots=True)
class OverlayOptions:
    """The options of one overlay network, read and checked.

    mtu: of containers' interfaces: the option is the underlay's MTU, 50 more; encryption takes another 26 and
        leaves a multiple of 4. vnis: what the user chose, for the first subnets. encrypted: between hosts.
    """

    mtu: int
    vnis: tuple[int, ...]
    encrypted: bool = False


def read_options(options: Mapping[str, str]) -> OverlayOptions:
    """Read the options of an overlay network.

    Raises InvalidValue for a value out of range or an unknown option.
    Raises NotSupported for `dsr`.
    """
    for key in options:
        if key in DIRECT_RETURN:
            raise NotSupported(f"option {key}: load balancing is not built yet; leave it out")
        if key not in (MTU, VXLAN_ID_LIST, *ENCRYPTED):
            known = ", ".join((MTU, VXLAN_ID_LIST, *ENCRYPTED))
            raise InvalidValue(f"unknown option {key} of the overlay driver; known are {known}")
    vnis = parse_vni_list(options[VXLAN_ID_LIST], VXLAN_ID_LIST) if VXLAN_ID_LIST in options else ()
    encrypted = any(key in options for key in ENCRYPTED)
    return OverlayOptions(_container_mtu(options, encrypted), tuple(vnis), encrypted)


def _container_mtu(options: Mapping[str, str], encrypted: bool) -> int:
    mtu = _underlay_mtu(options) - OVERHEAD_BYTES
    if encrypted:
        mtu = (mtu - EXPANSION) // ALIGNMENT * ALIGNMENT
    if mtu < SMALLEST_MTU:
        least = SMALLEST_MTU + OVERHEAD_BYTES + (-(-EXPANSION // ALIGNMENT) * ALIGNMENT - 2 if encrypted else 0)
        raise InvalidValue(f"invalid MTU value: {options[MTU]}; expected at least {least}")
    return mtu


def _underlay_mtu(options: Mapping[str, str]) -> int:
    text = options.get(MTU)
    if text is None:
        return UNDERLAY_MTU
    if not text.isascii() or not text.isdigit():
        raise InvalidValue(f'failed to parse {text} (strconv.Atoi: parsing "{text}": invalid syntax)')
    if int(text) == 0:
        return UNDERLAY_MTU
    return int(text)
