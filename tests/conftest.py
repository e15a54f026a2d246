"""Settings that hold for every test."""

import os

from hypothesis import Phase, settings

# No deadline: how fast a machine is must never decide a test. The same examples every time: a failure can be repeated
# by anyone, and a test that passed does not fail tomorrow; longer searches with fresh seeds have their own verb.
settings.register_profile("fanka", deadline=None, derandomize=True, database=None, max_examples=60, print_blob=True)
# For `make mutants`: that a bug is found is enough, its shortest example may take minutes.
settings.register_profile("unshrunk", settings.get_profile("fanka"), phases=[Phase.explicit, Phase.generate])
settings.load_profile(os.environ.get("FANKA_HYPOTHESIS_PROFILE", "fanka"))
