"""A small HTTP server that speaks the Hub's protocol, as far as this program's client uses it, and misbehaves when told to.

Model repositories are read. As on the Hub, small files lie behind a redirect to the same host and large ones behind one to
another host.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import struct
import sys
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_the_tests"
LARGE = 1_000_000
"""Files of at least so many bytes are LFS files."""
WAIT = 3.0
"""Seconds that a slow answer takes: longer than the tests' client waits."""


def git_digest(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Repo:
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """commit → path → bytes, oldest first"""
    refs: dict[str, str] = field(default_factory=dict)
    """branch or tag → commit"""
    gated: bool = False
    revoked: bool = False
    """gated, though the listing does not say so"""
    private: bool = False
    claims: dict[str, dict[str, Any]] = field(default_factory=dict)
    """path → what the listing says instead of the truth"""

    def commit(self, files: dict[str, bytes], *refs: str) -> str:
        """A new commit with exactly these files, at `main` and the given refs."""
        text = repr((sorted((name, sha256(data)) for name, data in files.items()), len(self.commits)))
        commit = hashlib.sha1(text.encode()).hexdigest()
        self.commits[commit] = dict(files)
        for ref in ("main", *refs):
            self.refs[ref] = commit
        return commit


@dataclass
class Fault:
    """What goes wrong with the next `times` requests that match (`"GET /cdn/"`, a regular expression)."""

    on: str
    do: str
    """a status such as `500`, or slow, stuck, cut, reset, short, long, bytes, html, endless, endless 500, trickle, bomb"""
    times: int = 1


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    authorization: str | None
    range: str | None


class HubServer(ThreadingHTTPServer):
    """`repos["user/repo"]` are what it holds, `log` every request, `faults` what goes wrong next."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[str, Repo] = {}
        self.large: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.log: list[Request] = []
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def model(self, name: str, files: dict[str, bytes], **values: Any) -> Repo:
        """A new model repository with one commit."""
        repo = self.repos[name] = Repo(**values)
        repo.commit(files)
        return repo

    def fail(self, on: str, do: str, times: int = 1) -> None:
        self.faults.append(Fault(on, do, times))

    def fault(self, request: str) -> Fault | None:
        for fault in self.faults:
            if fault.times and re.search(fault.on, request):
                fault.times -= 1
                return fault
        return None

    def requests(self, pattern: str) -> list[Request]:
        return [request for request in self.log if re.search(pattern, f"{request.method} {request.path}")]

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a client that hangs up is no news
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection. `ROUTES` says which method answers which path."""

    server: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.log.append(Request(self.command, path, self.headers.get("Authorization"), self.headers.get("Range")))
        self.bad = self.server.fault(f"{self.command} {path}")
        if self.bad and self.misbehave(self.bad):
            return
        for pattern, answer in ROUTES.items():
            if found := re.fullmatch(pattern, f"{self.command} {path}"):
                return answer(self, *found.groups())
        self.error(404, "NotFound", f"Nothing answers {self.command} {path}")

    do_GET = do_HEAD = answer  # noqa: N815

    def misbehave(self, fault: Fault) -> bool:
        """Whether the fault is the whole answer; the others change a file's bytes on their way (`send`)."""
        if fault.do.isdigit():
            self.json({"error": "so the tests want it"}, int(fault.do))
        elif fault.do == "slow":
            threading.Event().wait(WAIT)
            self.close_connection = True
        elif fault.do == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
        elif fault.do == "html":
            self.send(200, b"<html>Welcome to our hotel</html>", {"Content-Type": "text/html"})
        else:
            return False
        return True

    def send(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        headers = {"Content-Length": str(len(data))} | (headers or {})
        do = self.bad.do if self.bad else ""
        if do == "bytes":
            data = data[:-8] + bytes(8)
        elif do == "short":
            data = data[:-1000]
            headers["Content-Length"] = str(len(data))
        elif do == "long":
            data += b"x" * 1000
            headers["Content-Length"] = str(len(data))
        elif do == "bomb":
            pack = zlib.compressobj(wbits=31)
            data = b"".join(pack.compress(bytes(1 << 20)) for _ in range(100)) + pack.flush()
            headers |= {"Content-Length": str(len(data)), "Content-Encoding": "gzip"}
        elif do in ("endless", "endless 500"):
            status = 500 if do == "endless 500" else status
            del headers["Content-Length"]
            headers["Transfer-Encoding"] = "chunked"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if do == "cut":
            data = data[: len(data) * 19 // 20]
            self.close_connection = True
        elif do == "stuck":  # nothing to go on from
            data = data[:1000]
            self.close_connection = True
        elif do in ("endless", "endless 500"):
            chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
            while True:
                self.wfile.write(chunk)
        elif do == "trickle":  # never slow enough for a timeout of the client's
            for start in range(0, len(data), 1000):
                self.wfile.write(data[start : start + 1000])
                threading.Event().wait(0.1)
            return
        self.wfile.write(data)

    def json(self, value: object, status: int = 200) -> None:
        self.send(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def error(self, status: int, code: str, message: str) -> None:
        self.send(status, json.dumps({"error": message}).encode(), {"X-Error-Code": code, "X-Error-Message": message})

    @property
    def known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def find(self, name: str, revision: str) -> tuple[Repo, str] | None:
        """(repository, commit), or None after the error has been sent."""
        if self.headers.get("Authorization") and not self.known:
            self.send(401, b"{}", {"X-Error-Message": "Invalid credentials in Authorization header"})
            return None
        repo = self.server.repos.get(name)
        if repo is None or (repo.private and not self.known):  # the two look alike
            self.error(404 if self.known else 401, "RepoNotFound", "Repository not found")
            return None
        commit = repo.refs.get(revision, revision)
        if commit not in repo.commits:
            self.error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return repo, commit

    def info(self, name: str, revision: str | None) -> None:
        found = self.find(name, revision or "main")
        if not found:
            return
        repo, commit = found
        siblings = []
        for path, data in repo.commits[commit].items():
            entry: dict[str, Any] = {"rfilename": path, "size": len(data), "blobId": git_digest(data)}
            if len(data) >= LARGE:
                entry["lfs"] = {"sha256": sha256(data), "size": len(data), "pointerSize": 134}
            siblings.append(entry | repo.claims.get(path, {}))
        gated = "manual" if repo.gated else False
        listing = {"id": name, "sha": commit, "private": repo.private, "gated": gated, "siblings": siblings, "tags": []}
        self.json(listing)

    def resolve(self, name: str, revision: str, path: str) -> None:
        found = self.find(name, revision)
        if not found:
            return
        repo, commit = found
        if (repo.gated and not self.known) or repo.revoked:
            self.error(403, "GatedRepo", "Access to this repository is restricted")
        elif path not in repo.commits[commit]:
            self.error(404, "EntryNotFound", "Entry not found")
        else:
            data = repo.commits[commit][path]
            headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
            if len(data) < LARGE:
                self.send(307, b"", headers | {"Location": f"/api/resolve-cache/models/{name}/{commit}/{path}"})
                return
            self.server.large[sha256(data)] = data
            linked = {"X-Linked-Size": str(len(data)), "X-Linked-ETag": f'"{sha256(data)}"'}
            # all that is large lies in Xet storage, and may still be had over HTTP
            linked |= {"X-Xet-Hash": sha256(data), "X-Xet-Refresh-Route": f"{self.server.url}/api/xet-read-token/{name}/{commit}"}
            elsewhere = f"http://localhost:{self.server.server_port}/cdn/{sha256(data)}"
            self.send(302, b"", headers | linked | {"Location": elsewhere})

    def small(self, name: str, commit: str, path: str) -> None:
        data = self.server.repos[name].commits[commit][path]
        self.send(200, data, {"X-Repo-Commit": commit, "ETag": f'"{git_digest(data)}"'})

    def cdn(self, digest: str) -> None:
        data = self.server.large[digest]
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if asked:
            start = int(asked[1])
            self.send(206, data[start:], {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"})
        else:
            self.send(200, data, {"ETag": f'"{digest}"', "Accept-Ranges": "bytes"})


NAME = "([^/]+/[^/]+)"
ROUTES: dict[str, Callable[..., None]] = {
    f"GET /api/models/{NAME}(?:/revision/(.+))?": Handler.info,
    f"(?:GET|HEAD) /api/resolve-cache/models/{NAME}/([0-9a-f]{{40}})/(.+)": Handler.small,
    "(?:GET|HEAD) /cdn/([0-9a-f]{64})": Handler.cdn,
    f"(?:GET|HEAD) /{NAME}/resolve/([0-9a-f]{{40}}|main)/(.+)": Handler.resolve,
}
"""method and path → what answers it, with the path's parts"""
