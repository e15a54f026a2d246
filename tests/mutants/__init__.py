"""A test of the tests: bugs planted on purpose, one at a time, in a copy of the tree; a rig has to find each.

`python -m tests.mutants` plants them all; `python -m tests.mutants NAME ...` some.
"""
