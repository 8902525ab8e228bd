from pathlib import Path

from .facts import KEPT, request_facts, written


def test_what_is_kept_of_the_documents_is_what_they_say(folder: Path) -> None:
    """The facts that the models are held against without the documents are those of the documents."""
    assert KEPT.read_text(encoding="utf-8") == written(request_facts(folder))
