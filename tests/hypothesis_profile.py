"""How many examples each property gets: 200, or FERROMONGO_EXAMPLES (`make differential`)."""

import os

from hypothesis import settings

settings.register_profile(
    "ferromongo",
    max_examples=int(os.environ.get("FERROMONGO_EXAMPLES", "200")),
    deadline=None,
)
settings.load_profile("ferromongo")
