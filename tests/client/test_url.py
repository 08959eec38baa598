"""kv:// URLs."""

import pytest

from kvstore.client.options import Acks, Consistency, Options, Quorum
from kvstore.client.url import parse_url
from kvstore.core.errors import ConsistencyNotSupported, InvalidRequest, NotYetAvailable


def test_endpoints_ports_keyspace_and_options() -> None:
    target = parse_url("kv://a,b:7402,[::1]:7403,[::2]/carts?consistency=leader&acks=all&timeout=500ms")
    assert target.endpoints == ("a:7401", "b:7402", "[::1]:7403", "[::2]:7401")
    assert target.keyspace == "carts"
    assert target.options == Options(Consistency.LEADER, Acks.ALL, 0.5)
    counted = parse_url("kv://a/?read=quorum&write=3&sloppy=no").options
    assert counted == Options(read=Quorum.QUORUM, write=3, sloppy=False)


def test_what_is_not_said_is_taken_from_the_options() -> None:
    options = Options(timeout_s=9)
    assert parse_url("kv://a/?acks=all", options).options == Options(acks=Acks.ALL, timeout_s=9)
    assert parse_url("kv://a").keyspace == "default"
    assert parse_url("a:7409").endpoints == ("a:7409",)
    assert parse_url("kv://a,a,b").endpoints == ("a:7401", "b:7401")


def test_a_target_is_written_as_its_url() -> None:
    assert str(parse_url("kv://a,b:1/carts?timeout=1s")) == "kv://a:7401,b:1/carts"


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("http://a", "scheme"),
        ("kv://", "no host"),
        ("kv://a:0", "port"),
        ("kv://a:99999", "port"),
        ("kv://a:x", "port"),
        ("kv://::1", "brackets"),
        ("kv://me:secret@a", "password"),
        ("kv://a/?color=red", "color"),
        ("kv://a/?timeout=soon", "duration"),
        ("kv://a/?read=0", "a number"),
        ("kv://a/?sloppy=maybe", "yes or no"),
        (7, "text"),
    ],
)
def test_what_is_no_url(url: object, word: str) -> None:
    with pytest.raises(InvalidRequest, match=word):
        parse_url(url)  # type: ignore[arg-type]


def test_a_password_is_not_repeated_in_the_error() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_url("kv://me:secret@a")
    assert "secret" not in str(caught.value)


def test_levels_of_other_stores_are_refused() -> None:
    with pytest.raises(ConsistencyNotSupported):
        parse_url("kv://a/?consistency=quorum")


def test_tls_is_not_pretended() -> None:
    with pytest.raises(NotYetAvailable):
        parse_url("kvs://a")
