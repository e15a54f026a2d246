"""The `fanka` command: runs the host and the emulator, and takes the protocol apart byte by byte."""
