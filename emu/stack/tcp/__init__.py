"""TCP as a machine without I/O: state machine, send and receive side, loss recovery, congestion control."""
