"""Where a cluster is, as one line: `kv://host1:7401,host2:7401/carts?consistency=leader&timeout=2s`."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from kvstore.client.options import Options, flag_of
from kvstore.core.errors import InvalidRequest, NotYetAvailable

PORT_DEFAULT = 7401
URL_DEFAULT = f"kv://127.0.0.1:{PORT_DEFAULT}"
KEYSPACE_DEFAULT = "default"
_SETTINGS = ("consistency", "acks", "timeout", "max_staleness", "read", "write", "sloppy")
_FORM = f"expected kv://HOST:PORT[,HOST:PORT…]/[KEYSPACE][?{'=…&'.join(_SETTINGS)}=…]"
OPTIONS_DEFAULT = Options()


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed URL: whom to ask first, which keyspace, and with which options."""

    endpoints: tuple[str, ...]
    keyspace: str = KEYSPACE_DEFAULT
    options: Options = OPTIONS_DEFAULT

    def __str__(self) -> str:
        path = "/" if self.keyspace == KEYSPACE_DEFAULT else f"/{self.keyspace}"
        return f"kv://{','.join(self.endpoints)}{path}"


def parse_url(url: str, options: Options = OPTIONS_DEFAULT) -> Target:
    """The target a URL names; what it does not say is taken from `options`. Raises InvalidRequest.

    >>> parse_url("kv://10.0.0.1,10.0.0.2:7402/?timeout=2s").endpoints
    ('10.0.0.1:7401', '10.0.0.2:7402')
    """
    if not isinstance(url, str):
        raise InvalidRequest(f"a URL must be text, got {type(url).__name__}; {_FORM}")
    parts = urlsplit(url if "://" in url else f"kv://{url}")
    if parts.scheme == "kvs":
        raise NotYetAvailable("TLS (kvs://) is not yet available; use kv:// on a network you trust")
    if parts.scheme != "kv":
        raise InvalidRequest(f"{url!r}: the scheme is {parts.scheme!r}; {_FORM}")
    if "@" in parts.netloc:
        raise InvalidRequest("a kv:// URL carries no user name or password; leave out everything up to the @")
    endpoints = tuple(dict.fromkeys(endpoint_of(part) for part in parts.netloc.split(",") if part.strip()))
    if not endpoints:
        raise InvalidRequest(f"{url!r} names no host; {_FORM}")
    keyspace = unquote(parts.path.strip("/")) or KEYSPACE_DEFAULT
    return Target(endpoints, keyspace, _options(url, parts.query, options))


def endpoint_of(text: str) -> str:
    """`host:port` from a host with or without port; IPv6 in brackets. Raises InvalidRequest."""
    text = text.strip()
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(PORT_DEFAULT)
    if not host or (":" in host and not host.startswith("[")) or any(c in host for c in " /?#"):
        raise InvalidRequest(f"{text!r} is not HOST or HOST:PORT (IPv6 goes in brackets: [::1]:{PORT_DEFAULT})")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise InvalidRequest(f"{text!r}: the port must be a number from 1 to 65535")
    return f"{host}:{int(port)}"


def _options(url: str, query: str, options: Options) -> Options:
    settings = dict(parse_qsl(query, keep_blank_values=True))
    for name in settings:
        if name not in _SETTINGS:
            raise InvalidRequest(f"{url!r}: there is no setting {name!r}; known: {', '.join(_SETTINGS)}")
    return options.changed(
        consistency=settings.get("consistency"),
        acks=settings.get("acks"),
        timeout=settings.get("timeout"),
        max_staleness=settings.get("max_staleness"),
        read=settings.get("read"),
        write=settings.get("write"),
        sloppy=flag_of(settings["sloppy"], "sloppy") if "sloppy" in settings else None,
    )
