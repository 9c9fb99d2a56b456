"""Settings of the libraries that every test shares."""

from hypothesis import settings

# A busy machine is slow and not wrong: hypothesis judges values, pytest's timeout judges time.
settings.register_profile("haulier", deadline=None, max_examples=60)
settings.load_profile("haulier")
