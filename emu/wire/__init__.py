"""What the bytes of a frame mean, and nothing else: no state, no clock, no devices.

Here live the frame with its passport (`frame`), the list of drop reasons (`drop`), addresses as text and bytes
(`address`), the internet checksum (`checksum`), one module per header with its constants, a checked view and
builders (`ethernet`, `arp`, `ipv4`, `icmp`, `udp`), per-flow stamping for hot paths (`flow`), the compiler that turns
a Scapy packet into a template (`template`), the only module that imports Scapy (`scapy_bridge`), and the
tcpdump-like one-line rendering of any frame (`render`). Import what you need from these modules by name.
"""
