"""AgnosticGridOutCursor: the files a query finds, with Motor's API."""

from __future__ import annotations

from typing import Any

from ferromongo.motor.core.cursor import AgnosticCursor


class AgnosticGridOutCursor(AgnosticCursor[Any]):
    """An iterator over files; `bucket.find` makes one.

    As with Motor, what comes out depends on the way: `async for` gives synchronous GridOut objects,
    `next_object` Motor's, and `to_list` the documents of the files.
    """

    def next_object(self) -> Any:
        """Deprecated: the file that `fetch_next` has found, or None."""
        file = super().next_object()
        if file is None:
            return None
        return self._framework.grid_out(self.collection, delegate=file)

    def _item(self, document: Any) -> Any:
        files: Any = self.delegate
        return files._file(document)
