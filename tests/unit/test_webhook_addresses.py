"""Where webhooks may be sent."""

import pytest

from ring.errors import InvalidRequest
from ring.rpc.webhooks import checked_url


@pytest.mark.parametrize(
    "url",
    [
        *("", "x", "ftp://h/x", "https://", "https:///x", "http://example.org/x", "https://h:0/x"),
        *("http://10.0.0.1/", "https://u:p@h/x", "https://u@h/x", "https://h/x#y", "https://h/ x"),
        *("https://h:99999/x", "https://h/\n", "https://ñ.example/", "https://h/" + "x" * 2048),
        *("http://127.0.0.1.example.org/", "http://localhost.example.org/", "https://[::1/"),
    ],
)
def test_where_nothing_is_sent(url: str) -> None:
    with pytest.raises(InvalidRequest):
        checked_url(url, plain_allowed=False)


@pytest.mark.parametrize(
    "url",
    [
        "https://h/x?y=z",
        "https://h:8443",
        "http://127.0.0.1:1/x",
        "http://[::1]/",
        "http://localhost/",
    ],
)
def test_where_may_be_sent(url: str) -> None:
    assert checked_url(url, plain_allowed=False) == url


def test_plain_http_goes_anywhere_on_an_insecure_server_alone() -> None:
    assert checked_url("http://10.0.0.1/", plain_allowed=True)
