"""Asks registers about a list: which operation on it was the last, and which snapshot is the newest."""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from attrs import frozen

from criteo_audiences.journals.directory import REGISTER_NAME, JournalDirectory, Witness

Place = tuple[str, str, str]
"""Service, host and segment."""


@frozen
class Registers:
    """The registers of some directories, and the register of the user's state directory.

    Attributes:
        directories: the directories of a snapshot and of journals.
        place: the list.
    """

    directories: tuple[Path, ...]
    place: Place

    def snapshots(self) -> list[str]:
        """Returns the name of the newest snapshot in each register that knows one.

        Raises:
            JournalError: when a register cannot be used.
        """
        found = [register.snapshot(*self.place) for register in self._existing()]
        return [name for name in (*found, self._witness.snapshot(*self.place)) if name]

    def is_disturbed(self, mine: Collection[str]) -> bool:
        """Returns whether the last mark in some register is none of these, so that something else has operated.

        Raises:
            JournalError: when a register cannot be used.
        """
        return any(mark is not None and mark not in mine for mark in self._marks())

    def knows_any_of(self, marks: Collection[str]) -> bool:
        """Returns whether the registers' last marks are all among these, and at least one register has a mark.

        Raises:
            JournalError: when a register cannot be used.
        """
        found = {mark for mark in self._marks() if mark is not None}
        return bool(found) and found <= set(marks)

    def note(self, name: str, mark: str, mine: Iterable[str]) -> bool:
        """Records the newest snapshot in all registers, and the mirror's mark in those without a foreign mark.

        Args:
            name: the name of the snapshot.
            mark: the mirror's mark.
            mine: the marks of its own uploads.

        Returns:
            Whether nothing else has operated on the list meanwhile.

        Raises:
            JournalError: when a register cannot be written.
        """
        own = {None, mark, *mine}
        undisturbed = True
        for directory in self.directories:
            with JournalDirectory(directory) as register:
                register.note_snapshot(*self.place, name)
                if register.last_mark(*self.place) in own:
                    register.note(*self.place, mark)
                else:
                    undisturbed = False
        self._witness.note_snapshot(*self.place, name)
        if self._witness.last_mark(*self.place) in own:
            self._witness.note(*self.place, mark)
        else:
            undisturbed = False
        return undisturbed

    def note_newest(self, name: str) -> None:
        """Records the newest snapshot in all registers, whatever has operated on the list.

        Raises:
            JournalError: when a register cannot be written.
        """
        for directory in self.directories:
            with JournalDirectory(directory) as register:
                register.note_snapshot(*self.place, name)
        self._witness.note_snapshot(*self.place, name)

    @property
    def _witness(self) -> Witness:
        return Witness(self.directories[0])

    def _existing(self) -> Iterator[JournalDirectory]:
        for directory in dict.fromkeys(self.directories):
            if (directory / REGISTER_NAME).exists():
                with JournalDirectory(directory) as register:
                    yield register

    def _marks(self) -> list[str | None]:
        found = [register.last_mark(*self.place) for register in self._existing()]
        return [*found, self._witness.last_mark(*self.place)]
