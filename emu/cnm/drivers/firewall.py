"""The FORWARD rules an engine keeps for its bridges: isolation, internal networks, communication off.

Source: libnetwork iptabler, FACTS 46-50, FACTS29 13, 14.

The raw table, which drops traffic between bridges one step earlier on engines 28 and 29, is kept by the driver as
endpoints come and go (`emu.stack.raw_table`).

Limits: no connection tracking, so traffic between a bridge and anything that isn't a Docker bridge passes
in both directions (a real host lets only answers in). The engines' chains are written
as one list with the same verdicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from emu.cnm.profile import Profile
from emu.stack.forward_chain import ForwardRule
from emu.stack.rule_chain import ACCEPT, DROP

if TYPE_CHECKING:
    from emu.cnm.drivers.bridge import BridgeNetwork
    from emu.stack.namespace import Namespace

_OWN_NAMES = "br-"

_ISOLATION_COMMENTS = {
    "isolation": "DOCKER-ISOLATION-STAGE-2",
    "raw+isolation": "DOCKER-ISOLATION-STAGE-2",
    "raw": "DOCKER",
}


def apply(profile: Profile, namespace: Namespace, networks: Sequence[BridgeNetwork]) -> None:
    """Set the host's FORWARD rules to what the networks need."""
    rules: list[ForwardRule] = []
    for network in networks:
        rules += _internal_rules(profile, network)
    for network in networks:
        rules.append(_same_bridge_rule(network))
    rules += _isolation_rules(profile, [network.device.name for network in networks])
    namespace.filter.replace(rules, ACCEPT)


def _internal_rules(profile: Profile, network: BridgeNetwork) -> list[ForwardRule]:
    """Let nothing into or out of an internal network, as seen from its addresses."""
    if not network.network.internal:
        return []
    subnet, bridge = network.network.subnet, network.device.name
    comment = "DOCKER-INTERNAL" if profile.isolation == "raw" else "DOCKER-ISOLATION-STAGE-1"
    return [
        ForwardRule(DROP, source=f"!{subnet}", out_device=bridge, comment=comment),
        ForwardRule(DROP, destination=f"!{subnet}", in_device=bridge, comment=comment),
    ]


def _same_bridge_rule(network: BridgeNetwork) -> ForwardRule:
    bridge = network.device.name
    verdict = ACCEPT if network.options.icc else DROP
    return ForwardRule(verdict, in_device=bridge, out_device=bridge, comment="ICC")


def _isolation_rules(profile: Profile, bridges: Sequence[str]) -> list[ForwardRule]:
    """Drop what goes from one bridge to another; all `br-` names share a rule."""
    patterns = sorted({f"{_OWN_NAMES}+" if name.startswith(_OWN_NAMES) else name for name in bridges})
    comment = _ISOLATION_COMMENTS[profile.isolation]
    return [
        ForwardRule(DROP, in_device=source, out_device=target, comment=comment)
        for source in patterns
        for target in patterns
        if source != target or source.endswith("+")
    ]
