"""What the registers know of a list: who operated on it last, and which snapshot is its newest."""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from attrs import frozen

from criteo_audiences.journals.directory import REGISTER_NAME, JournalDirectory, Witness

Place = tuple[str, str, str]
"""Service, host and segment."""


@frozen
class Registers:
    """The registers of some directories, and that of the user's state directory.

    Attributes:
        directories: of a snapshot, and of journals.
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
        """Returns whether something else has operated on the list than what left these marks.

        Raises:
            JournalError: when a register cannot be used.
        """
        return any(mark is not None and mark not in mine for mark in self._marks())

    def knows_any_of(self, marks: Collection[str]) -> bool:
        """Returns whether the last mark in some register is one of these, and in no register another one.

        Raises:
            JournalError: when a register cannot be used.
        """
        found = {mark for mark in self._marks() if mark is not None}
        return bool(found) and found <= set(marks)

    def note(self, name: str, mark: str, mine: Iterable[str]) -> bool:
        """Notes the newest snapshot everywhere, and the last operation where nothing else has operated on the list.

        Args:
            name: of the snapshot.
            mark: what the mirror leaves.
            mine: the marks of its own uploads.

        Returns:
            Whether nothing else has operated on the list meanwhile.

        Raises:
            JournalError: when it cannot be written down.
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
        """Notes the newest snapshot everywhere, whatever has operated on the list.

        Raises:
            JournalError: when it cannot be written down.
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
