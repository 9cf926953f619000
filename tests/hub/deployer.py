"""`deploy` in a process of its own: huggingface_hub reads its environment when it is imported.

A JSON object a line on stdin, one a line on stdout.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import traceback
from pathlib import Path
from typing import Any

from googlenet.errors import UserError
from googlenet.ui.deploy import deploy


def run(package: str, examples: str | None = None, **options: Any) -> dict[str, Any]:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        address = deploy(package=Path(package), examples=Path(examples) if examples else None, **options)
    return {"address": address, "said": said.getvalue()}


if __name__ == "__main__":
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = run(**request)
        except UserError as error:
            answer = {"error": str(error)}
        except BaseException:
            answer = {"crash": traceback.format_exc()}
        print(json.dumps(answer), flush=True)
