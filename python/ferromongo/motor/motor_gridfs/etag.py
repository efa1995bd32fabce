"""The ETag of a stored file, as Motor makes it."""

from __future__ import annotations

import hashlib
from typing import Any


def _hash_gridout(gridout: Any) -> str:
    """What changes when another file is stored under the same name; the file is not read for it."""
    parts = (gridout._id, gridout.length, gridout.upload_date)
    return hashlib.sha256("".join(map(str, parts)).encode()).hexdigest()
