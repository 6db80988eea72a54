"""emu's DHCP against programs that others wrote, in network namespaces that each test makes and removes."""
