"""A teacher's own examples: names, order, limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from googlenet.errors import UserError
from googlenet.ui.uploads import MAX_EXAMPLES, SIDE, examples_in
from tests.helpers import random_image


def test_examples_have_the_composed_names_and_the_order_of_their_files_and_large_ones_are_reduced(tmp_path: Path) -> None:
    for name in ("02 zebra.jpg", "01 고양이.png", "03 cafe\u0301.JPG"):
        random_image(40, 30).save(tmp_path / name)
    random_image(3 * SIDE, 2 * SIDE).save(tmp_path / "04 large.jpg")
    (tmp_path / "notes.txt").write_text("not a picture")
    found = examples_in(tmp_path)
    assert list(found) == ["01 고양이", "02 zebra", "03 caf\u00e9", "04 large"]
    assert [picture.size for picture in found.values()] == [(40, 30)] * 3 + [(3 * SIDE, 2 * SIDE)]
    assert found["04 large"].image.width < 3 * SIDE


def test_what_is_no_example_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no pictures"):
        examples_in(tmp_path / "gone")
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"broken\.jpg"):
        examples_in(tmp_path)
    (tmp_path / "broken.jpg").unlink()
    for number in range(MAX_EXAMPLES + 1):
        random_image(8, 8).save(tmp_path / f"{number}.png")
    with pytest.raises(UserError, match=f"at most {MAX_EXAMPLES}"):
        examples_in(tmp_path)
