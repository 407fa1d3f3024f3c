"""ClickHouse's HTTP interface before the embedded engine, as far as clickhouse-connect uses it.

    python -m tests.projections.clickhouse_front FOLDER [PORT]

No ClickHouse server comes with a package index, but its engine does. This process has the engine's
data in FOLDER open, prints the port that it listens on, and answers as a server does: statements
in the body, in `query`, or in a form; `param_*`, `database`, settings; compressed both ways; no
field longer than a server takes; errors with their code in a header. Its one user is that of the
environment variable FRONT_USER (name:password). It obeys lines on its standard input: "slow
SECONDS", after which every statement takes that much longer, "refuse CODE", after which every one
is refused, and "well". It ends with its standard input, or when killed.

It is also the one server of the cluster `city`, of one shard: Distributed tables work as on any.
What needs Keeper can't be had: ON CLUSTER and Replicated are taken out of a statement.
"""

import base64
import contextlib
import email
import email.policy
import gzip
import json
import os
import re
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import chdb
import lz4.frame

# What the interface takes for itself; anything else without param_ is a setting.
_OF_THE_INTERFACE = {
    "query", "database", "user", "password", "query_id", "session_id", "session_timeout",
    "session_check", "wait_end_of_query", "buffer_size", "compress", "decompress", "quota_key",
    "client_protocol_version", "default_format", "role",
}  # fmt: skip
_INSERT = re.compile(rb"\s*(INSERT\s+INTO\s+[^\n]+?)\s+FORMAT\s+(\w+)[ \t]*(?:\n|$)", re.I)
_FORMAT = re.compile(rb"\bFORMAT\s+(\w+)\s*;?\s*$", re.I)
_NEEDS_KEEPER = re.compile(rb"\bON CLUSTER '\w+'|\bReplicated(?=\w*MergeTree)")
_CLUSTER = """<clickhouse><tcp_port>9000</tcp_port><remote_servers><city><shard>
<internal_replication>true</internal_replication>
<replica><host>127.0.0.1</host><port>9000</port></replica>
</shard></city></remote_servers></clickhouse>"""
_CODE = re.compile(r"Code: (\d+)")
# http_max_field_value_size, bytes. A server reads it from its own default profile, before it knows
# the user and the request's settings.
_LONGEST_FIELD = 131_072
_STATUS = {"516": 403, "497": 403, "60": 404, "81": 404, "62": 400}
_PACK = {
    "lz4": lz4.frame.compress,
    "gzip": lambda data: gzip.compress(data, 1),
}
_UNPACK = {
    "lz4": lz4.frame.decompress,
    "gzip": gzip.decompress,
}


class RefusedError(Exception):
    """An error with a ClickHouse code."""


class Request(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    server: "Front"

    def do_GET(self) -> None:
        """Whether it is there. Statements come by POST: GET is for reading only."""
        if urlsplit(self.path).path == "/ping":
            self._send(200, b"Ok.\n", {})
        else:
            self._send(501, b"this front takes statements by POST\n", {})

    def do_POST(self) -> None:
        """A statement."""
        query_id = str(uuid.uuid4())
        headers = {"X-ClickHouse-Query-Id": query_id, "X-ClickHouse-Timezone": "UTC"}
        body = self._body()
        try:
            self._check_user()
            time.sleep(self.server.slow)
            if self.server.refuses:
                raise RefusedError(f"Code: {self.server.refuses}. DB::Exception: as it was told")
            asked = _fields(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
            query_id = asked.get("query_id", query_id)
            if self.headers.get_content_type() == "multipart/form-data":
                asked.update(self._form(body))
                body = b""
            result, format_ = self.server.run(asked, body)
        except (RefusedError, RuntimeError) as error:
            text = str(error)
            found = _CODE.search(text)
            code = found[1] if found else "1002"
            headers["X-ClickHouse-Exception-Code"] = code
            if isinstance(error, RuntimeError):
                text = text[text.find("Code:") :].strip()
            text = f"{text} (version 0.0.0.0 (front))\n"
            self._send(_STATUS.get(code, 500), text.encode(), headers)
            return
        summary = {"read_rows": str(result.rows_read()), "written_rows": "0"}
        headers["X-ClickHouse-Summary"] = json.dumps(summary)
        data = result.bytes() or b""
        if format_ or data:
            headers["X-ClickHouse-Format"] = format_ or "TabSeparated"
        accepted = [e.strip() for e in self.headers.get("Accept-Encoding", "").split(",")]
        if asked.get("enable_http_compression") == "1":
            for encoding in accepted:
                if encoding in _PACK:
                    data = _PACK[encoding](data)
                    headers["Content-Encoding"] = encoding
                    break
        self._send(200, data, headers)

    def _check_user(self) -> None:
        scheme, _, value = self.headers.get("Authorization", "").partition(" ")
        with contextlib.suppress(ValueError):
            if scheme == "Basic" and base64.b64decode(value).decode() == self.server.user:
                return
        raise RefusedError(
            "Code: 516. DB::Exception: Authentication failed: password is incorrect, or there is "
            "no user with such name. (AUTHENTICATION_FAILED)"
        )

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            pieces = []
            while size := int(self.rfile.readline(), 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            body = b"".join(pieces)
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        encoding = self.headers.get("Content-Encoding")
        return _UNPACK[encoding](body) if encoding else body

    def _form(self, body: bytes) -> dict[str, str]:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        form = email.message_from_bytes(head + body, policy=email.policy.HTTP)
        return _fields(
            (
                str(part.get_param("name", header="Content-Disposition")),
                part.get_payload(decode=True).decode(),
            )
            for part in form.iter_parts()
        )

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        # In one piece: the answer's head and body must not wait for each other on the way.
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self._headers_buffer.append(b"\r\n" + data)  # type: ignore[attr-defined]
        self.flush_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Says nothing."""


class Front(ThreadingHTTPServer):
    """The engine and its user. A handle a request: settings and databases never mix."""

    daemon_threads = True

    def __init__(self, folder: str, port: int, user: str) -> None:
        super().__init__(("127.0.0.1", port), Request)
        with tempfile.NamedTemporaryFile("w", suffix=".xml", delete=False) as file:
            file.write(_CLUSTER)
        folder = f"{folder}?config-file={file.name}"
        self.user = user
        self.slow = 0.0
        self.refuses = 0
        self._folder = folder
        self._kept = chdb.connect(folder)
        Path(file.name).unlink()

    def run(self, asked: dict[str, str], body: bytes) -> tuple[Any, str]:
        """The result of a statement and its format, if it names one. RuntimeError as refused."""
        text = asked.get("query", "").encode()
        insert = _INSERT.match(text or body)
        data = b""
        if insert:
            data = body if text else body[insert.end() :]
        else:
            text = text + b"\n" + body if text and body else text or body
        text = _NEEDS_KEEPER.sub(b"", text)
        settings = {
            k: v
            for k, v in asked.items()
            if not k.startswith("param_") and k not in _OF_THE_INTERFACE
        }
        parameters = {k[6:]: v for k, v in asked.items() if k.startswith("param_")}
        format_ = _FORMAT.search(text)
        handle = chdb.connect(self._folder)
        try:
            if settings:
                pairs = ", ".join(f"{k} = {_quoted(v)}" for k, v in settings.items())
                handle.query(f"SET {pairs}")
            if "database" in asked:
                handle.query(f"USE `{asked['database']}`")
            if not insert:
                result = handle.query(
                    text.decode(), asked.get("default_format", "TabSeparated"), params=parameters
                )
                return result, format_[1].decode() if format_ else ""
            with tempfile.NamedTemporaryFile() as file:
                file.write(data)
                file.flush()
                statement = (
                    f"{insert[1].decode()} FROM INFILE {_quoted(file.name)} "
                    f"FORMAT {insert[2].decode()}"
                )
                return handle.query(statement, "TabSeparated", params=parameters), ""
        finally:
            handle.close()


def _fields(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    fields = dict(pairs)
    if any(len(value.encode()) > _LONGEST_FIELD for value in fields.values()):
        raise RefusedError(
            "Poco::Exception. Code: 1000, e.code() = 0, HTML Form Exception: Field value too long"
        )
    return fields


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def main() -> None:
    """The command line."""
    folder, *rest = sys.argv[1:]
    front = Front(folder, int(rest[0]) if rest else 0, os.environ["FRONT_USER"])
    threading.Thread(target=front.serve_forever, daemon=True).start()
    print(front.server_address[1], flush=True)
    for line in sys.stdin:
        word, _, number = line.strip().partition(" ")
        front.slow = float(number) if word == "slow" else 0.0
        front.refuses = int(number) if word == "refuse" else 0
    os._exit(0)


if __name__ == "__main__":
    main()
