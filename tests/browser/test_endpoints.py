"""The named endpoints as other programs meet them: gradio_client, plain HTTP, and what is not exposed."""

from __future__ import annotations

import gzip
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio.media import get_image
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from tests.helpers import ROOT

STAGES = ["3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"]


@pytest.fixture(scope="module")
def client(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = Client(url, verbose=False, download_files=str(tmp_path_factory.mktemp("files")))
    yield client
    client.close()


def test_the_endpoints_have_names_and_descriptions(client: Client) -> None:
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]  # type: ignore[index]
    assert set(named) == {"/classify", "/explain", "/report", "/sheet", "/channels", "/trust"}
    taken = {name: [p["parameter_name"] for p in endpoint["parameters"]] for name, endpoint in named.items()}
    for name in ("/explain", "/report", "/sheet", "/channels"):
        assert taken[name] == ["image", "head", "target", "contrast", "method"]
    assert taken["/trust"] == ["image", "head", "target", "contrast", "stage", "method"]
    assert "heads" in named["/classify"]["description"]


def test_classify(client: Client) -> None:
    heads = client.predict(handle_file(get_image("lion.jpg")), api_name="/classify")
    statements = heads.pop("statements")
    assert list(heads) == list(statements) == ["aux1", "aux2", "main"]
    assert statements["main"]["name"] == "lion"
    for top in heads.values():
        assert len(top) == 5
        assert {"index", "label", "probability"} == set(top[0])


def test_explain_answers_the_question_and_draws_the_stages_seen(client: Client) -> None:
    result, overlays = client.predict(
        handle_file(get_image("tower.jpg")), head="aux2", target="lion", contrast="1", api_name="/explain"
    )
    assert result["question"]["head"] == "aux2"
    assert result["question"]["method"] == "grad-cam"  # the default: callers from before it was a parameter
    assert result["question"]["target"]["label"] == "lion"
    assert result["question"]["contrast"]["index"] == 1
    assert [stage["name"] for stage in result["stages"]] == STAGES
    assert result["stages"][-1]["size"] is None
    assert [overlay["caption"] for overlay in overlays] == STAGES[:6]
    with Image.open(overlays[0]["image"]) as picture:
        assert picture.size == (377, 600)


def test_channels_are_named_for_each_stage_seen_and_the_method_can_be_chosen(client: Client) -> None:
    asked = {"image": handle_file(get_image("lion.jpg")), "head": "aux2", "target": "lion", "method": "layer-cam"}
    result = client.predict(**asked, api_name="/channels")
    assert result["question"]["method"] == "layer-cam"
    assert list(result["channels"]) == STAGES[:6]
    assert {"channel", "branch", "share", "peak"} == set(result["channels"]["4c"]["for"][0])
    assert client.predict(**asked, api_name="/explain")[0]["question"]["method"] == "layer-cam"
    with pytest.raises(AppError, match="There is no method 'x'; choose grad-cam or layer-cam"):
        client.predict(**asked | {"method": "x"}, api_name="/explain")


def test_a_wrong_question_and_a_wrong_file_get_their_sentence(client: Client, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("text")
    with pytest.raises(AppError, match=r"^notes\.jpg is not a picture that can be read"):
        client.predict(handle_file(tmp_path / "notes.jpg"), api_name="/classify")
    with pytest.raises(AppError, match="No class is called 'nonesuchthing'"):
        client.predict(handle_file(get_image("lion.jpg")), target="nonesuchthing", api_name="/explain")
    with pytest.raises(AppError, match="The aux1 head sees no stage '5b'"):
        client.predict(handle_file(get_image("lion.jpg")), head="aux1", stage="5b", api_name="/trust")


def test_the_page_travels_compressed_and_names_its_modules_at_once(url: str) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        page = gzip.decompress(response.read()).decode()
    for path in (ROOT / "googlenet/ui/page/js").glob("*.js"):
        assert f"/js/{path.name}" in page
