"""Property tests draw the same examples on every run, and none is judged by its time."""

from hypothesis import settings

settings.register_profile("rnncli", deadline=None, derandomize=True)
settings.load_profile("rnncli")
