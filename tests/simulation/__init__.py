"""R1, the campus simulator: the whole system in one thread, on virtual time, from one seed. See `__main__` for how to
run it, `simulator` for how it is put together and `invariants` for what is checked."""
