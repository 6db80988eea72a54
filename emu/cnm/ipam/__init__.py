"""Address management: the protocol for writing an address manager, and those that are built: default, dhcp, null."""
