"""Where messages may go: addresses that anybody on the internet can reach, unless the operator allows others.

Whoever registers a webhook has this service make requests in its name, from inside its network. So a URL is read strictly, its
name is resolved once for every attempt, and if one of the addresses is private, or this host's own, the whole is refused. What is
connected to is one of the very addresses that were checked: a name that resolves otherwise a moment later gains nothing.
"""

import re
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from app.errors import WebhookUrlError

Address = IPv4Address | IPv6Address
Networks = Sequence[IPv4Network | IPv6Network]
Resolver = Callable[[str, int], list[str]]

MOST_CHARACTERS = 2000
_PRINTABLE = re.compile(r"[!-~]+")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_URL_REST = re.compile(
    r"(\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>[^]\[/?:]+))(:(?P<port>[0-9]{1,5}))?(?P<path>/[^?]*)?(?P<query>\?.*)?"
)
_PRIVILEGED_PORTS = (443, 80)
_FIRST_UNPRIVILEGED_PORT = 1024
_HOST_ADVICE = "Use a name, or an address like 93.184.216.34 or [2606:2800:220:1::1]."

# Written out, since what `ipaddress` calls global differs between releases of Python. From the IANA registries of
# special-purpose addresses; the last of the first kind is where a large cloud answers its guests.
_SPECIAL_V4 = tuple(
    IPv4Network(each)
    for each in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32"),
    )
)
_UNICAST_V6 = IPv6Network("2000::/3")
_SPECIAL_V6 = tuple(
    IPv6Network(each)
    for each in (
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
    )  # Teredo is in the first, 6to4 the third
)
_NAT64 = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True)
class Endpoint:
    """A URL taken apart: whom to ask for its address, whom to connect to and what to ask for there."""

    is_secure: bool
    host: str  # a name, or an address without brackets
    port: int
    target: str  # path and query

    @property
    def authority(self) -> str:
        """The value of the header `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _usual_port(self.is_secure) else f"{host}:{self.port}"


def read(url: str) -> Endpoint:
    """Take a URL apart that means the same to everybody.

    Raises: WebhookUrlError.
    """
    if len(url) > MOST_CHARACTERS or not _PRINTABLE.fullmatch(url) or "\\" in url:
        raise _refused(
            f"The URL is empty, has more than {MOST_CHARACTERS} characters, or some that no URL has.",
            "Encode others than printable ASCII characters: a name as punycode, a path by percent signs.",
        )
    scheme, _, rest = url.partition("://")
    is_secure = scheme.lower() == "https"
    if not is_secure and scheme.lower() != "http":
        raise _refused("The URL is neither https://… nor http://….", "Use https.")
    if "@" in re.split("[/?]", rest)[0] or "#" in rest:
        raise _refused(
            "The URL holds a user name, a password or a fragment.",
            "Leave them out: messages are signed, which proves more than a password.",
        )
    parts = _URL_REST.fullmatch(rest)
    if parts is None:
        raise _refused("The URL's host or port cannot be read.", "Use the form https://host:port/path?query.")
    port = int(parts["port"] or _usual_port(is_secure))
    if port not in _PRIVILEGED_PORTS and not _FIRST_UNPRIVILEGED_PORT <= port < 1 << 16:
        raise _refused(f"Nothing is sent to the port {port}.", "Use 443, 80, or one from 1024 to 65535.")
    host = _usual_ipv6(parts["ipv6"]) if parts["ipv6"] else _usual_name(parts["name"].lower())
    path, query = parts["path"] or "/", parts["query"] or ""
    return Endpoint(is_secure, host, port, path + query)


def check(url: str, allowed: Networks) -> None:
    """Refuse a URL of which it is known already that nothing will be sent to it; no name server is asked.

    Raises: WebhookUrlError.
    """
    endpoint = read(url)
    with suppress(ValueError):
        _check(endpoint, [ip_address(endpoint.host)], allowed)


def resolve(endpoint: Endpoint, allowed: Networks, resolver: Resolver | None = None) -> list[Address]:
    """Every address of the endpoint's host, all of them checked; connect to these and ask nobody again.

    Raises: WebhookUrlError.
    """
    try:
        found = (resolver or _ask_system)(endpoint.host, endpoint.port)
    except (OSError, UnicodeError):
        found = []
    addresses = list(dict.fromkeys(ip_address(each) for each in found))
    _check(endpoint, addresses, allowed)
    return addresses


def is_public(address: Address) -> bool:
    """Whether this is one host that the whole internet can reach."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:  # what a network without IPv4 makes of an IPv4 address
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        return address in _UNICAST_V6 and not any(address in network for network in _SPECIAL_V6)
    return not any(address in network for network in _SPECIAL_V4)


def is_own(address: Address) -> bool:
    """Whether the address is one of this host's: what listens there may trust whoever comes from the host itself."""
    family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


def _check(endpoint: Endpoint, addresses: list[Address], allowed: Networks) -> None:
    # One refusal for all: whoever registers webhooks learns nothing about the names of this network.
    if not addresses or not all(_is_allowed(each, allowed) for each in addresses):
        raise _refused(
            f"{endpoint.host} has no address, or one that is private or reserved.",
            "Use an address that the internet can reach; the operator may allow others (WEBHOOK_NETWORKS).",
        )


def _is_allowed(address: Address, allowed: Networks) -> bool:
    return any(address in network for network in allowed) or (is_public(address) and not is_own(address))


def _usual_port(is_secure: bool) -> int:
    return 443 if is_secure else 80


def _usual_ipv6(given: str) -> str:
    try:
        return str(IPv6Address(given))
    except ValueError:
        raise _refused(f"[{given}] is no IPv6 address.", _HOST_ADVICE) from None


def _usual_name(given: str) -> str:
    """A name, or an IPv4 address in its one usual spelling."""
    labels = given.split(".")
    if len(given) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _refused(f"{given!r} is no host's name.", _HOST_ADVICE)
    if _NUMBER.fullmatch(labels[-1]):  # no top-level domain: some programs take it for an IPv4 address
        try:
            return str(IPv4Address(given))
        except ValueError:
            raise _refused(
                f"{given!r} is an unusual spelling of an address, or none.", _HOST_ADVICE
            ) from None
    return given


def _ask_system(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(each[4][0]) for each in found]


def _refused(detail: str, advice: str) -> WebhookUrlError:
    return WebhookUrlError(detail, advice)
