"""What the page's script asks and what it gets: questions are hostile until checked, replies are in the original's pixels."""

from __future__ import annotations

import base64
import io
import json
import re
import string
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from googlenet.explanation import Question, likeliest
from googlenet.explanation.classes import Group
from googlenet.inference.explainer import Explainer
from googlenet.model.architecture import HEADS, STAGES_BEFORE
from googlenet.pictures.frame import Box
from googlenet.pictures.images import open_image
from googlenet.probes.cover import cover, tipping
from googlenet.ui import desk as desk_room
from googlenet.ui import page, sentences
from googlenet.ui.desk import Desk, by_depth
from googlenet.ui.messages import REPLIES, PageQuery, data_url, packed_grid
from googlenet.ui.page import PAGE
from googlenet.ui.sentences import LANGUAGES
from googlenet.ui.uploads import EXAMPLES, SIDE, example
from googlenet.ui.weights import described
from tests.helpers import random_image
from tests.ui.conftest import Ask

LION = {"example": "lion", "target": 3, "stage": "4c"}


def test_the_browsers_question_is_checked() -> None:
    ask = PageQuery.from_browser({"n": "x", "upload": ["a"], "head": 5, "target": {"a": 1}, "known": 1, "contrast": "b" * 9999})
    assert ask == PageQuery(contrast="b" * 500)
    assert PageQuery.from_browser([1]) == PageQuery()
    sent = {"n": 2, "session": "s" * 101, "stage": "4c", "cell": [0, 13], "box": [0, 10.5, 20, 30], "original": [4000, 3000]}
    known = PageQuery(2, "s" * 100, stage="4c", cell=(0, 13), box=Box(0, 10.5, 20, 30), original=(4000, 3000))
    assert PageQuery.from_browser(sent) == known


WRONG: dict[str, list[object]] = {
    "n": [True, 2**60],
    "target": [True, 2**64],
    "contrast": [-(2**64)],
    "stage": ["6a"],
    "cell": [[1], [-1, 0], [1.5, 2], [True, False]],
    "original": [[0, 100], [10**9, 100], {"0": 1, "1": 2}],
    "box": [[0, 0, float("nan"), 5], [5, 0, 5, 5], [-1, 0, 5, 5], [0, 0, 10**400, 5], ["0", 0, 5, 5], "0055"],
}


@pytest.mark.parametrize("field", WRONG)
def test_what_is_not_of_its_type_or_bounds_counts_as_not_sent(field: str) -> None:
    for value in WRONG[field]:
        assert PageQuery.from_browser({field: value}) == PageQuery(), value


def test_both_sides_know_the_same_functions_and_fields() -> None:
    script = "".join(path.read_text("utf-8") for path in (PAGE / "js").glob("*.js"))
    assert set(re.findall(r"\bserver\.(\w+)", script)) <= set(REPLIES)
    assert {name for name in REPLIES if not re.search(rf'server\.{name}\b|"{name}"', script)} == set()


def positions(answer: object) -> np.ndarray:
    """Every peak of a JSON object, in its order."""
    return np.array(re.findall(r'"peak": \[([\d.e-]+), ([\d.e-]+)\]', json.dumps(answer)), float)


def test_a_large_photograph_is_answered_in_its_own_pixels(explainer: Explainer, desk: Desk, ask: Ask) -> None:
    """It is decoded smaller. Python explains it whole."""
    path = desk.pictures.folder / "large.jpg"
    random_image(1600, 1200).save(path, quality=95)
    whole = explainer.explain(path, target=3, channels=True)
    reply = ask("explain", upload=str(path), target=3)["answer"]
    assert reply["size"] == (1600, 1200)
    assert reply["result"]["seen"] == pytest.approx([*whole.seen], abs=16)
    peaks = {each.name: each.peak for each in whole.stages}
    same = [stage for stage in reply["result"]["stages"] if stage["peak"] == pytest.approx(peaks[stage["name"]], abs=2)]
    assert len(same) >= 7  # a smaller copy may have another strongest cell
    channels = ask("channels", upload=str(path), target=3, stage="4c")["channels"]
    assert whole.channels is not None
    expected = {each.channel: each.peak for each in whole.channels["4c"]}
    found = {each["channel"]: each["peak"] for each in (*channels["for"], *channels["against"])}
    shared = expected.keys() & found.keys()
    assert len(shared) >= 4
    close = [channel for channel in shared if found[channel] == pytest.approx(expected[channel], abs=2)]
    assert len(close) >= len(shared) - 2
    archive = np.load(io.BytesIO(base64.b64decode(ask("maps", upload=str(path), target=3)["npz"])))
    assert archive["size"].tolist() == [1600, 1200]


def test_a_copy_that_the_browser_reduced_is_answered_in_its_originals_pixels(desk: Desk, ask: Ask) -> None:
    path = desk.pictures.folder / "copy.png"
    random_image(400, 300).save(path)
    copy, original = (ask("explain", upload=str(path), target=3, **more) for more in ({}, {"original": [1600, 1201]}))
    scale = np.array([4, 1201 / 300])
    assert original["answer"]["size"] == (1600, 1201)
    assert positions(original) == pytest.approx(positions(copy) * scale, rel=0.01)  # the whole is cut to whole pixels elsewhere
    for wrong in ([1600, 1000], [200, 150], [1600, 1600]):
        assert "choose the picture again" in ask("explain", upload=str(path), original=wrong)["refusal"]["en"]


def test_covering_is_answered_in_pixels_of_the_original(explainer: Explainer, ask: Ask) -> None:
    image = open_image(EXAMPLES["lion"])
    wanted = cover(explainer, image, Question("main", 3), Box(200, 100, 400, 300), "4c")
    found = ask("cover", box=[200, 100, 400, 300], **LION)["cover"]
    assert found["controls"] == [pytest.approx(list(part)) for part in wanted.controls]
    assert found["after"] == pytest.approx(wanted.after)
    assert found["control_after"]["main"] == pytest.approx(wanted.median)
    assert found["say"].keys() == set(LANGUAGES)
    for odd in ({"box": None}, {"box": [90_000, 0, 90_001, 1]}, {"box": [0, 0, 9, 9], "head": "aux1", "stage": "5a"}):
        refusal = ask("cover", **{**LION, **odd})["refusal"]
        assert refusal["en"] != refusal["ko"]


def test_what_tipped_an_answer_is_told_in_pixels_of_the_original(explainer: Explainer, desk: Desk, ask: Ask) -> None:
    picture = example("lion")
    wanted = tipping(explainer, picture.image, explainer.question("main", 3, 5), "4c")
    found = ask("tip", truth=5, **LION)["tip"]
    json.dumps(found)
    assert wanted.box is not None
    assert found["box"] == pytest.approx(wanted.box)
    assert len(found["maps"]) == 3
    assert found["say"]["en"] != found["say"]["ko"]
    assert found["why"].keys() == set(LANGUAGES)
    desk.examples = {"lion": replace(picture, size=(3 * picture.size[0], 3 * picture.size[1]))}
    assert ask("tip", truth=5, **LION)["tip"]["box"] == pytest.approx([3 * edge for edge in wanted.box])
    for odd in ({"truth": None}, {"truth": 5, "target": None}, {"truth": 3}):
        refusal = ask("tip", **{**LION, **odd})["refusal"]
        assert refusal["en"] != refusal["ko"]


def test_the_table_by_depth_begins_with_what_is_asked(explainer: Explainer) -> None:
    group = Group("pair", "a", "쌍", (2, 4), None)
    e = explainer.explain(example("lion").image, target=3, contrast=5)
    assert [row["index"] for row in by_depth(e)[:2]] == [3, 5]
    p = e.probabilities["main"]
    assert p is not None
    (row, *_) = by_depth(replace(e, question=replace(e.question, target=group, contrast=None)))
    assert (row["index"], row["label"]) == (None, "pair")
    assert row["belief"]["main"] == pytest.approx(float(p[2] + p[4]))
    assert [each.index for each in likeliest(p, e.labels, 10)] == np.argsort(-p, kind="stable")[:10].tolist()


def test_the_search_knows_korean_names_and_groups(explainer: Explainer, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = described(explainer, None)
    assert ours["korean"] == list(explainer.labels)  # classes of ours have no Korean name and no group
    assert (ours["groups"], ours["trust"]) == ([], {})  # and nobody measured these weights
    monkeypatch.setattr(Explainer, "labels", ("beagle", "kimono"))
    known = described(explainer, None)
    assert known["korean"] == ["비글", "기모노"]
    assert {"label": "dog", "phrase": "a dog", "korean": "개", "indices": (0,)} in known["groups"]


def test_trust_gives_the_curves_and_says_what_stops_it(ask: Ask) -> None:
    found = ask("trust", **LION)["trust"]
    json.dumps(found)
    assert found["randomised"]["shape"] == (4, 6, 6)
    assert len(found["steps"]) == len(found["deletion"]) == len(found["random_insertion"])
    assert "thing 3" in found["say"]["en"]
    assert "thing 3" in found["say"]["ko"]
    for odd, said in (({"head": "tail", "stage": None}, "There is no head"), ({"head": "aux1", "stage": "5a"}, "sees no")):
        assert said in ask("trust", **{**LION, **odd})["refusal"]["en"]


@pytest.mark.parametrize(
    ("question", "said", "kind"),
    [
        ({"example": "lion", "target": "9" * 4301}, "No class is called", ""),
        ({"example": "lion", "target": 2**53 - 1}, "No class is called", ""),
        ({"example": "nothing"}, "There is no example", ""),
        ({"example": "lion", "weights": "user/repo"}, "not loaded here", "not_loaded"),
        ({}, "no longer here", "gone"),
        *(
            ({"upload": path}, "no longer here", "gone")
            for path in ("/etc/passwd", "../../x.jpg", "\0", str(PAGE / "index.html"))
        ),
    ],
)
def test_a_wrong_question_gets_a_sentence_in_two_languages(ask: Ask, question: dict[str, Any], said: str, kind: str) -> None:
    """Weights that are not loaded are not fetched, while everyone waits."""
    reply = ask("explain", **question)
    assert reply["n"] == 9
    assert said in reply["refusal"]["en"]
    assert 0 < len(reply["refusal"]["ko"]) < 1000
    assert (reply["refusal"]["kind"], reply["refusal"]["source"]) == (kind, question.get("weights"))


def test_a_picture_that_was_deleted_is_gone_although_it_was_decoded(desk: Desk, ask: Ask) -> None:
    path = desk.pictures.folder / "a.png"
    random_image(40, 30).save(path)
    assert "answer" in ask("explain", upload=str(path))
    path.unlink()
    assert ask("explain", upload=str(path))["refusal"]["kind"] == "gone"


def test_a_visitor_can_name_a_repository_and_never_a_path(explainer: Explainer, ask: Ask) -> None:
    for source in ("/etc/passwd", ".", "weights", "../weights", str(PAGE)):
        assert "is not the name of a repository" in ask("weights", weights=source)["refusal"]["en"]
    assert ask("weights")["weights"]["labels"] == explainer.labels


def test_the_grids_survive_the_way_to_the_browser() -> None:
    grid = np.random.default_rng(0).normal(size=(4, 14, 14)).astype(np.float32) * 0.01
    sent = packed_grid(grid)
    back = np.frombuffer(base64.b64decode(sent["data"]), "<i2").reshape(sent["shape"]) * sent["factor"]
    assert np.abs(back - grid).max() <= np.abs(grid).max() / 60000


def test_an_answer_is_small_and_whole(ask: Ask) -> None:
    """An equal second question has a reply of its own."""
    reply, second = (ask("explain", n=n, example="cheetah", head="aux1", method="layer-cam") for n in (8, 9))
    assert (reply.pop("n"), second.pop("n")) == (8, 9)
    assert reply == second
    answer = reply["answer"]
    assert answer.pop("picture").startswith("data:image/jpeg;base64,")
    assert len(json.dumps(answer)) < 300_000
    assert set(answer["grids"]) == set(STAGES_BEFORE["aux1"])
    assert answer["standing"] in answer["grids"]
    assert answer["result"]["image"] == "cheetah"
    assert answer["result"]["question"]["method"] == "layer-cam"
    assert "".join(answer["words"]["en"]["headline"]) != "".join(answer["words"]["ko"]["headline"])
    assert ask("explain", example="cheetah", known=True)["answer"]["picture"] is None
    assert len(data_url(Image.new("RGB", (3000, 1500)), SIDE)) < 100_000
    assert ask("progress") == ask("leave") == {"n": 9}  # nobody asked it, or it is answered


def test_our_own_mistake_is_loud_in_the_log_and_one_sentence_on_the_page(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def mistake(*_: object) -> None:
        raise ZeroDivisionError("one over zero")

    monkeypatch.setattr(desk_room, "packed", mistake)
    refusal = ask("explain", **LION)["refusal"]
    assert refusal["kind"] == ""
    assert refusal["en"].startswith("This went wrong on our side")
    assert "ZeroDivisionError: one over zero" in caplog.text


def test_a_link_shows_the_page_under_the_address_that_the_operator_says(monkeypatch: pytest.MonkeyPatch) -> None:
    scope = {"type": "http", "path": "/", "headers": [(b"host", b"localhost:1")], "scheme": "http", "server": ("localhost", 1)}
    assert page.address_of(scope) == "http://localhost:1/"
    monkeypatch.setenv("GRADIO_ROOT_PATH", "https://example.org/net")
    assert page.address_of(scope) == "https://example.org/net/"
    monkeypatch.setenv("SPACE_HOST", "user-page.hf.space")
    assert page.address_of(scope) == "https://user-page.hf.space/"
    assert page.CARD.is_file()


def names(template: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def test_the_pages_words_are_the_same_in_both_languages_and_all_used() -> None:
    english, korean = sentences.PAGE["en"], sentences.PAGE["ko"]
    assert english.keys() == korean.keys()
    for key in english:
        assert names(english[key]) == names(korean[key]), key
    page = "".join(path.read_text("utf-8") for path in (PAGE / "index.html", *(PAGE / "js").glob("*.js")))
    marks = {f"help_{term}" for term in re.findall(r'(?:data-help="|helpMark\(")(\w+)', page)}
    assert marks <= english.keys()
    assert {key for key in english if not re.search(rf"""["'. ]{key}\b""", page)} <= {
        *HEADS,
        *(f"example_{name}" for name in EXAMPLES),
        *marks,
    }
    assert set(re.findall(r'data-w="(\w+)"', page)) | set(re.findall(r'(?:say\("|(?<!/)words\.)(\w+)', page)) <= english.keys()
