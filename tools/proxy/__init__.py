"""A proxy between terminals and host that makes every fault a line can have, repeatable by a seed.

toxics.py  the faults, as plain data
plan.py    when which fault comes and goes: a text, or a list of steps
stages.py  what each fault does to a stream of bytes
pipe.py    one direction of one connection: bytes and times in, actions out; no I/O
proxy.py   the sockets around it
"""
