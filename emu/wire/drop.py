"""Why a frame was dropped: the one list of reasons, with the sentence people read."""

from __future__ import annotations

from enum import Enum


class DropReason(Enum):
    """Every reason for which any part of the emulation gives up a frame.

    The value is the text shown in counters, events, capture comments and reports.
    """

    # Devices and cables
    DEVICE_DOWN = "the interface is down"
    NO_CARRIER = "the other end of the link is down"
    QUEUE_FULL = "the link's queue is full"
    RED_EARLY = "dropped early at random: the link's queue is long on average (RED)"
    RED_ABOVE_MAXIMUM = "the link's queue is too long on average (RED)"
    CODEL = "waited too long in the link's queue (CoDel)"
    OVER_BURST = "longer than the burst that the link's token bucket holds"
    LOSS = "lost on the link (configured loss)"
    FRAME_TOO_BIG = "longer than the receiving interface's MTU allows"
    CPU_BACKLOG_FULL = "the host's CPU backlog is full"
    # Bridge
    BRIDGE_INVALID_SOURCE = "the source MAC address is multicast or zero"
    BRIDGE_SAME_PORT = "the destination is on the port the frame came from"
    BRIDGE_PORT_MTU = "longer than the egress bridge port's MTU allows"
    BRIDGE_RESERVED_GROUP = "the destination is a reserved link-local group address"
    BRIDGE_PORT_DISABLED = "the bridge port does not forward"
    BRIDGE_NO_PORT = "the bridge has no other port to forward to"
    FIREWALL = "dropped by a firewall rule"
    # VXLAN
    VXLAN_HEADER = "the VXLAN header has wrong or reserved bits set"
    VXLAN_UNKNOWN_VNI = "no VXLAN device has this network identifier"
    VXLAN_OWN_SOURCE = "the inner frame claims to come from the receiving VXLAN device itself"
    VXLAN_INVALID_SOURCE = "the inner source MAC address is multicast or zero"
    VXLAN_ENTRY_ELSEWHERE = "the source MAC address has a permanent entry at another tunnel endpoint"
    VXLAN_NO_REMOTE = "no forwarding entry says behind which tunnel endpoint the destination is"
    VXLAN_ARP_CONSUMED = "the VXLAN device's ARP proxy has no answer"
    VXLAN_ECN = "the tunnel met congestion and the inner packet does not support ECN"
    VXLAN_TOO_BIG = "longer than the underlay's MTU leaves room for"
    # IPsec
    ESP_TRUNCATED = "the ESP packet is cut off"
    ESP_INTEGRITY = "the ESP integrity check failed"
    ESP_REPLAY = "the ESP sequence number was seen before or is too old"
    ESP_NO_STATE = "no IPsec security association fits"
    ESP_SEQUENCE_END = "the IPsec security association has used up its sequence numbers"
    ESP_CLEARTEXT = "not encrypted, but its overlay network is"
    # Ethernet and IP input
    OTHER_HOST = "not addressed to this interface"
    UNKNOWN_ETHERTYPE = "no protocol handles this EtherType"
    MALFORMED = "the headers are cut off or contradict each other"
    IP_CHECKSUM = "the IPv4 header checksum is wrong"
    UDP_CHECKSUM = "the UDP checksum is wrong"
    TCP_CHECKSUM = "the TCP checksum is wrong"
    ICMP_CHECKSUM = "the ICMP checksum is wrong"
    MARTIAN_SOURCE = "the source or destination address cannot be true here"
    GROUP_NOT_JOINED = "nobody here has joined the multicast group"
    NOT_LOCAL = "not for a local address and forwarding is off"
    UNKNOWN_PROTOCOL = "no handler for this IP protocol"
    NO_SOCKET = "no socket is bound to the port"
    LISTEN_QUEUE_FULL = "the listening socket has no room for another connection"
    SOCKET_BUFFER_FULL = "the socket's receive buffer is full"
    # IP output and forwarding
    NO_ROUTE = "no route to the destination"
    ROUTE_UNREACHABLE = "the route says unreachable"
    ROUTE_PROHIBIT = "the route says prohibited"
    ROUTE_BLACKHOLE = "the route is a black hole"
    TTL_EXCEEDED = "the TTL ran out"
    FRAGMENTATION_NEEDED = "longer than the MTU and must not be fragmented"
    NEIGHBOUR_UNRESOLVED = "the neighbour did not answer ARP"
    NEIGHBOUR_QUEUE_FULL = "the queue for the unresolved neighbour is full"
    # Fragments
    REASSEMBLY_TIMEOUT = "not all fragments arrived within 30 s"
    REASSEMBLY_OVERLAP = "the fragment overlaps another one"
    REASSEMBLY_MEMORY = "the reassembly memory limit was reached"
    # DHCP
    DHCP_TRUNCATED = "the DHCP message is cut off"
    DHCP_HEADER = "not a DHCP message for Ethernet, or its fields contradict each other"
    DHCP_OPTION_TRUNCATED = "a DHCP option is cut off"
