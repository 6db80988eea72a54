"""emu: a packet-level network emulator for the Container Network Model."""
