"""What the overlay driver programs for encrypted networks: security associations and policies towards other hosts.

Source: libnetwork overlay/encryption.go. For every host that has an endpoint on one of this host's encrypted networks
there are an association per key to receive with, one to send with, and a policy; for every VNI a mark and a guard.
"""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from typing import TYPE_CHECKING

from emu.kernel.errors import NotFound
from emu.wire.esp import security_parameters_index

if TYPE_CHECKING:
    from emu.cnm.swarm.keys import EncryptionKey
    from emu.cnm.swarm.node import SwarmNode
    from emu.cnm.swarm.records import PeerRecord

Address = ipaddress.IPv4Address


class _Way:
    """What is programmed towards one host.

    local, remote: both addresses. receiving: SPIs of packets from there, oldest first. sending: the SPI to there.
    """

    __slots__ = ("local", "receiving", "remote", "sending")

    def __init__(self, local: bytes, remote: bytes) -> None:
        self.local = local
        self.remote = remote
        self.receiving: list[int] = []
        self.sending: int | None = None


class Encryption:
    """One host's side of all encrypted networks.

    keys: what the manager has handed out; the first one is for sending.
    """

    def __init__(self, node: SwarmNode) -> None:
        self._node = node
        self._xfrm = node.controller.namespace.xfrm
        self.keys: tuple[EncryptionKey, ...] = ()
        #: how many endpoint records lead to a host
        self._counts: dict[Address, int] = {}
        self._ways: dict[Address, _Way] = {}

    @property
    def port(self) -> int:
        """UDP port of VXLAN."""
        return self._node.manager.options.data_path_port

    def set_keys(self, keys: tuple[EncryptionKey, ...]) -> None:
        """Take over the keys of the swarm: new ones are added, the sending one is changed, old ones are removed."""
        if keys == self.keys:
            return
        self.keys = keys
        for way in self._ways.values():
            self._program(way)

    def address_changed(self) -> None:
        """Program everything anew: the host has got another address on the underlay."""
        for remote in self._counts:
            self._end(remote)
            self._begin(remote)

    def secure(self, vni: int) -> None:
        """Encrypt what is sent for a VNI, and refuse what comes for it in the clear."""
        self._xfrm.secure_vni(self.port, vni)

    def release(self, vni: int) -> None:
        """Undo it."""
        self._xfrm.release_vni(self.port, vni)

    def peer_added(self, remote: Address) -> None:
        """Take note of an endpoint on another host; the first one makes the associations."""
        self._counts[remote] = self._counts.get(remote, 0) + 1
        if self._counts[remote] == 1:
            self._begin(remote)

    def peer_removed(self, remote: Address) -> None:
        """Forget an endpoint; the last one of a host takes the associations with it."""
        self._counts[remote] -= 1
        if not self._counts[remote]:
            del self._counts[remote]
            self._end(remote)

    def _begin(self, remote: Address) -> None:
        """Program the way to a host; without an address of our own that waits for `address_changed`."""
        local = self._node.address
        if local is not None and local != remote:
            way = self._ways[remote] = _Way(local.packed, remote.packed)
            self._program(way)

    def _end(self, remote: Address) -> None:
        way = self._ways.pop(remote, None)
        if way is None:
            return
        for spi in way.receiving:
            self._remove_state(way.local, spi)
        if way.sending is not None:
            with suppress(NotFound):
                self._xfrm.remove_policy(way.local, way.remote, self.port)
            self._remove_state(way.remote, way.sending)

    def _remove_state(self, destination: bytes, spi: int) -> None:
        with suppress(NotFound):  # a script may have taken it away already
            self._xfrm.remove_state(destination, spi)

    def _program(self, way: _Way) -> None:
        """Bring what is programmed into accord with the keys, in libnetwork's order."""
        xfrm = self._xfrm
        wanted = {security_parameters_index(way.remote, way.local, key.tag): key for key in self.keys}
        for spi in way.receiving:
            if spi not in wanted:
                self._remove_state(way.local, spi)
        for spi, key in wanted.items():
            if spi not in way.receiving:
                xfrm.add_state(way.remote, way.local, spi, key.value)
        way.receiving = list(wanted)
        primary = self.keys[0]
        sending, before = security_parameters_index(way.local, way.remote, primary.tag), way.sending
        if sending == before:
            return
        xfrm.add_state(way.local, way.remote, sending, primary.value)
        xfrm.set_policy(way.local, way.remote, self.port, sending)
        if before is not None:
            self._remove_state(way.remote, before)
        way.sending = sending


class NetworkEncryption:
    """One encrypted network on one host: what it has asked for, so that all of it can be taken back."""

    def __init__(self, encryption: Encryption) -> None:
        self._encryption = encryption
        self._vnis: list[int] = []
        self._remotes: list[Address] = []

    def secure(self, vni: int) -> None:
        """Encrypt a subnet's VNI."""
        self._encryption.secure(vni)
        self._vnis.append(vni)

    def peer_added(self, record: PeerRecord) -> None:
        """Take note of a remote endpoint; to be called before its addresses are programmed."""
        if record.tunnel_endpoint is not None:
            self._encryption.peer_added(record.tunnel_endpoint)
            self._remotes.append(record.tunnel_endpoint)

    def peer_removed(self, record: PeerRecord) -> None:
        """Forget a remote endpoint."""
        if record.tunnel_endpoint is not None:
            self._remotes.remove(record.tunnel_endpoint)
            self._encryption.peer_removed(record.tunnel_endpoint)

    def end(self) -> None:
        """Take everything back: the network is not used on this host any more."""
        while self._remotes:
            self._encryption.peer_removed(self._remotes.pop())
        while self._vnis:
            self._encryption.release(self._vnis.pop())
