"""Cutting into chunks: whatever is written in whatever pieces, the chunks are the file, and no
batch is larger than it may be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferromongo._calls.gridfs_upload import Upload


@given(st.integers(1, 9), st.integers(1, 300), st.lists(st.binary(max_size=60), max_size=8))
def test_chunks_are_the_file(chunk_size: int, batch_size: int, pieces: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gridfs.synchronous.grid_file._UPLOAD_BUFFER_SIZE", batch_size)
        upload = Upload("key", chunk_size, "synchronous")
        inserted = []
        for piece in pieces:
            taken = 0
            while taken < len(piece):
                before, taken = taken, upload.take(piece, taken)
                assert taken > before
                if upload.is_full:
                    inserted += upload.batch
                    # Without its last chunk it was not full.
                    assert sum(len(one["data"]) + 60 for one in upload.batch[:-1]) < batch_size
                    upload.inserted()
            assert 0 < upload.wanted <= chunk_size
        upload.finish()
        inserted += upload.batch
    whole = b"".join(pieces)
    assert upload.length == len(whole)
    assert [(chunk["n"], chunk["data"]) for chunk in inserted] == [
        (number, whole[at : at + chunk_size])
        for number, at in enumerate(range(0, len(whole), chunk_size))
    ]


def test_a_whole_chunk_is_not_copied() -> None:
    upload = Upload("key", 5, "synchronous")
    chunk = b"12345"
    upload.take(chunk)
    assert upload.batch[0]["data"] is chunk
