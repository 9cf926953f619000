"""The program in a process of its own, since huggingface_hub reads its environment when it is imported.

Takes one JSON object a line on stdin and answers with one a line on stdout, so that anything else on stdout breaks the tests.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from typing import Any

from googlenet import hub
from googlenet.errors import UserError
from googlenet.model import GoogLeNet


def load(source: str, visitor: bool = False, **options: Any) -> dict[str, Any]:
    shares: list[float] = []
    start = time.monotonic()
    wanted = hub.parse_repository(source) if visitor else source
    options = {"token": False} | options if visitor else options
    loaded = hub.load(wanted, progress=lambda share, text: shares.append(share), **options)
    return {
        **vars(loaded.provenance),
        "labels": loaded.config.labels[:3],
        "classes": len(loaded.config.labels),
        "sum": float(sum(p.double().abs().sum() for p in loaded.model.parameters())),
        "shares": shares,
        "seconds": time.monotonic() - start,
    }


def from_pretrained(source: str, revision: str | None = None) -> dict[str, Any]:
    model = GoogLeNet.from_pretrained(source, revision=revision)
    assert model.config is not None
    return {"labels": model.config.labels[:3], "training": model.training}


def push(folder: str, repository: str) -> dict[str, Any]:
    return {"url": str(GoogLeNet.from_pretrained(folder).push_to_hub(repository))}


CALLS = {"load": load, "from_pretrained": from_pretrained, "push": push}

if __name__ == "__main__":
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = CALLS[request.pop("call")](**request)
        except UserError as error:
            answer = {"error": str(error)}
        except BaseException:
            answer = {"crash": traceback.format_exc()}
        print(json.dumps(answer), flush=True)
