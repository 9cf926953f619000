"""The pure parts of the page: sentences that must be true, errors in two languages, what is sent to the browser."""

from __future__ import annotations

import base64
import io
import json
import pickle
import re
import string
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio.utils import get_upload_folder
from PIL import Image

from googlenet.checkpoints.source import KNOWN_SOURCES
from googlenet.errors import UserError
from googlenet.inference.explainer import Explainer
from googlenet.model.architecture import HEADS, STAGES_BEFORE
from googlenet.pictures.frame import Box
from googlenet.ui import handlers, layout, texts
from googlenet.ui.explainers import ExplainerCache
from googlenet.ui.query import PageQuery
from tests.helpers import random_image

PACKAGE = Path(texts.__file__).parent.parent


def names(template: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def test_an_error_is_said_in_both_languages() -> None:
    said = texts.error(UserError("{name} cannot be opened: {error}.", name="a.jpg", error="gone"))
    assert said == {"en": "a.jpg cannot be opened: gone.", "ko": "a.jpg 파일을 열 수 없습니다: gone."}


def test_the_pages_words_are_the_same_in_both_languages_and_all_used() -> None:
    english, korean = texts.PAGE["en"], texts.PAGE["ko"]
    assert english.keys() == korean.keys()
    for key in english:
        assert names(english[key]) == names(korean[key]), key
    page = (PACKAGE / "ui/page/index.html").read_text("utf-8") + layout.script()
    marks = {f"help_{term}" for term in re.findall(r'(?:data-help="|helpMark\(")(\w+)', page)}
    assert marks <= english.keys()
    assert {key for key in english if not re.search(rf"""["'. ]{key}\b""", page)} <= {
        *HEADS,
        *(f"example_{name}" for name in handlers.EXAMPLES),
        *marks,
    }
    assert set(re.findall(r'data-w="(\w+)"', page)) | set(re.findall(r'(?:say\("|words\.)(\w+)', page)) <= english.keys()


def test_the_browsers_question_is_checked() -> None:
    ask = PageQuery.from_browser({"n": "x", "upload": ["a"], "head": 5, "target": {"a": 1}, "known": 1, "contrast": "b" * 9999})
    assert ask == PageQuery(contrast="b" * 500)
    assert PageQuery.from_browser([1]) == PageQuery()


def test_what_belongs_to_a_stage_is_checked() -> None:
    sent = {"n": 2, "stage": "4c", "cell": [0, 13], "box": [0, 10.5, 20, 30], "original": [4000, 3000]}
    assert PageQuery.from_browser(sent) == PageQuery(2, stage="4c", cell=(0, 13), box=Box(0, 10.5, 20, 30), original=(4000, 3000))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", True),
        ("n", 2**60),
        ("target", True),
        ("target", 2**64),
        ("contrast", -(2**64)),
        ("stage", "6a"),
        ("cell", [1]),
        ("cell", [-1, 0]),
        ("cell", [1.5, 2]),
        ("cell", [True, False]),
        ("original", [0, 100]),
        ("original", [10**9, 100]),
        ("original", {"0": 1, "1": 2}),
        ("box", [0, 0, float("nan"), 5]),
        ("box", [0, 0, float("inf"), 5]),
        ("box", [5, 0, 5, 5]),
        ("box", [-1, 0, 5, 5]),
        ("box", [0, 0, 10**400, 5]),
        ("box", ["0", 0, 5, 5]),
        ("box", "0055"),
    ],
)
def test_what_is_not_of_its_type_or_bounds_counts_as_not_sent(field: str, value: object) -> None:
    assert PageQuery.from_browser({field: value}) == PageQuery()


def test_a_reduced_copy_is_explained_in_the_pixels_of_its_original(explainer: Explainer, tmp_path: Path) -> None:
    """The browser sends a small copy of a large photograph: positions are the original's."""
    random_image(400, 300).save(copy := Path(get_upload_folder()) / f"{tmp_path.name}.png")
    cache = ExplainerCache(explainer)
    reduced = explainer.explain(copy, target=3)
    query = PageQuery(1, path=str(copy), target=3, original=(1600, 1201))
    result = handlers.answer(query, cache)["answer"]["result"]
    scale = np.array([4, 1201 / 300])
    assert result["seen"] == pytest.approx([*reduced.seen * np.tile(scale, 2)])
    for sent, own in zip(result["stages"], reduced.stages, strict=True):
        assert sent["peak"] == (own.peak and pytest.approx(own.peak * scale))
    archive = np.load(io.BytesIO(base64.b64decode(handlers.archive(query, cache)["npz"])))
    assert archive["size"].tolist() == [1600, 1201]
    for wrong in ((1600, 1000), (200, 150), (1600, 1600)):
        with pytest.raises(UserError, match="choose the picture again"):
            handlers.answer(replace(query, original=wrong), cache)
    copy.unlink()


def test_a_large_picture_is_reduced_and_explained_in_its_own_pixels(explainer: Explainer, tmp_path: Path) -> None:
    """Six megapixels are decoded by the bounded process."""
    random_image(3000, 2000).save(copy := Path(get_upload_folder()) / f"{tmp_path.name}.webp")
    found = handlers.picture(PageQuery(path=str(copy)))
    assert found.size == (3000, 2000)
    assert max(found.image.size) < 2000
    answer = handlers.answer(PageQuery(path=str(copy)), ExplainerCache(explainer))["answer"]
    assert answer["size"] == (3000, 2000)
    assert answer["result"]["seen"] == pytest.approx([500, 0, 2500, 2000], abs=32)
    copy.unlink()


@pytest.mark.parametrize("path", ["/etc/passwd", "../../x.jpg", "", str(PACKAGE / "model.py")])
def test_a_path_outside_the_uploads_is_refused(path: str) -> None:
    with pytest.raises(UserError, match="no longer here"):
        handlers.picture(PageQuery.from_browser({"upload": path}))


def test_a_visitor_can_name_a_repository_and_never_a_path(explainer: Explainer) -> None:
    cache = ExplainerCache(explainer)
    assert cache.load(None) is explainer
    for source in ("/etc/passwd", ".", "weights", "../weights", str(PACKAGE)):
        with pytest.raises(UserError, match="is not the name of a repository"):
            cache.load(source)
    assert cache.others == {}


def test_a_question_uses_loaded_weights_alone(explainer: Explainer) -> None:
    """One that names others learns so at once: it does not fetch them, while everyone waits."""
    with pytest.raises(UserError, match="user/repo are not loaded here any more") as problem:
        handlers.answer(PageQuery(1, "lion", weights="user/repo"), ExplainerCache(explainer))
    assert handlers.failure(problem.value)["not_loaded"] == "user/repo"


def test_the_grids_survive_the_way_to_the_browser() -> None:
    grid = np.random.default_rng(0).normal(size=(4, 14, 14)).astype(np.float32) * 0.01
    sent = handlers.packed_grid(grid)
    back = np.frombuffer(base64.b64decode(sent["data"]), "<i2").reshape(sent["shape"]) * sent["factor"]
    assert np.abs(back - grid).max() <= np.abs(grid).max() / 60000


def test_an_answer_is_small_and_whole(explainer: Explainer) -> None:
    message = handlers.answer(PageQuery(7, "cheetah", head="aux1"), ExplainerCache(explainer))
    answer = message["answer"]
    picture = answer.pop("picture")
    assert picture.startswith("data:image/jpeg;base64,")
    assert len(json.dumps(answer)) < 300_000
    assert set(answer["grids"]) == set(STAGES_BEFORE["aux1"])
    assert answer["result"]["image"] == "cheetah"
    known = handlers.answer(PageQuery(8, "cheetah", known=True), ExplainerCache(explainer))
    assert known["answer"]["picture"] is None


def test_where_a_gpu_is_lent_only_copies_go_to_the_model_and_back(explainer: Explainer) -> None:
    """A Space with ZeroGPU runs the decorated function in another process: what goes in and comes out must be picklable."""

    def lend(function: Callable[..., Any]) -> Callable[..., Any]:
        def lent(*arguments: object) -> Any:
            return pickle.loads(pickle.dumps(function(*pickle.loads(pickle.dumps(arguments)))))

        return lent

    cache = ExplainerCache(explainer, gpu=lend)
    ask = PageQuery(1, "lion", target=3)
    lent = handlers.answer(ask, cache)["answer"]["result"]
    assert lent["question"]["target"]["index"] == 3
    assert lent["belief"]["main"] == pytest.approx(
        explainer.explain(handlers.EXAMPLES["lion"], target=3).belief["main"], rel=1e-3
    )
    with pytest.raises(UserError, match="its own weights alone"):
        cache.load("user/repo")


def test_a_wrong_question_is_answered_with_a_sentence(explainer: Explainer) -> None:
    with pytest.raises(UserError) as problem:
        handlers.answer(PageQuery(3, "zebra"), ExplainerCache(explainer))
    said = handlers.failure(problem.value)["error"]
    assert "zebra" in said["en"]
    assert "zebra" in said["ko"]


def test_our_own_mistake_is_loud_in_the_log_and_one_sentence_on_the_page(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ZeroDivisionError("one over zero")
    except ZeroDivisionError as mistake:
        message = handlers.failure(mistake, "weights_error")
    assert message["weights_error"]["en"].startswith("This went wrong on our side")
    assert "ZeroDivisionError: one over zero" in caplog.text


def test_large_pictures_are_sent_small() -> None:
    url = handlers.data_url(Image.new("RGB", (3000, 1500)), handlers.SIDE)
    assert len(url) < 100_000


def test_the_script_is_made_of_all_its_files() -> None:
    assert sorted(layout.SCRIPT) == sorted(path.stem for path in (PACKAGE / "ui/page/js").glob("*.js"))


def test_of_weights_that_nobody_measured_nothing_is_known(explainer: Explainer) -> None:
    assert handlers.described(explainer, None)["trust"] == {}


def test_the_search_knows_korean_names_and_groups() -> None:
    assert handlers.search_words(["beagle", "kimono"]) == [
        "비글, animal, 동물, mammal, 포유류, dog, 개, hound, 하운드, scent hound, 후각 하운드",
        "기모노, man-made thing, 인공물, clothing, 의류, dress or robe, 드레스와 예복",
    ]
    assert handlers.search_words(["beagle", "a class of ours"]) == ["비글", ""]


def test_a_lent_gpu_offers_no_other_weights(explainer: Explainer) -> None:
    def sources(page: layout.Page) -> list[object]:
        (walk,) = (c["props"] for c in page.demo.get_config_file()["components"] if c["props"].get("elem_id") == "walk")
        return list(walk["props"]["sources"])

    assert sources(layout.build(explainer, "cpu", gpu=lambda function: function)) == []
    assert len(sources(layout.build(explainer, "cpu"))) == len(KNOWN_SOURCES)
