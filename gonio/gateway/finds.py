"""Every row that can be read of a damaged database, with the table that it belongs to."""

from collections.abc import Iterator, Mapping
from typing import Final

from gonio.gateway.layout import Found, Layout, believed, checked
from gonio.gateway.pages import PageImage
from gonio.gateway.rows import INDEX_INTERIOR, INDEX_LEAF, TABLE_LEAF, children, page_type, rows

_WITH_ROWS: Final = frozenset({TABLE_LEAF, INDEX_LEAF, INDEX_INTERIOR})
#: Tables whose rows are also taken from pages that no tree leads to. They say themselves what they are, and one that
#: was struck out and comes back does no harm: the clinic takes a record once.
_LOOSE: Final = frozenset({"record", "outbox", "open_session", "open_rep", "open_curve"})
#: Its rows look like those of an index over outboxes and numbers, and would call records settled that are lost.
_NEVER_LOOSE: Final = frozenset({"compacted"})


def schema_version(image: PageImage) -> int | None:
    """Give the database's ``user_version``; None where its first page cannot be read."""
    first = image.read(1)
    return None if first is None else int.from_bytes(first[60:64], "big")


def find_rows(image: PageImage, known: Mapping[str, Layout]) -> Iterator[tuple[str, Found]]:
    """Give the rows by table: first those that a tree leads to, then those of pages that lost their tree.

    Args:
        image: the pages.
        known: the layouts of the tables that the database had.
    """
    owners = _owners(image)
    free = _free(image)
    for number, table in owners.items():
        layout = known.get(table)
        if layout is not None:
            yield from _of_table(image, number, layout)
    lost = known.keys() - set(owners.values()) - _NEVER_LOOSE
    loose = [layout for name, layout in known.items() if name in _LOOSE or name in lost]
    for number in range(1, image.count + 1):
        if number not in owners and number not in free:
            yield from _of_any(image, number, loose)


def _of_table(image: PageImage, number: int, layout: Layout) -> Iterator[tuple[str, Found]]:
    page = image.read(number)
    if page is None or page_type(number, page) not in _WITH_ROWS:
        return
    for row in rows(number, page, image.usable, image.read):
        found = layout.fit(row)
        if found is not None and believed(layout.table, found):
            yield layout.table, found


def _of_any(image: PageImage, number: int, loose: list[Layout]) -> Iterator[tuple[str, Found]]:
    page = image.read(number)
    if page is None or page_type(number, page) not in _WITH_ROWS:
        return
    widths = {layout.table: len(layout.names) for layout in loose}
    for row in rows(number, page, image.usable, image.read):
        fitting = [(layout.table, found) for layout in loose if (found := layout.fit(row)) is not None]
        sure = [(table, found) for table, found in fitting if checked(table) and believed(table, found)]
        if len(sure) > 1:  # a row may also be the beginning of a longer one
            sure = [(table, found) for table, found in sure if len(found) == widths[table]]
        if len(sure) == 1:
            yield sure[0]


def _owners(image: PageImage) -> dict[int, str]:
    """Give the table, or index, that each page belongs to, as far as the trees can be followed."""
    owners = dict.fromkeys(_tree(image, 1), "sqlite_schema")
    roots = [
        (str(row.values[1]), row.values[3])
        for number in list(owners)
        if (page := image.read(number)) is not None
        for row in rows(number, page, image.usable, image.read)
        if len(row.values) == 5  # noqa: PLR2004 - type, name, tbl_name, rootpage, sql
    ]
    for name, root in roots:
        if isinstance(root, int) and root > 1:
            for number in _tree(image, root):
                owners.setdefault(number, name)
    return owners


def _tree(image: PageImage, root: int) -> Iterator[int]:
    """Give the pages of a tree that can be read."""
    seen, waiting = {root}, [root]
    while waiting:
        number = waiting.pop()
        page = image.read(number)
        if page is None:
            continue
        yield number
        below = [child for child in children(number, page) if 1 < child <= image.count and child not in seen]
        seen.update(below)
        waiting.extend(reversed(below))


def _free(image: PageImage) -> set[int]:
    """Give the pages that were given up: what stands on them was struck out."""
    free: set[int] = set()
    first = image.read(1)
    number = int.from_bytes(first[32:36], "big") if first is not None else 0
    while number and number not in free and (page := image.read(number)) is not None:
        free.add(number)
        leaves = min(int.from_bytes(page[4:8], "big"), image.usable // 4 - 2)
        free.update(int.from_bytes(page[8 + 4 * n : 12 + 4 * n], "big") for n in range(leaves))
        number = int.from_bytes(page[:4], "big")
    return free
