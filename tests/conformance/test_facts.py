from pathlib import Path

from .facts import ANSWERS, REQUESTS, answer_facts, request_facts, written


def test_what_is_kept_of_the_documents_is_what_they_say(folder: Path) -> None:
    """The facts that the models are held against without the documents are those of the documents."""
    assert REQUESTS.read_text(encoding="utf-8") == written(request_facts(folder))
    assert ANSWERS.read_text(encoding="utf-8") == written(answer_facts(folder))
