"""The examples, for their tests: where they are, and how they are given a database."""

import importlib.util
import sys
from pathlib import Path
from urllib.parse import urlsplit

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def load(name):
    """The example as a module of its own."""
    spec = importlib.util.spec_from_file_location(Path(name).stem, EXAMPLES / name)
    module = importlib.util.module_from_spec(spec)
    # pydantic resolves annotations through the module.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def with_database(uri, database):
    """The URI with that database as its default."""
    return urlsplit(uri)._replace(path=f"/{database}").geturl()
