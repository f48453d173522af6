"""What a phone must load before anything is in its cache: less than 150 kB a page, with all that it asks for."""

import re

import pytest

from tests.gateway.page.conftest import MESSAGE, Visitor, down, program

MOST_BYTES = 150_000


@pytest.mark.parametrize("path", ["/", "/exercise/heel-slide/right", "/log", "/progress", "/messages", "/live"])
async def test_a_page_is_light(visitor: Visitor, path: str) -> None:
    down(visitor.home.kit, program(), 1)
    down(visitor.home.kit, MESSAGE, 2)
    page = await visitor.get(path)
    parts = set(re.findall(r'(?:href|src)="(/(?:static|manifest)[^"]*)"', page.text)) | {"/static/page/live.js"}
    assert len(parts) >= 4
    sizes = {path: len(page.content)}
    for part in parts:
        answer = await visitor.get(part)
        assert answer.status_code == 200, part
        sizes[part] = len(answer.content)
    assert sum(sizes.values()) < MOST_BYTES, sizes
