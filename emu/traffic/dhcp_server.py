"""The DHCP server as a machine without input and output: messages and the time in, replies and probes out.

Source: RFC 2131 sections 4.1 and 4.3, RFC 2132; habits of dnsmasq where the RFC leaves a choice.
`emu.traffic.dhcp_daemon` connects it to a namespace.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from emu.traffic.dhcp_leases import BOUND, DECLINED, NEVER_NS, OFFERED, RELEASED, Lease, LeaseTable, client_key
from emu.traffic.dhcp_profile import SECOND
from emu.traffic.dhcp_server_settings import DhcpServerSettings
from emu.wire import dhcp
from emu.wire.address import ANY_IPV4
from emu.wire.dhcp import DhcpMessage

OFFER_HOLD_NS = 60 * SECOND
"""How long an offered address is kept for the client that has not asked for it yet."""

BROADCAST = "broadcast"
LINK = "link"
STACK = "stack"
"""Ways of a reply: to everybody, to a client that has no address yet, or as any other packet (with ARP)."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A message to send. way: BROADCAST, LINK (to `address` at the client's MAC, without ARP) or STACK."""

    message: DhcpMessage
    way: str
    address: bytes


@dataclass(frozen=True, slots=True)
class Probe:
    """An ICMP echo request to send; `DhcpServer.probe_answered` or `.probe_ended` must follow."""

    address: bytes


Action = Reply | Probe


class DhcpServer:
    """One server on one segment.

    leases: its table; hand over the one of a former server for a restart that keeps the leases.
    refusals: why messages went unanswered, counted by reason.
    Limits: no relay agents (messages with giaddr are refused), no BOOTP clients without message type.
    """

    __slots__ = ("_pending", "leases", "refusals", "settings")

    def __init__(self, settings: DhcpServerSettings, leases: LeaseTable | None = None) -> None:
        self.settings = settings
        self.leases = LeaseTable() if leases is None else leases
        self.refusals: dict[str, int] = {}
        self._pending: dict[bytes, DhcpMessage] = {}  # address being probed -> the last DISCOVER it is for

    def receive(self, now_ns: int, message: DhcpMessage) -> list[Action]:
        """Take in a message and return what is to be done."""
        if message.operation != dhcp.OPERATION_REQUEST:
            return self._refuse("not a request")
        if message.relay_address != ANY_IPV4:
            return self._refuse("came through a relay agent")
        if message.message_type == dhcp.DISCOVER:
            return self._discover(now_ns, message)
        if message.message_type == dhcp.REQUEST:
            return self._request(now_ns, message)
        if message.message_type == dhcp.DECLINE:
            return self._decline(now_ns, message)
        if message.message_type == dhcp.RELEASE:
            return self._release(now_ns, message)
        if message.message_type == dhcp.INFORM:
            return self._inform(message)
        return self._refuse("message type missing or not a client's")

    def _refuse(self, reason: str) -> list[Action]:
        self.refusals[reason] = self.refusals.get(reason, 0) + 1
        return []

    def count_free(self, now_ns: int) -> int:
        """Return how many addresses of the range could be given to a new client now."""
        settings = self.settings
        first, last = int.from_bytes(settings.first, "big"), int.from_bytes(settings.last, "big")
        never = {*settings.exclusions, settings.server_address}
        held = {lease.address for lease in self.leases if lease.keeps_others_away(now_ns)}
        return last - first + 1 - sum(settings.first <= address <= settings.last for address in never | held)

    # -- DISCOVER -----------------------------------------------------------------------------------------------------

    def _discover(self, now_ns: int, message: DhcpMessage) -> list[Action]:
        key = _key(message)
        for probed, waiting in self._pending.items():
            if _key(waiting) == key:
                self._pending[probed] = message  # asked again while its address is being probed
                return []
        address = self._choose(now_ns, message, key)
        if address is None:
            return self._refuse("no free address in the range")
        held = self.leases.of_client(key)
        is_his = held is not None and held.address == address and held.state == BOUND and now_ns < held.expires_ns
        if is_his:
            return [self._offer(message, address)]
        self._enter(message, address, OFFERED, now_ns + self.settings.probe_wait_ns + OFFER_HOLD_NS)
        if not self.settings.probe_wait_ns:
            return [self._offer(message, address)]
        self._pending[address] = message
        return [Probe(address)]

    def probe_ended(self, now_ns: int, address: bytes) -> list[Action]:
        """Go on with an address from which no answer came in time."""
        message = self._pending.pop(address, None)
        if message is None:
            return []
        lease = self.leases.of_address(address)
        if lease is None or lease.key != _key(message) or not lease.keeps_others_away(now_ns):
            return []  # released or declined in the meantime
        return [self._offer(message, address)]

    def probe_answered(self, now_ns: int, address: bytes) -> list[Action]:
        """Put an address that somebody uses into quarantine and try the next one for the client."""
        message = self._pending.pop(address, None)
        if message is None:
            return []
        self._quarantine(now_ns, address, message.client_mac)
        return self._discover(now_ns, message)

    def _offer(self, message: DhcpMessage, address: bytes) -> Reply:
        return self._reply(message, dhcp.OFFER, address)

    # -- choosing an address ------------------------------------------------------------------------------------------

    def _choose(self, now_ns: int, message: DhcpMessage, key: bytes) -> bytes | None:
        """Choose as RFC 2131 section 4.3.1 says: reserved, held, held before, asked for, any; None without any."""
        reserved = self._reserved_for(key, message.client_mac)
        if reserved is not None and self._is_free(now_ns, reserved, key):
            return reserved
        held = self.leases.of_client(key)
        wishes = (None if held is None else held.address, message.address_option(dhcp.OPTION_REQUESTED_ADDRESS))
        for wish in wishes:
            if wish is not None and self._may_have(now_ns, wish, key, message.client_mac):
                return wish
        used_before: bytes | None = None
        for address in self._range():
            if self._may_have(now_ns, address, key, message.client_mac):
                if self.leases.of_address(address) is None:
                    return address
                used_before = used_before or address
        return used_before

    def _range(self) -> Iterator[bytes]:
        """Go through the addresses that anybody may get, one by one: a range may have millions of them."""
        settings = self.settings
        for number in range(int.from_bytes(settings.first, "big"), int.from_bytes(settings.last, "big") + 1):
            address = number.to_bytes(4, "big")
            if settings.is_in_range(address):
                yield address

    def _reserved_for(self, key: bytes, mac: bytes) -> bytes | None:
        reservations = self.settings.reservations
        return reservations.get(key) or reservations.get(mac)

    def _may_have(self, now_ns: int, address: bytes, key: bytes, mac: bytes) -> bool:
        """Tell whether this client may have this address: reserved for it, or in the range, not reserved and free."""
        settings = self.settings
        for_anybody = settings.is_in_range(address) and address not in settings.reservations.values()
        return (for_anybody or self._reserved_for(key, mac) == address) and self._is_free(now_ns, address, key)

    def _is_free(self, now_ns: int, address: bytes, key: bytes) -> bool:
        lease = self.leases.of_address(address)
        return lease is None or (bool(key) and lease.key == key) or not lease.keeps_others_away(now_ns)

    # -- REQUEST ------------------------------------------------------------------------------------------------------

    def _request(self, now_ns: int, message: DhcpMessage) -> list[Action]:
        server = message.option(dhcp.OPTION_SERVER_ID)
        requested = message.address_option(dhcp.OPTION_REQUESTED_ADDRESS)
        key = _key(message)
        held = self.leases.of_client(key)
        if server is not None and server != self.settings.server_address:
            if held is not None and held.state == OFFERED:
                held.state = RELEASED  # the client chose another server's offer
            return self._refuse("the client chose another server")
        address = message.client_address if message.client_address != ANY_IPV4 else requested
        if address is None or address == ANY_IPV4:
            return self._refuse("a request without an address")
        if not self.settings.is_on_network(address):
            return self._nak(message, "wrong network")
        if held is None or held.address != address:
            return self._request_of_unknown(now_ns, message, address, held, is_selecting=server is not None)
        if not self._may_have(now_ns, address, key, message.client_mac):
            return self._nak(message, "address not available")
        return [self._acknowledge(now_ns, message, address)]

    def _request_of_unknown(
        self, now_ns: int, message: DhcpMessage, address: bytes, held: Lease | None, *, is_selecting: bool
    ) -> list[Action]:
        """Answer a client that wants what it has not been given here, or not as far as the leases tell."""
        if is_selecting or (held is not None and held.keeps_others_away(now_ns)):
            return self._nak(message, "wrong address")
        if not self.settings.authoritative:
            return self._refuse("a client that is not known")  # RFC 2131 section 4.3.2: stay silent
        if not self._may_have(now_ns, address, _key(message), message.client_mac):
            return self._nak(message, "address not available")
        return [self._acknowledge(now_ns, message, address)]

    def _acknowledge(self, now_ns: int, message: DhcpMessage, address: bytes) -> Reply:
        self._pending.pop(address, None)
        lease_s = self.settings.lease_s
        expires_ns = NEVER_NS if lease_s == dhcp.INFINITE_LEASE_S else now_ns + lease_s * SECOND
        self._enter(message, address, BOUND, expires_ns)
        return self._reply(message, dhcp.ACK, address)

    def _nak(self, message: DhcpMessage, reason: str) -> list[Action]:
        if not self.settings.authoritative and message.option(dhcp.OPTION_SERVER_ID) is None:
            return self._refuse(reason)
        options = (
            (dhcp.OPTION_MESSAGE_TYPE, bytes((dhcp.NAK,))),
            (dhcp.OPTION_SERVER_ID, self.settings.server_address),
            (dhcp.OPTION_MESSAGE, reason.encode()),
        )
        nak = DhcpMessage(
            dhcp.OPERATION_REPLY, message.transaction_id, message.client_mac, options, flags=message.flags
        )
        return [Reply(nak, BROADCAST, b"\xff\xff\xff\xff")]  # the client may not have an address that works

    def _enter(self, message: DhcpMessage, address: bytes, state: str, expires_ns: int) -> None:
        name = (message.option(dhcp.OPTION_HOST_NAME) or b"").decode("ascii", "replace")
        self.leases.put(Lease(address, _key(message), message.client_mac, state, expires_ns, name))

    # -- DECLINE, RELEASE, INFORM -------------------------------------------------------------------------------------

    def _decline(self, now_ns: int, message: DhcpMessage) -> list[Action]:
        address = message.address_option(dhcp.OPTION_REQUESTED_ADDRESS)
        held = self.leases.of_client(_key(message))
        if not self._is_for_us(message) or held is None or held.address != address:
            return self._refuse("a DECLINE of what the client does not hold")
        self._quarantine(now_ns, held.address, message.client_mac)
        return []

    def _quarantine(self, now_ns: int, address: bytes, mac: bytes) -> None:
        self.leases.put(Lease(address, b"", mac, DECLINED, now_ns + self.settings.quarantine_ns))

    def _release(self, now_ns: int, message: DhcpMessage) -> list[Action]:
        held = self.leases.of_client(_key(message))
        if not self._is_for_us(message) or held is None or held.address != message.client_address:
            return self._refuse("a RELEASE of what the client does not hold")
        held.state, held.expires_ns = RELEASED, now_ns
        return []

    def _is_for_us(self, message: DhcpMessage) -> bool:
        return message.option(dhcp.OPTION_SERVER_ID) == self.settings.server_address

    def _inform(self, message: DhcpMessage) -> list[Action]:
        if message.client_address == ANY_IPV4:
            return self._refuse("an INFORM without the client's address")
        return [self._reply(message, dhcp.ACK, ANY_IPV4)]

    # -- replies ------------------------------------------------------------------------------------------------------

    def _reply(self, message: DhcpMessage, kind: int, address: bytes) -> Reply:
        """Build an OFFER or ACK and choose its way (RFC 2131 section 4.1)."""
        is_acknowledgement = kind == dhcp.ACK
        reply = DhcpMessage(
            dhcp.OPERATION_REPLY,
            message.transaction_id,
            message.client_mac,
            self._options(message, kind),
            flags=message.flags,
            client_address=message.client_address if is_acknowledgement else ANY_IPV4,
            your_address=address,
            next_server=ANY_IPV4,
        )
        if message.client_address != ANY_IPV4:
            return Reply(reply, STACK, message.client_address)
        if message.flags & dhcp.FLAG_BROADCAST:
            return Reply(reply, BROADCAST, b"\xff\xff\xff\xff")
        return Reply(reply, LINK, address)

    def _options(self, message: DhcpMessage, kind: int) -> tuple[tuple[int, bytes], ...]:
        settings = self.settings
        options = [(dhcp.OPTION_MESSAGE_TYPE, bytes((kind,))), (dhcp.OPTION_SERVER_ID, settings.server_address)]
        if message.message_type != dhcp.INFORM:
            options.append((dhcp.OPTION_LEASE_TIME, settings.lease_s.to_bytes(4, "big")))
            if settings.lease_s != dhcp.INFINITE_LEASE_S:
                options.append((dhcp.OPTION_T1, settings.t1.to_bytes(4, "big")))
                options.append((dhcp.OPTION_T2, settings.t2.to_bytes(4, "big")))
        given = {code for code, _ in options}
        offered = settings.parameters()
        asked = message.option(dhcp.OPTION_PARAMETER_REQUEST_LIST)
        codes = list(offered) if asked is None else list(dict.fromkeys(asked))
        if dhcp.OPTION_SUBNET_MASK in codes:  # before the router (RFC 2132 section 3.3)
            codes.sort(key=lambda code: code != dhcp.OPTION_SUBNET_MASK)
        options += [(code, offered[code]) for code in codes if code in offered and code not in given]
        while not dhcp.find_room(options):
            options.pop()  # asked for in an order that wastes room: tell what the client wants least no more
        return tuple(options)


def _key(message: DhcpMessage) -> bytes:
    return client_key(message.option(dhcp.OPTION_CLIENT_ID), message.client_mac)
