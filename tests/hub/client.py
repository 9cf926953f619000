"""The real client in a process of its own, since huggingface_hub reads its variables once: a JSON line in, a JSON line out.

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

from googlenet.checkpoints import load, load_for_visitor, parse_for_visitor
from googlenet.errors import UserError
from googlenet.ui.weights import LOAD_SECONDS, ended_after


def main() -> None:
    sleep = time.sleep
    time.sleep = lambda _: sleep(0.05)  # the client's waits between its own attempts
    file_download._ETAG_RETRY_TIMEOUT = 1
    for line in sys.stdin:
        print(json.dumps(outcome(**json.loads(line))), flush=True)


def outcome(source: str, token: str | bool | None, visitor: bool, limit: float = LOAD_SECONDS) -> dict[str, Any]:
    shares: list[float] = []
    started = time.perf_counter()
    try:
        if visitor:
            with ended_after(limit, source):
                loaded = load_for_visitor(parse_for_visitor(source), lambda share, _: shares.append(share))
        else:
            loaded = load(source, token=token, progress=lambda share, _: shares.append(share))
    except UserError as error:
        return {"error": str(error), "kind": type(error).__name__}
    except BaseException:
        return {"crash": traceback.format_exc()}
    return {
        "revision": loaded.provenance.revision,
        "sha256": loaded.provenance.sha256,
        "license": loaded.provenance.license,
        "offline": loaded.provenance.offline,
        "labels": loaded.config.labels,
        "weight": float(loaded.model.fc.weight[0, 0]),
        "shares": shares,
        "seconds": time.perf_counter() - started,
    }


if __name__ == "__main__":
    main()
