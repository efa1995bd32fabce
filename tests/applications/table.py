"""programs.toml, read: which programs there are and what each needs."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Program:
    name: str
    library: str
    requires: list[str]
    does: str
    environment: str
    first: str
    """What differs if `install()` is called before all imports; mostly nothing."""
    late: str
    """What differs if it is called after the library was imported."""

    @property
    def module(self) -> str:
        """`with_` in front: the folder is on the path of imports, and `limits` is the library."""
        return f"with_{self.name}"

    @property
    def version(self) -> str:
        return self.requires[0].partition("==")[2]


def programs() -> dict[str, Program]:
    rows = tomllib.loads((FOLDER / "programs.toml").read_text(encoding="utf-8"))
    return {
        name: Program(
            name=name,
            library=row["library"],
            requires=row["requires"],
            does=row["does"],
            environment=row.get("environment", name),
            first=row.get("first", ""),
            late=row.get("late", ""),
        )
        for name, row in rows.items()
    }
