"""The synchronous classes wait for nothing, in their examples neither. That they are what the
converter makes of the asynchronous ones, `make lint` sees to."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "python" / "ferromongo"


def test_nothing_waits_in_the_synchronous_classes() -> None:
    for folder in (PACKAGE / "synchronous", PACKAGE / "gridfs" / "synchronous"):
        paths = list(folder.glob("*.py"))
        assert paths
        for path in paths:
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()[1:], 2):
                words = line.replace("(", " ").split()
                assert "await" not in words, f"{path.name}:{number}"
                assert "async" not in words, f"{path.name}:{number}"
