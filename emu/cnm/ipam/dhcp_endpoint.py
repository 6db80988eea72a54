"""The DHCP client of one endpoint: its lease becomes the endpoint's address, and the end of the lease ends that."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simpy.events import Event

from emu.cnm.ipam.driver import Pending
from emu.kernel.errors import EmuError
from emu.traffic.dhcp_client_lease import ClientLease
from emu.traffic.dhcp_parameters import LeaseParameters
from emu.traffic.dhcp_program import DhcpProgram
from emu.traffic.dhcp_transitions import CHECKING, SELECTING
from emu.wire.address import ipv4_to_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from emu.cnm.endpoint import Endpoint
    from emu.kernel import Kernel
    from emu.traffic.dhcp_profile import DhcpProfile

WAITING = Pending("waiting for a DHCP lease")


class LeaseOutcome(Event):
    """Happens when a client has a lease, or has failed to get one; its value is None, or why it has failed."""

    def __init__(self, kernel: Kernel, lease: EndpointLease) -> None:
        super().__init__(kernel)
        self._lease = lease

    @property
    def description(self) -> str:
        """What it is, for whoever waits."""
        network = self._lease.endpoint.network.name
        return f"a DHCP lease on network {network}, in state {self._lease.state}"


@dataclass(frozen=True, slots=True)
class Memory:
    """What a container remembers of its lease while it has no interface.

    mac: of the interface. address: what it was given last, None for nothing. is_held: the lease was not released.
    expires_ns: None for a lease without end.
    """

    mac: bytes
    address: bytes | None = None
    is_held: bool = False
    expires_ns: int | None = None

    def may_reboot(self, now_ns: int) -> bool:
        """Tell whether the address may be asked for as a client does that only reboots (RFC 2131 section 3.2)."""
        return self.address is not None and self.is_held and (self.expires_ns is None or now_ns < self.expires_ns)


class EndpointLease:
    """The client of an endpoint whose device is in its sandbox; it begins at once.

    explain: gives a reason why no server answers a DISCOVER, if there is one, for people.
    failure: why the last attempt to get a lease came to nothing, None if none did since the last lease.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        profile: DhcpProfile,
        memory: Memory,
        *,
        requested: ipaddress.IPv4Address | None,
        client_id: bytes | None,
        explain: Callable[[], str],
    ) -> None:
        assert endpoint.sandbox is not None, endpoint
        assert endpoint.device is not None, endpoint
        self.endpoint = endpoint
        self.failure: str | None = None
        self._explain = explain
        self._sandbox = endpoint.sandbox
        self._kernel = endpoint.sandbox.namespace.kernel
        self._parameters = LeaseParameters(endpoint.sandbox.namespace, endpoint.device)
        self._outcome: LeaseOutcome | None = None
        self._in_effect: ClientLease | None = None
        reboots = memory.may_reboot(self._kernel.now) and requested in (None, _as_address(memory.address))
        wish = str(requested) if requested is not None else str(_as_address(memory.address) or "") or None
        self._program = DhcpProgram(
            endpoint.sandbox.namespace,
            endpoint.device,
            profile,
            self._bound,
            self._unbound,
            self._failed,
            on_extend=self._extended,
            requested=wish,
            reboot=reboots,
            host_name=endpoint.sandbox.container_name,
            client_id=client_id,
        )

    @property
    def state(self) -> str:
        """The state of the client, as RFC 2131 names it."""
        return self._program.client.state

    @property
    def lease(self) -> ClientLease | None:
        """The lease in effect, or None."""
        return self._program.client.lease if self.endpoint.address is not None else None

    def outcome(self) -> LeaseOutcome:
        """Return an event that happens with the next lease or failure."""
        if self._outcome is None:
            self._outcome = LeaseOutcome(self._kernel, self)
        return self._outcome

    def end(self, keeps_lease: bool) -> Memory:
        """End the client and return what there is to remember. keeps_lease: without a RELEASE."""
        lease, mac = self.lease, self._program.client.mac
        last = self._program.client.requested
        if keeps_lease:
            self._program.abandon()
        else:
            self._program.stop()
        self._report("the container has left the network")
        if lease is None:
            return Memory(mac, last)
        return Memory(mac, lease.address, keeps_lease, lease.expires_ns)

    # -- what the program reports -------------------------------------------------------------------------------------

    def _bound(self, lease: ClientLease) -> None:
        if self._put_into_effect(lease, announce_count=1):
            self.failure = None
            self._report(None)

    def _extended(self, lease: ClientLease) -> None:
        """Take what came with a renewal where it is new or was lost in between (RFC 2131 section 4.4.5).

        As udhcpc's script, which sets address and routes again: an interface that was down has lost its routes.
        """
        before, self._in_effect = self._in_effect, lease
        if before is not None and (before.parameters != lease.parameters or not self._is_complete()):
            self._unbound(before)
            self._put_into_effect(lease, announce_count=0)  # everybody knows the address

    def _is_complete(self) -> bool:
        """Tell whether the address and, if it is this network's, the default route are still there."""
        namespace, device = self._sandbox.namespace, self.endpoint.device
        if device is None or str(self.endpoint.address) not in namespace.addresses(device):
            return False
        if self._sandbox.gateway_endpoint is not self.endpoint:
            return True
        return any(not route.prefix_length and route.device is device for route in namespace.routes.all())

    def _put_into_effect(self, lease: ClientLease, announce_count: int) -> bool:
        """Give the endpoint its address and the rest; False when it does not fit the container."""
        address = ipaddress.IPv4Interface(f"{ipv4_to_text(lease.address)}/{lease.prefix_length}")
        router = None if lease.default_router is None else ipaddress.IPv4Address(lease.default_router)
        self.endpoint.gateway = None
        try:
            usable = router is not None and router in address.network  # as udhcpc's script, which goes on without
            self.endpoint.bind(address, str(router) if usable else None, announce_count)
        except EmuError as error:
            self._refused(str(error))
            return False
        self._parameters.install(lease)
        self._in_effect = lease
        return True

    def _refused(self, problem: str) -> None:
        """A lease that does not fit the container is given back at once; there is no use in asking again."""
        self._fail(f"the lease can't be used: {problem}")
        self._program.stop()

    def _unbound(self, lease: ClientLease) -> None:
        self._parameters.remove()
        if self.endpoint.address is not None:
            self.endpoint.unbind(WAITING)
            self.endpoint.gateway = None

    def _failed(self, state: str) -> None:
        reason = "what is offered is in use" if state == CHECKING else self._explain() if state == SELECTING else ""
        network = self.endpoint.network.name
        self._fail(f"no DHCP lease on network {network}: gave up in state {state}" + (f" ({reason})" if reason else ""))

    def _fail(self, failure: str) -> None:
        self.failure = failure
        self.endpoint.pending = Pending(failure)
        self._report(failure)

    def _report(self, failure: str | None) -> None:
        outcome, self._outcome = self._outcome, None
        if outcome is not None:
            outcome.succeed(failure)


def _as_address(address: bytes | None) -> ipaddress.IPv4Address | None:
    return None if address is None else ipaddress.IPv4Address(address)
