"""Which kinds of identifier an upload reads, by which rule, how hashed, and where they stand in a table."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.identifiers import Rule, require_numbering_plans, require_region, rule_for
from criteo_audiences.models import HashAlgorithm, IdentifierType, Unset
from criteo_audiences.tables.plan import Selection
from criteo_audiences.validation import choose

Columns = str | Sequence[str]


def chosen_selections(
    kind: IdentifierType | str | None,
    column: Columns | None,
    columns: Mapping[IdentifierType | str, Columns] | None,
    algorithm: HashAlgorithm | str | Unset | None,
    region: str | None,
    region_column: str | None = None,
    *,
    keep_trunk_zero: bool = False,
) -> tuple[Selection, ...]:
    """Returns what an upload reads, one entry a kind.

    Raises:
        ConfigurationError: naming the option and what it may be.
    """
    wanted = list(_wanted(kind, column, columns))
    kinds = [kind for kind, _ in wanted]
    given = {"region": region, "region_column": region_column, "keep_trunk_zero": keep_trunk_zero or None}
    options = [option for option, value in given.items() if value is not None]
    if options and IdentifierType.PHONE_NUMBER not in kinds:
        raise ConfigurationError(f"{options[0]} goes with identifier_type='phone_number', not with '{kinds[0].value}'.")
    if region_column is not None:
        require_region_column_fits(kinds)
    rules = {kind: _rule(kind, region, keep_trunk_zero=keep_trunk_zero) for kind in kinds}
    if not isinstance(algorithm, Unset | None) and not any(rule.algorithms for rule in rules.values()):
        _algorithm(kinds[0], rules[kinds[0]], algorithm)
    return tuple(
        Selection(
            kind=kind,
            rule=rules[kind],
            algorithm=_hash_of(kind, rules[kind], algorithm),
            columns=names,
            region_column=region_column if kind is IdentifierType.PHONE_NUMBER else None,
        )
        for kind, names in wanted
    )


def require_region_column_fits(kinds: Iterable[IdentifierType]) -> None:
    """Refuses a column of countries where there are no phone numbers, or their numbering plans are not installed.

    Raises:
        ConfigurationError: when it cannot be used.
    """
    found = list(kinds)
    if IdentifierType.PHONE_NUMBER not in found:
        raise ConfigurationError(
            f"region_column goes with identifier_type='phone_number', not with '{found[0].value}'."
        )
    require_numbering_plans()


def _wanted(
    kind: IdentifierType | str | None, column: Columns | None, columns: Mapping[IdentifierType | str, Columns] | None
) -> Iterator[tuple[IdentifierType, tuple[str, ...]]]:
    if columns is None:
        one = IdentifierType.EMAIL if kind is None else choose(IdentifierType, kind, "identifier_type")
        yield one, () if column is None else _names(column, "column")
        return
    if kind is not None or column is not None:
        raise ConfigurationError("columns says which kinds there are and where: leave out identifier_type and column.")
    if not isinstance(columns, Mapping) or not columns:
        raise ConfigurationError("columns must map at least one kind of identifier to its column or columns.")
    for key, names in columns.items():
        yield choose(IdentifierType, key, "columns"), _names(names, "columns")


def _names(columns: Columns, option: str) -> tuple[str, ...]:
    names = (columns,) if isinstance(columns, str) else tuple(columns) if isinstance(columns, Sequence) else ()
    if not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise ConfigurationError(f"{option} must name a column, or list the names of several.")
    return names


def _rule(kind: IdentifierType, region: str | None, *, keep_trunk_zero: bool) -> Rule:
    if kind is not IdentifierType.PHONE_NUMBER:
        return rule_for(kind)
    return rule_for(kind, region=None if region is None else require_region(region), keep_trunk_zero=keep_trunk_zero)


def _hash_of(kind: IdentifierType, rule: Rule, algorithm: HashAlgorithm | str | Unset | None) -> HashAlgorithm | None:
    """Returns how a kind is hashed; one that Criteo takes as it is needs no choice, and ignores that of the others."""
    if algorithm is None or not rule.algorithms:
        return None
    if isinstance(algorithm, Unset):
        raise ConfigurationError(f"hash must be chosen: {_words(rule)}, or None to send normalized values in clear.")
    return _algorithm(kind, rule, algorithm)


def _algorithm(kind: IdentifierType, rule: Rule, algorithm: HashAlgorithm | str) -> HashAlgorithm:
    chosen = choose(HashAlgorithm, algorithm, "hash")
    if chosen in rule.algorithms:
        return chosen
    taken = f"must be {_words(rule)} or None" if rule.algorithms else "must be left out: Criteo takes them as they are"
    raise ConfigurationError(f"hash of identifier_type='{kind.value}' {taken}, not '{chosen.value}'.")


def _words(rule: Rule) -> str:
    return ", ".join(f"'{word.value}'" for word in HashAlgorithm if word in rule.algorithms)
