"""Floor 2: captures. Frames that pass a tap become pcapng or pcap files that Wireshark opens.

Nothing here changes what it sees, and nothing here knows a device: a tap gets the time, the frame and the direction.
"""

from emu.capture.blocks import EPOCH_NS, EPOCH_SECONDS
from emu.capture.capture import DROPS_INTERFACE, Capture, CaptureFormat
from emu.capture.interface import InterfaceInfo, InterfaceStatistics
from emu.capture.output import CaptureError
from emu.capture.pcap import PcapWriter
from emu.capture.pcapng import PcapngInterface, PcapngWriter
from emu.capture.wireshark import install_wireshark_profile

__all__ = [
    "DROPS_INTERFACE",
    "EPOCH_NS",
    "EPOCH_SECONDS",
    "Capture",
    "CaptureError",
    "CaptureFormat",
    "InterfaceInfo",
    "InterfaceStatistics",
    "PcapWriter",
    "PcapngInterface",
    "PcapngWriter",
    "install_wireshark_profile",
]
