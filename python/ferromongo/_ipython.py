"""In IPython and its notebooks: results of writes are shown as tables.

Their classes are PyMongo's own, so they cannot have a `_repr_html_`. The other classes do.
"""

from __future__ import annotations

import sys
from typing import Any

from ferromongo._calls import html


def load_ipython_extension(ipython: Any) -> None:
    """`%load_ext ferromongo`. Importing ferromongo in a notebook does the same."""
    formatter = ipython.display_formatter.formatters["text/html"]
    for name in html.RESULT_CLASSES:
        formatter.for_type_by_name("pymongo.results", name, html.result)


def load_if_it_runs() -> None:
    """Imports nothing: a program that runs in IPython has IPython."""
    running = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = None if running is None else running()
    if shell is not None:
        load_ipython_extension(shell)
