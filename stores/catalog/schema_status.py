"""Which version a database's schema has."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """Which version the database has (None: none yet) and which one the program needs."""

    current: str | None
    needed: str

    @property
    def up_to_date(self) -> bool:
        """Whether nothing is left to do."""
        return self.current == self.needed
