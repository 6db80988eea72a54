"""Floor 5: Docker's Container Network Model: controller, networks, endpoints, sandboxes, drivers, address management.

It configures namespaces and devices as libnetwork configures the kernel; it never reads or writes frame bytes. What
differs between engine versions is in one table, `emu.cnm.profile`. Others can write network drivers
(`emu.cnm.drivers.driver`) and address managers (`emu.cnm.ipam.driver`).
"""
