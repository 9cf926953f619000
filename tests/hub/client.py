"""The program in a process of its own, since huggingface_hub reads its variables once: a JSON line in, a JSON line out.

In: {"source": …, "token": null, false or text, "visitor": whether a visitor of the page names it, "limit": its seconds}.
Out: what was loaded, or {"error": sentence, "kind": class}, or {"crash": traceback}.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from typing import Any

from huggingface_hub import file_download

from googlenet.checkpoints import load, load_for_visitor
from googlenet.checkpoints.source import parse_for_visitor
from googlenet.errors import UserError
from googlenet.ui.weights import LOAD_SECONDS, ended_after


def main() -> None:
    sleep = time.sleep
    time.sleep = lambda _: sleep(0.05)  # the client's waits between its own attempts
    file_download._ETAG_RETRY_TIMEOUT = 1
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = loaded(**request)
        except UserError as error:
            answer = {"error": str(error), "kind": type(error).__name__}
        except BaseException:
            answer = {"crash": traceback.format_exc()}
        print(json.dumps(answer), flush=True)


def loaded(source: str, token: str | bool | None, visitor: bool, limit: float = LOAD_SECONDS) -> dict[str, Any]:
    shares: list[float] = []
    if visitor:
        with ended_after(limit, source):
            found = load_for_visitor(parse_for_visitor(source), lambda share, _: shares.append(share))
    else:
        found = load(source, token=token, progress=lambda share, _: shares.append(share))
    return {
        "revision": found.provenance.revision,
        "sha256": found.provenance.sha256,
        "license": found.provenance.license,
        "offline": found.provenance.offline,
        "labels": found.config.labels,
        "weight": float(found.model.fc.weight[0, 0]),
        "shares": shares,
    }


if __name__ == "__main__":
    main()
