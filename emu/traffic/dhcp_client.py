"""The DHCP client as a machine without input and output: messages, answers to ARP probes and the time go in.

What a state does about an event is the table in `dhcp_transitions`; each action in it is a method of `DhcpClient`
that leaves what is to be done in `actions`. `emu.traffic.dhcp_program` connects it to a namespace.
"""

from __future__ import annotations

from random import Random

from emu.traffic.dhcp_client_actions import Action, Bind, Failed, ProbeAddress, Send, Unbind
from emu.traffic.dhcp_client_lease import ClientLease, lease_of, prefix_length_of
from emu.traffic.dhcp_profile import MINIMUM_RENEWAL_NS, SECOND, DhcpProfile
from emu.traffic.dhcp_transitions import (
    BOUND,
    CHECKING,
    INIT,
    INIT_REBOOT,
    REBINDING,
    REBOOTING,
    RENEWING,
    REQUESTING,
    SELECTING,
    STOPPED,
    TRANSITIONS,
)
from emu.wire import dhcp
from emu.wire.address import ANY_IPV4
from emu.wire.dhcp import DhcpMessage

PROBE_WAIT_NS = 2 * SECOND
"""How long an answer to the ARP probe is waited for (udhcpc -a: 2 s)."""
HOST_NAME_MAX = 64
"""Linux has no longer host names."""
REFUSALS_MAX = 3
"""How often in a row a NAK or a conflict may end an exchange before that counts as a failure to get an address."""


class DhcpClient:
    """One client on one interface.

    mac: 6 bytes. random: a stream of its own. Begin with `start`; then call `receive`, `expire` when `deadline_ns`
    is reached, `conflict`, `stop`; each returns what is to be done. deadline_ns is None when nothing is waited for.
    requested: address to ask for. reboot: begin in INIT-REBOOT with `requested`, as a client that remembers its lease.
    Limits: takes the first offer, as udhcpc does; one ARP probe.
    """

    __slots__ = (
        "_actions",
        "_attempt",
        "_client_id",
        "_first_sent_ns",
        "_host_name",
        "_mac",
        "_now_ns",
        "_offer",
        "_profile",
        "_random",
        "_reboots",
        "_refusals",
        "_reply",
        "_request_sent_ns",
        "_requested",
        "_transaction_id",
        "deadline_ns",
        "lease",
        "state",
    )

    def __init__(
        self,
        profile: DhcpProfile,
        mac: bytes,
        random: Random,
        *,
        host_name: str = "",
        client_id: bytes | None = None,
        requested: bytes | None = None,
        reboot: bool = False,
    ) -> None:
        assert requested is not None or not reboot, "a client that reboots must know its address"
        self._profile = profile
        self._mac = mac
        self._random = random
        self._host_name = host_name.encode()[:HOST_NAME_MAX]
        self._client_id = b"\x01" + mac if client_id is None else client_id
        self._requested = requested
        self._reboots = reboot
        self.state = STOPPED
        self.lease: ClientLease | None = None
        self.deadline_ns: int | None = None
        self._actions: list[Action] = []
        self._now_ns = 0
        self._attempt = 0
        self._refusals = 0
        self._transaction_id = 0
        self._first_sent_ns = 0
        self._request_sent_ns = 0
        self._offer: DhcpMessage | None = None
        self._reply: DhcpMessage | None = None

    @property
    def mac(self) -> bytes:
        """The MAC address of its interface."""
        return self._mac

    @property
    def requested(self) -> bytes | None:
        """The address it asks for, if it can have a wish."""
        return self._requested

    # -- what comes in ------------------------------------------------------------------------------------------------

    def start(self, now_ns: int) -> None:
        """Begin; the first message leaves when `deadline_ns` is reached."""
        assert self.state == STOPPED, self.state
        self.state = INIT_REBOOT if self._reboots else INIT
        low, high = self._profile.start_delay_ns
        self.deadline_ns = now_ns + (self._random.randint(low, high) if high and not self._reboots else 0)

    def receive(self, now_ns: int, message: DhcpMessage) -> list[Action]:
        """Take in a message; one that is not an answer to this client's last question is ignored."""
        if message.operation != dhcp.OPERATION_REPLY or message.client_mac != self._mac:
            return []
        if message.transaction_id != self._transaction_id:
            return []
        event = {dhcp.OFFER: "offer", dhcp.ACK: "ack", dhcp.NAK: "nak"}.get(message.message_type or 0)
        if event is None or not self._is_acceptable(event, message):
            return []
        self._reply = message
        return self._step(now_ns, event)

    def expire(self, now_ns: int) -> list[Action]:
        """Do what is due at `deadline_ns`."""
        if self._puts_off(now_ns):
            return self._step(now_ns, "put off")
        return self._step(now_ns, "gave up" if self._has_given_up(now_ns) else "timeout")

    def conflict(self, now_ns: int) -> list[Action]:
        """Take note that somebody else answered for the address being checked."""
        return self._step(now_ns, "conflict")

    def stop(self, now_ns: int) -> list[Action]:
        """End; a lease that is held is released."""
        return self._step(now_ns, "stop")

    def _step(self, now_ns: int, event: str) -> list[Action]:
        transition = TRANSITIONS.get((self.state, event))
        if transition is None:
            return []
        next_state, actions = transition
        self._now_ns = now_ns
        self._actions = []
        for action in actions:
            getattr(self, f"_{action}")()
        self.state = next_state
        return self._actions

    def _is_acceptable(self, event: str, message: DhcpMessage) -> bool:
        """Refuse what names no usable address or server, and answers of a server that was not asked."""
        server = message.address_option(dhcp.OPTION_SERVER_ID)
        if server is None:
            return False
        if self.state == REQUESTING and (self._offer is None or server != self._offer.option(dhcp.OPTION_SERVER_ID)):
            return False
        if event == "nak":
            return self._profile.heeds_any_nak or self.lease is None or server == self.lease.server
        address = message.your_address
        if address[0] in (0, 127) or address[0] >= 224:
            return False
        mask = message.option(dhcp.OPTION_SUBNET_MASK)
        if mask is not None and prefix_length_of(mask) is None:
            return False
        if self.state in (RENEWING, REBINDING):
            return self.lease is not None and address == self.lease.address
        if self.state == REBOOTING:
            return address == self._requested
        return event == "offer" or (self._offer is not None and address == self._offer.your_address)

    def _has_given_up(self, now_ns: int) -> bool:
        profile = self._profile
        if self.state == SELECTING:
            return self._attempt >= len(profile.discover_waits_ns)
        if self.state in (REQUESTING, REBOOTING):
            return self._attempt >= len(profile.request_waits_ns)
        if self.state == CHECKING:
            assert self.lease is not None, "checking without a lease"
            return self.lease.expires_ns is not None and now_ns >= self.lease.expires_ns
        if self.state not in (RENEWING, REBINDING):
            return False
        lease = self.lease
        assert lease is not None, "renewing without a lease"
        if profile.renew_wait_ns is None:
            end_ns = lease.rebind_at_ns if self.state == RENEWING else lease.expires_ns
        else:
            end_ns = lease.expires_ns
            if self.state == RENEWING or self._attempt >= len(profile.rebind_waits_ns):
                return True
        assert end_ns is not None, "renewing a lease without end"
        return now_ns >= end_ns

    def _puts_off(self, now_ns: int) -> bool:
        """Tell whether a renewal went unanswered that is repeated later, when less of the lease is left."""
        if self.state != RENEWING or self._profile.renew_wait_ns is None:
            return False
        assert self.lease is not None, "renewing without a lease"
        assert self.lease.expires_ns is not None, "renewing a lease without end"
        return self.lease.expires_ns - now_ns > self._profile.rebind_below_ns

    # -- actions: exchanges -------------------------------------------------------------------------------------------

    def _begin_exchange(self) -> None:
        self._first_sent_ns = self._now_ns
        self._attempt = 0
        self._begin_transaction()

    def _begin_transaction(self) -> None:
        """Take a new transaction id.

        A lease counts from the first REQUEST of its transaction: an answer says nothing of which one it is for, and a
        client that counted from a later one might outlive the lease at the server.
        """
        self._transaction_id = self._random.getrandbits(32)
        self._request_sent_ns = self._now_ns

    def _restart_attempts(self) -> None:
        self._attempt = 0

    def _wait(self, waits_ns: tuple[int, ...]) -> None:
        self.deadline_ns = self._now_ns + self._profile.wait_ns(waits_ns, self._attempt, self._random)
        self._attempt += 1

    def _send(self, kind: int, options: tuple[tuple[int, bytes], ...], server: bytes | None = None) -> None:
        """Queue a message with these options, the type, the client identifier, and what goes with a question."""
        profile = self._profile
        every = [(dhcp.OPTION_MESSAGE_TYPE, bytes((kind,))), (dhcp.OPTION_CLIENT_ID, self._client_id), *options]
        asks = kind in (dhcp.DISCOVER, dhcp.REQUEST)
        if asks:
            every.append((dhcp.OPTION_MAXIMUM_SIZE, (dhcp.DEFAULT_MAXIMUM_LENGTH).to_bytes(2, "big")))
            every.append((dhcp.OPTION_PARAMETER_REQUEST_LIST, bytes(profile.parameters)))
        if asks and self._host_name:
            every.append((dhcp.OPTION_HOST_NAME, self._host_name))
        if asks and profile.vendor_class:
            every.append((dhcp.OPTION_VENDOR_CLASS, profile.vendor_class.encode()))
        every.sort(key=lambda option: profile.option_order.index(option[0]))
        held = self.state in (BOUND, RENEWING, REBINDING) and self.lease is not None
        message = DhcpMessage(
            dhcp.OPERATION_REQUEST,
            self._transaction_id,
            self._mac,
            tuple(every),
            seconds=min((self._now_ns - self._first_sent_ns) // SECOND, 0xFFFF) if asks else 0,
            flags=dhcp.FLAG_BROADCAST if profile.broadcast_flag and asks and not held else 0,
            client_address=self.lease.address if held and self.lease is not None else ANY_IPV4,
        )
        self._actions.append(Send(message, server))

    def _send_discover(self) -> None:
        wish = () if self._requested is None else ((dhcp.OPTION_REQUESTED_ADDRESS, self._requested),)
        self._send(dhcp.DISCOVER, wish)
        self._wait(self._profile.discover_waits_ns)

    def _take_offer(self) -> None:
        self._offer = self._reply
        self._attempt = 0
        self._request_sent_ns = self._now_ns

    def _send_request(self) -> None:
        offer = self._offer
        assert offer is not None, "a request needs an offer"
        server = offer.option(dhcp.OPTION_SERVER_ID)
        assert server is not None, "offers without server are not acceptable"
        options = ((dhcp.OPTION_REQUESTED_ADDRESS, offer.your_address), (dhcp.OPTION_SERVER_ID, server))
        self._send(dhcp.REQUEST, options)
        self._wait(self._profile.request_waits_ns)

    def _send_reboot_request(self) -> None:
        assert self._requested is not None, "INIT-REBOOT needs an address"
        self._send(dhcp.REQUEST, ((dhcp.OPTION_REQUESTED_ADDRESS, self._requested),))
        self._wait(self._profile.request_waits_ns)

    def _send_renewal(self) -> None:
        lease = self.lease
        assert lease is not None, "nothing to renew"
        if self._profile.renew_wait_ns is None:
            self._begin_transaction()  # the attempts are so far apart that each answer has time to come
        self._send(dhcp.REQUEST, (), lease.server)
        self._wait_renewal(lease.rebind_at_ns, (self._profile.renew_wait_ns or 0,))

    def _send_rebinding(self) -> None:
        lease = self.lease
        assert lease is not None, "nothing to rebind"
        if self._profile.renew_wait_ns is None:
            self._begin_transaction()
        self._send(dhcp.REQUEST, ())
        self._wait_renewal(lease.expires_ns, self._profile.rebind_waits_ns)

    def _wait_renewal(self, end_ns: int | None, waits_ns: tuple[int, ...]) -> None:
        """Wait as the profile says, or half of the time to `end_ns` if it says nothing, not beyond the lease's end."""
        lease = self.lease
        assert end_ns is not None, "a lease without end is never renewed"
        assert lease is not None, "nothing to renew"
        assert lease.expires_ns is not None, "a lease without end is never renewed"
        if self._profile.renew_wait_ns is None:
            half_ns = (end_ns - self._now_ns) // 2
            next_ns = min(self._now_ns + max(half_ns, MINIMUM_RENEWAL_NS), end_ns)
        else:
            next_ns = min(self._now_ns + waits_ns[self._attempt], lease.expires_ns)
            self._attempt += 1
        self.deadline_ns = max(next_ns, self._now_ns)  # a very short lease may have ended while it was checked

    def _release(self) -> None:
        lease = self.lease
        assert lease is not None, "nothing to release"
        self._transaction_id = self._random.getrandbits(32)
        self._send(dhcp.RELEASE, ((dhcp.OPTION_SERVER_ID, lease.server),), lease.server)

    def _decline(self) -> None:
        lease = self.lease
        assert lease is not None, "nothing to decline"
        self._transaction_id = self._random.getrandbits(32)
        options = ((dhcp.OPTION_REQUESTED_ADDRESS, lease.address), (dhcp.OPTION_SERVER_ID, lease.server))
        self._send(dhcp.DECLINE, options)

    # -- actions: leases ----------------------------------------------------------------------------------------------

    def _take_lease(self) -> None:
        reply = self._reply
        assert reply is not None, "a lease comes with a reply"
        self.lease = lease_of(reply, self._profile, self._request_sent_ns)

    def _forget_lease(self) -> None:
        self.lease = None
        self._offer = None

    def _forget_address(self) -> None:
        """Do not ask for the address again that was refused or is in use."""
        self._requested = None

    def _probe(self) -> None:
        assert self.lease is not None, "nothing to probe"
        self._actions.append(ProbeAddress(self.lease.address))
        self.deadline_ns = self._now_ns + PROBE_WAIT_NS

    def _bind(self) -> None:
        assert self.lease is not None, "nothing to bind"
        self._refusals = 0
        self._requested = self.lease.address  # the address to ask for should the lease be lost
        self._actions.append(Bind(self.lease, is_new=True))

    def _extend(self) -> None:
        assert self.lease is not None, "nothing to extend"
        self._actions.append(Bind(self.lease, is_new=False))

    def _unbind(self) -> None:
        assert self.lease is not None, "nothing to unbind"
        self._actions.append(Unbind(self.lease))

    # -- actions: waiting ---------------------------------------------------------------------------------------------

    def _sleep_until_t1(self) -> None:
        assert self.lease is not None, "nothing to renew later"
        renew_at_ns = self.lease.renew_at_ns
        self.deadline_ns = None if renew_at_ns is None else max(renew_at_ns, self._now_ns)

    def _sleep_half_of_the_rest(self) -> None:
        """Sleep for half of what is left, in whole seconds as udhcpc counts."""
        assert self.lease is not None, "nothing to renew later"
        assert self.lease.expires_ns is not None, "a lease without end is never renewed"
        self.deadline_ns = self._now_ns + (self.lease.expires_ns - self._now_ns) // SECOND // 2 * SECOND

    def _fail(self) -> None:
        self._refusals = 0
        self._actions.append(Failed(self.state))

    def _pause(self) -> None:
        self.deadline_ns = self._now_ns + self._profile.pause_ns

    def _pause_after_decline(self) -> None:
        self._count_refusal()
        self.deadline_ns = self._now_ns + self._profile.decline_pause_ns

    def _pause_after_nak(self) -> None:
        self._count_refusal()
        self.deadline_ns = self._now_ns + self._profile.nak_pause_ns

    def _count_refusal(self) -> None:
        self._refusals += 1
        if self._refusals == REFUSALS_MAX:
            self._fail()

    def _start_over(self) -> None:
        self.deadline_ns = self._now_ns

    def _rest(self) -> None:
        self.deadline_ns = None
