"""The options of an overlay network: which ones act, which are refused. Source: reference 4.1, 4.2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from emu.cnm.swarm.vni import parse_vni_list
from emu.kernel.errors import InvalidValue, NotSupported

MTU = "com.docker.network.driver.mtu"
VXLAN_ID_LIST = "com.docker.network.driver.overlay.vxlanid_list"
ENCRYPTED = ("encrypted", "com.docker.network.driver.encrypted")
DIRECT_RETURN = ("dsr", "com.docker.network.driver.dsr")

UNDERLAY_MTU = 1500
OVERHEAD_BYTES = 50
"""Outer IPv4, UDP and VXLAN headers, and the inner Ethernet header."""
SMALLEST_MTU = 68


@dataclass(frozen=True, slots=True)
class OverlayOptions:
    """The options of one overlay network, read and checked.

    mtu: of containers' interfaces: the option is the underlay's MTU, 50 more.
    vnis: what the user chose, for the first subnets.
    """

    mtu: int
    vnis: tuple[int, ...]


def read_options(options: Mapping[str, str]) -> OverlayOptions:
    """Read the options of an overlay network.

    Raises InvalidValue for a value out of range or an unknown option.
    Raises NotSupported for `encrypted` and `dsr`.
    """
    for key in options:
        if key in ENCRYPTED:
            raise NotSupported(f"option {key}: encrypted overlay networks are not built yet; leave it out")
        if key in DIRECT_RETURN:
            raise NotSupported(f"option {key}: load balancing is not built yet; leave it out")
        if key not in (MTU, VXLAN_ID_LIST):
            raise InvalidValue(f"unknown option {key} of the overlay driver; known are {MTU}, {VXLAN_ID_LIST}")
    vnis = parse_vni_list(options[VXLAN_ID_LIST], VXLAN_ID_LIST) if VXLAN_ID_LIST in options else ()
    return OverlayOptions(_underlay_mtu(options) - OVERHEAD_BYTES, tuple(vnis))


def _underlay_mtu(options: Mapping[str, str]) -> int:
    text = options.get(MTU)
    if text is None:
        return UNDERLAY_MTU
    if not text.isascii() or not text.isdigit():
        raise InvalidValue(f'failed to parse {text} (strconv.Atoi: parsing "{text}": invalid syntax)')
    if int(text) == 0:
        return UNDERLAY_MTU
    if int(text) - OVERHEAD_BYTES < SMALLEST_MTU:
        raise InvalidValue(f"invalid MTU value: {text}; expected at least {SMALLEST_MTU + OVERHEAD_BYTES}")
    return int(text)
