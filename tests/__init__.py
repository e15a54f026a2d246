"""The tests, mirroring the source folders."""
