"""Which Motor this is like."""

version = "3.7.1"
version_tuple = (3, 7, 1)


def get_version_string() -> str:
    """The version of Motor whose API this is."""
    return version
