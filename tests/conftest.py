"""Settings that hold for every test."""

from hypothesis import settings

# No deadline: how fast a machine is must never decide a test. The same examples every time: a failure can be repeated
# by anyone, and a test that passed does not fail tomorrow; longer searches with fresh seeds have their own verb.
settings.register_profile("fanka", deadline=None, derandomize=True, database=None, max_examples=60, print_blob=True)
settings.load_profile("fanka")
