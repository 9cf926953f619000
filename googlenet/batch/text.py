"""The results of `explain` as text: lines of JSON, a CSV table, and the page that lists a folder's results."""

from __future__ import annotations

import csv
import html
import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO
from urllib.parse import quote

from googlenet.batch.files import INDEX, SOFTWARE, PictureFile, outputs
from googlenet.errors import UserError, reason
from googlenet.explanation import Explanation
from googlenet.explanation.statements import percent
from googlenet.model.architecture import HEADS, STAGES

__all__ = ["csv_writer", "index_row", "json_writer", "write_index"]

_COLUMNS = (
    "image",
    "head",
    "target",
    "contrast",
    "probability",
    *(name for h in HEADS for name in (h, f"{h}_probability")),
    "error",
)
"""Of the CSV table: the question, the target's probability in the asked head, each head's top class, why there is no answer."""
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What a terminal obeys, and what turns the direction of text."""
_PAGE = """<!DOCTYPE html><!-- {software} --><meta charset="utf-8"><title>{software}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem; color: #1c1a17; background: #faf8f4 }}
td, th {{ padding: .4rem 1rem .4rem 0; text-align: left; vertical-align: top }}
img {{ width: 22rem; display: block }}
</style>
<h1>{software}</h1>
<table><tr><th>picture<th>{heads}</tr>
{rows}
</table>
"""


def _visible(text: str) -> str:
    """Escape what cannot be seen, as JSON does: the text of a JSON document keeps its meaning."""
    return _INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def json_writer(sink: TextIO) -> Callable[[str, Explanation | UserError], None]:
    """A function that writes a picture's name and explanation as a line of JSON, and nothing for an error."""

    def write(image: str, outcome: Explanation | UserError) -> None:
        if isinstance(outcome, Explanation):
            print(_visible(json.dumps(outcome.to_json(image), ensure_ascii=False)), file=sink, flush=True)

    return write


def csv_writer(sink: TextIO) -> Callable[[str, Explanation | UserError], None]:
    """A function that writes a picture's name and result as a row of `_COLUMNS`, after the row with their names."""
    table = csv.DictWriter(sink, _COLUMNS, lineterminator="\n")
    table.writeheader()

    def write(image: str, outcome: Explanation | UserError) -> None:
        row: dict[str, object] = {"image": image}
        if isinstance(outcome, UserError):
            row["error"] = str(outcome)
        else:
            asked = outcome.to_json(image)["question"]
            row |= {name: (asked[name] or {}).get("label") for name in ("target", "contrast")}
            row |= {"head": asked["head"], "probability": outcome.belief[asked["head"]]}
            for head, top in outcome.heads.items():
                if top:
                    row |= {head: top[0].label, f"{head}_probability": top[0].probability}
        table.writerow({name: _visible(value) if isinstance(value, str) else value for name, value in row.items()})
        sink.flush()

    return write


def index_row(out: Path, file: PictureFile, outcome: Explanation | UserError, only: str | None) -> str:
    """A picture's row in the page: its name, its sheet or last overlay, and each head's top class, or the error."""
    name = html.escape(_visible(os.fsencode(file.path).decode("utf-8", "backslashreplace")))
    if isinstance(outcome, UserError):
        return f'<tr><td>{name}<td colspan="{len(HEADS)}">{html.escape(str(outcome))}</tr>'
    files = outputs(out, file, only)
    written = [files[ending] for ending in files if ending[1:3] not in STAGES or ending[1:3] in outcome.branch_grids]
    pictures = [path for path in written if path.suffix == ".png"]
    shown = (pictures or written)[-1]
    address = quote(os.fsencode(shown.relative_to(out).as_posix()))
    inside = f'<img src="{address}" loading="lazy" alt="">' if pictures else ""
    tops = (top and f"{html.escape(_visible(top[0].label))}<br>{percent(top[0].probability)}" for top in outcome.heads.values())
    return f'<tr><td><a href="{address}">{name}{inside}</a>' + "".join(f"<td>{top or ''}" for top in tops) + "</tr>"


def write_index(out: Path, rows: Sequence[str]) -> None:
    """Write the page. Raises UserError where it cannot be written."""
    page = _PAGE.format(software=SOFTWARE, heads="<th>".join(HEADS), rows="\n".join(rows))
    try:
        (out / INDEX).write_text(page, "utf-8")
    except OSError as error:
        raise UserError("{path} cannot be written: {error}.", path=out / INDEX, error=reason(error)) from None
