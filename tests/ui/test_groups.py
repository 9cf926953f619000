"""The tab Channels in groups: what Python tells the page."""

from __future__ import annotations

import json

import pytest

from googlenet.ui.messages import PageQuery
from googlenet.ui.questions import Desk
from googlenet.ui.uploads import example


def test_a_stages_evidence_comes_in_groups_of_channels(desk: Desk) -> None:
    found = desk.groups(PageQuery(9, example="lion", target=3, stage="4c"), example("lion"), lambda *_: None)
    json.dumps(found)
    assert sum(group["share"] for group in found["groups"]) + found["rest"] == pytest.approx(1)
    channels = [each for group in found["groups"] for each in group["channels"]]
    assert found["missing"] == sum(each["picture"] is None for each in channels)
    assert 0 < len(channels) <= 18
