"""`explain` on folders: what is found, how results are named, that nothing of the user's is overwritten, and the pipeline."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from googlenet.batch import folders
from googlenet.batch.files import PictureFile, check_outputs, find_pictures, is_ours
from googlenet.batch.folders import explain_files
from googlenet.batch.table import SCHEMA, table_writer
from googlenet.batch.text import csv_writer, json_writer
from googlenet.concurrency.threads import batched, in_order, threads
from googlenet.errors import QuestionError, UserError
from googlenet.explanation import Explanation, Question
from googlenet.inference.explainer import Explainer
from googlenet.model.architecture import STAGES
from googlenet.pictures.images import open_image
from tests.helpers import random_image


def make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() in (".jpg", ".png", ".webp", ".gif", ".bmp", ".tif", ".jfif", ".jpe"):
            random_image(64, 48).save(path, {".jfif": "JPEG", ".jpe": "JPEG"}.get(path.suffix.lower()))
        else:
            path.write_text("not a picture", "utf-8")


def found_in(folder: Path, out: Path | None = None) -> list[str]:
    return [source.path.relative_to(folder).as_posix() for source in find_pictures([folder], out)[0]]


def run(explainer: Explainer, sources: list[PictureFile], out: Path | None = None, **options: Any) -> list[object]:
    return [outcome for _, outcome in explain_files(explainer, Question(), sources, out, **options)]


def test_every_usual_suffix_counts(tmp_path: Path) -> None:
    names = ["a.jpg", "b.JPG", "c.jpe", "d.jfif", "e.png", "f.webp", "g.gif", "h.bmp", "i.tif", "j/k.jpg"]
    make(tmp_path, *names, "notes.txt", "z.heic", ".hidden.jpg", "._a.jpg", ".ipynb_checkpoints/a.jpg")
    assert found_in(tmp_path) == names


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    make(tmp_path / "away", "a.jpg")
    top = tmp_path / "top"
    top.mkdir()
    (top / "link").symlink_to(tmp_path / "away")
    (top / "same").symlink_to(tmp_path / "away")
    (tmp_path / "away" / "circle").symlink_to(top)
    (top / "nowhere.jpg").symlink_to(tmp_path / "nowhere")
    assert found_in(top) == ["link/a.jpg", "nowhere.jpg"]


def test_a_folder_without_pictures_says_what_it_holds(tmp_path: Path) -> None:
    make(tmp_path / "heic", "a.heic", "b.HEIC", "notes.txt", ".DS_Store")
    (tmp_path / "empty" / "deep").mkdir(parents=True)
    found, wrong = find_pictures([tmp_path / "heic", tmp_path / "empty"])
    assert found == []
    assert [str(each) for each in wrong] == [
        f"The folder {tmp_path / 'heic'} holds no pictures of a known kind, only 2 × .heic, 1 × .txt; save them as JPEG or PNG.",
        f"The folder {tmp_path / 'empty'} is empty; name one that holds pictures.",
    ]


def test_what_cannot_be_looked_at_is_named_and_the_others_are_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name of 300 letters, and a folder within one that may be listed and no more."""
    make(tmp_path, "a.jpg", "shut/b.jpg")
    true = Path.stat

    def stat(path: Path, **options: Any) -> os.stat_result:
        if path.name == "shut":
            raise PermissionError(errno.EACCES, "denied", str(path))
        return true(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    found, wrong = find_pictures([tmp_path, "x" * 300, "://" + "x" * 300])
    assert [file.path for file in found] == [tmp_path / "a.jpg", Path("x" * 300)]
    for error, words in zip(wrong, ("shut cannot be read: access is denied", "save the picture there"), strict=True):
        assert words in str(error)
    with pytest.raises(UserError, match="cannot be opened: the name is too long"):
        open_image("x" * 300)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the administrator may read every folder")
def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "shut/b.jpg")
    (tmp_path / "shut").chmod(0)
    found, wrong = find_pictures([tmp_path])
    (tmp_path / "shut").chmod(0o700)
    assert len(found) == 1
    assert "shut cannot be read: access is denied" in str(wrong[0])


@pytest.mark.parametrize(
    ("pictures", "results"),
    [
        (["a.jpg", "a.png", "b.jpg", "deep/a.jpg"], ["a.jpg", "a.png", "b", "deep/a"]),
        (["A.jpg", "a.png", "b.jpg"], ["A.jpg", "a.png", "b"]),  # on Windows and macOS `A-3a.png` and `a-3a.png` are one file
        (["cafe\u0301.png", "caf\u00e9.jpg"], ["cafe\u0301.png", "caf\u00e9.jpg"]),  # on macOS both forms of `é` are one
    ],
)
def test_results_have_the_pictures_names_without_the_suffix_unless_nothing_else_differs(
    tmp_path: Path, pictures: list[str], results: list[str]
) -> None:
    make(tmp_path, *pictures)
    assert [source.name.as_posix() for source in find_pictures([tmp_path])[0]] == results


def test_results_go_where_they_belong(tmp_path: Path, explainer: Explainer) -> None:
    pictures, out = tmp_path / "in", tmp_path / "out"
    make(pictures, "a.jpg", "a.png", "deep/c.webp")
    sources, _ = find_pictures([pictures], out)
    check_outputs(sources, out)
    run(explainer, sources, out)
    written = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    names = ("a.jpg", "a.png", "deep/c")
    endings = (*(f"-{stage}.png" for stage in STAGES), "-sheet.png", ".npz")
    assert written == {"index.html", *(f"{name}{ending}" for name in names for ending in endings)}
    with Image.open(out / "a.jpg-5b.png") as overlay:
        assert overlay.size == (64, 48)
    with np.load(out / "deep/c.npz") as file:
        assert tuple(file["size"]) == (64, 48)


@pytest.mark.parametrize(
    ("only", "endings"), [("sheet", ["-sheet.png"]), ("maps", [".npz"]), ("overlays", [f"-{stage}.png" for stage in STAGES])]
)
def test_one_kind_of_results_alone(tmp_path: Path, explainer: Explainer, only: str, endings: list[str]) -> None:
    pictures, out = tmp_path / "in", tmp_path / "out"
    make(pictures, "a.jpg")
    make(out, "a.jpg" if only == "sheet" else "a-sheet.png")  # is in the way of no result of this kind
    before = set(out.iterdir())
    sources, _ = find_pictures([pictures], out)
    check_outputs(sources, out, only)
    run(explainer, sources, out, only=only)
    assert {path.name for path in set(out.iterdir()) - before} == {f"a{ending}" for ending in endings}


def test_a_page_lists_a_folders_results(tmp_path: Path, explainer: Explainer) -> None:
    pictures, out = tmp_path / "in", tmp_path / "out"
    make(pictures, "deep/a & b #1.jpg", "z<i>\u202e.jpg")
    (pictures / "z<i>\u202e.jpg").write_bytes(b"no picture")
    for _ in range(2):  # the program's own page may be written again
        sources, _ = find_pictures([pictures], out)
        check_outputs(sources, out)
        good, _ = run(explainer, sources, out)
    page = (out / "index.html").read_text("utf-8")
    address = "deep/a%20%26%20b%20%231-sheet.png"
    assert (out / unquote(address)).exists()
    assert f'<a href="{address}">{pictures}/deep/a &amp; b #1.jpg<img src="{address}"' in page
    assert isinstance(good, Explanation)
    assert good.heads["aux1"] is not None
    assert f"<td>{good.heads['aux1'][0].label}<br>" in page
    assert "z&lt;i&gt;\\u202e.jpg<td colspan" in page
    assert "is not a picture that can be read" in page
    (out / "index.html").write_text("mine", "utf-8")
    with pytest.raises(UserError, match=r"index\.html exists and was not written by this program"):
        check_outputs(sources, out)
    check_outputs(sources[:1], out)  # one picture has no such page


def test_a_name_that_is_too_long_is_found_before_the_first_picture(tmp_path: Path) -> None:
    make(tmp_path / "in", "a.jpg", "b" * 246 + ".jpg")
    with pytest.raises(UserError, match=r"b-sheet\.png cannot be written: the name is too long\."):
        check_outputs(find_pictures([tmp_path / "in"])[0], tmp_path / "out")


def test_no_link_leads_out_of_the_output_folder(tmp_path: Path) -> None:
    make(tmp_path / "in", "a.jpg", "deep/b.jpg")
    sources, _ = find_pictures([tmp_path / "in"])
    out, away = tmp_path / "out", tmp_path / "away"
    for link, target in (("a-5b.png", away / "new.png"), ("index.html", away / "index.html"), ("deep", away)):
        out.mkdir()
        (out / link).symlink_to(target)  # the first two lead nowhere yet
        away.mkdir(exist_ok=True)
        with pytest.raises(UserError, match="leads out of the output folder by a link"):
            check_outputs(sources, out)
        (out / link).unlink()
        out.rmdir()
    out.symlink_to(away)  # the user named this one
    check_outputs(sources, out)
    assert list(away.iterdir()) == []


def test_a_class_rather_than_itself_is_named_and_skipped(tmp_path: Path, explainer: Explainer) -> None:
    make(tmp_path, "a.jpg", "b.jpg")
    Image.new("RGB", (64, 64)).save(tmp_path / "b.jpg")
    sources, _ = find_pictures([tmp_path])
    top = explainer.explain(sources[0].path).question.target
    same = explainer.explain(sources[1].path).question.target == top
    with pytest.raises(QuestionError, match=f"^The main head's top class is thing {top}, the contrast itself"):
        explainer.explain(sources[0].path, contrast=top)
    outcomes = [outcome for _, outcome in explain_files(explainer, Question(contrast=top), sources)]
    assert str(outcomes[0]) == (
        f"{sources[0].path} is left out: The main head's top class is thing {top}, the contrast itself; "
        "name a target, or another contrast."
    )
    assert isinstance(outcomes[1], UserError) == same


def test_tables_hold_the_answer_and_the_errors(tmp_path: Path, explainer: Explainer) -> None:
    """As CSV, the first of each head; as Parquet, the JSON and the grids."""
    make(tmp_path, "a,\x1b[2J.jpg", "b.jpg")
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    sources, _ = find_pictures([tmp_path])
    sink, file = io.StringIO(), io.BytesIO()
    outcomes = list(explain_files(explainer, explainer.question("aux2", "thing 3", "thing 4"), sources))
    write_csv = csv_writer(sink)
    with table_writer(file) as write_row:
        for source, outcome in outcomes:
            write_csv(str(source.path), outcome)
            write_row(str(source.path), outcome)
    explanation = outcomes[0][1]
    assert isinstance(explanation, Explanation)
    assert explanation.heads["main"]
    good, bad = csv.DictReader(io.StringIO(sink.getvalue()))
    assert good["image"] == str(tmp_path / "a,\\u001b[2J.jpg")
    assert (good["head"], good["target"], good["contrast"]) == ("aux2", "thing 3", "thing 4")
    assert float(good["probability"]) == explanation.belief["aux2"]
    assert (good["main"], float(good["main_probability"])) == tuple(vars(explanation.heads["main"][0]).values())[1:]
    assert good["error"] == bad["main"] == ""
    assert "b.jpg is not a picture that can be read" in bad["error"]
    good, bad = pq.read_table(file).to_pylist()
    expected = json.loads(json.dumps(explanation.to_json(str(sources[0].path))))
    for asked in ("target", "contrast"):
        assert good["question"][asked].pop("classes") is None  # a group has it
    assert {name: good[name] for name in expected} == expected
    assert set(SCHEMA.names) == {*expected, "channels", "trust", "grids", "error"}
    assert good["grids"]["5b"] is None  # behind aux2
    grid = np.array(good["grids"]["4d"], np.float32).reshape(good["stages"][STAGES.index("4d")]["size"])
    assert np.allclose(grid, explanation.grids["4d"], rtol=1e-3, atol=1e-3)
    assert good["error"] is bad["heads"] is None
    assert "b.jpg is not a picture that can be read" in bad["error"]


def test_what_cannot_be_seen_is_escaped_and_json_keeps_its_meaning(explainer: Explainer) -> None:
    """A terminal obeys U+009B as it does ESC [; U+202E and U+2066 turn the direction of what follows."""
    name = "".join(map(chr, [0x7F, *range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)])) + "é사.jpg"
    sink = io.StringIO()
    json_writer(sink)(name, explainer.explain(random_image(64, 48)))
    line = sink.getvalue()
    assert line.removesuffix("\n").isprintable()
    assert "é사.jpg" in line
    assert json.loads(line)["image"] == name


def test_results_are_not_explained_and_may_be_written_again(tmp_path: Path, explainer: Explainer) -> None:
    """`explain d --out d`, twice; and `explain d --out d/out`."""
    make(tmp_path, "cat.jpg")
    for _ in range(2):
        sources, _ = find_pictures([tmp_path], tmp_path)
        assert [source.path.name for source in sources] == ["cat.jpg"]
        check_outputs(sources, tmp_path)
        run(explainer, sources, tmp_path)
    assert is_ours(tmp_path / "cat.npz")
    assert not is_ours(tmp_path / "cat.jpg")
    make(tmp_path / "out", "mine.jpg")
    assert found_in(tmp_path, tmp_path / "out") == ["cat.jpg"]
    make(tmp_path, "cat-sheet.png")  # a user's picture is never overwritten
    before = (tmp_path / "cat-sheet.png").read_bytes()
    sources, _ = find_pictures([tmp_path], tmp_path)
    assert "cat-sheet.png" in [source.path.name for source in sources]
    with pytest.raises(UserError, match=r"cat-sheet\.png exists and was not written by this program; choose another output"):
        check_outputs(sources, tmp_path)
    assert (tmp_path / "cat-sheet.png").read_bytes() == before


def test_outcomes_come_in_order_and_bad_files_are_skipped(tmp_path: Path, explainer: Explainer) -> None:
    make(tmp_path, *(f"{i:02}.jpg" for i in range(10)), "20.webp")
    for i in (3, 9):
        (tmp_path / f"{i:02}.jpg").write_bytes(b"no picture")
    os.mkfifo(tmp_path / "10b.jpg")
    sources, _ = find_pictures([tmp_path])
    outcomes = run(explainer, sources)
    wrong = [source.path.name for source, each in zip(sources, outcomes, strict=True) if isinstance(each, UserError)]
    assert wrong == ["03.jpg", "09.jpg", "10b.jpg"]
    for source, outcome in zip(sources, outcomes, strict=True):
        if isinstance(outcome, Explanation):
            alone = explainer.explain(source.path)
            assert np.allclose(outcome.probabilities["main"], alone.probabilities["main"], atol=1e-5)
            assert np.allclose(outcome.grids["4c"], alone.grids["4c"], atol=1e-4)


def test_a_picture_one_pixel_wide_is_explained(tmp_path: Path, explainer: Explainer) -> None:
    """200 bytes that once took 9.7 GB, and one row that ended the command."""
    Image.new("RGB", (1, 65535), (90, 60, 30)).save(tmp_path / "narrow.png")
    Image.new("1", (20_000_000, 1)).save(tmp_path / "wide.png")
    assert all(isinstance(outcome, Explanation) for outcome in run(explainer, find_pictures([tmp_path])[0]))


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_reduced_picture_gives_the_whole_ones_answer(suffix: str, tmp_path: Path, explainer: Explainer) -> None:
    """Pictures much larger than the network's input are decoded at a fraction of their size; positions are the whole one's."""
    random_image(1200, 800).save(tmp_path / f"a.{suffix}")
    sources, _ = find_pictures([tmp_path])
    (outcome,) = run(explainer, sources)
    whole = explainer.explain(sources[0].path)
    assert isinstance(outcome, Explanation)
    assert outcome.size == (1200, 800)
    assert outcome.seen == whole.seen
    assert np.allclose(outcome.probabilities["main"], whole.probabilities["main"], atol=0.01)  # type: ignore[arg-type]


def test_overlays_have_a_bounded_side_or_the_pictures_own(
    tmp_path: Path, explainer: Explainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "SIDE", 200)
    pictures = tmp_path / "in"
    pictures.mkdir()
    random_image(300, 120).save(pictures / "a.png")
    sources, _ = find_pictures([pictures])
    for full_size, size in ((False, (200, 80)), (True, (300, 120))):
        (outcome,) = run(explainer, sources, tmp_path / "out", full_size=full_size)
        assert isinstance(outcome, Explanation)
        assert outcome.size == (300, 120)
        with Image.open(tmp_path / "out" / "a-5b.png") as overlay:
            assert overlay.size == size


def test_a_reader_that_leaves_stops_the_work(tmp_path: Path, explainer: Explainer) -> None:
    make(tmp_path, *(f"{i:02}.jpg" for i in range(40)))
    before = sum(engine.passes for engine in explainer.passes.engines)
    with closing(explain_files(explainer, Question(), find_pictures([tmp_path])[0])) as outcomes:
        next(outcomes)
    assert sum(engine.passes for engine in explainer.passes.engines) - before <= 4


def test_in_order_runs_a_bounded_way_ahead() -> None:
    begun: list[int] = []
    with threads(2) as pool:
        results = in_order(pool, lambda i: begun.append(i) or i, range(100), ahead=3)
        assert next(results) == 0
        assert len(begun) <= 4
        assert list(results) == list(range(1, 100))
    assert list(batched(range(5), 2)) == [[0, 1], [2, 3], [4]]
