"""Where webhooks may go: one spelling for every address, and none that is private, whatever a name resolves to."""

import ipaddress
import socket

import pytest

from app.errors import WebhookUrlError
from app.webhooks import addresses
from app.webhooks.addresses import Endpoint, check, is_own, is_public, read, resolve

pytestmark = pytest.mark.requirement("A4")

PUBLIC = "93.184.216.34"
NAMES = {
    "public.test": [PUBLIC],
    "public6.test": ["2606:2800:220:1::1"],
    "dns64.test": ["64:ff9b::5db8:d822"],
    "localhost": ["127.0.0.1"],
    "localhost.localdomain": ["127.0.0.1"],
    "mixed.test": [PUBLIC, "10.0.0.1"],
    "mixed-the-other-way.test": ["fd00::1", PUBLIC],
    "metadata.test": ["169.254.169.254"],
    "azure.test": ["168.63.129.16"],
    "embedded.test": ["64:ff9b::a00:1"],
    "zone.test": ["fe80::1%lo"],
    "db": ["172.17.0.2"],
    "nothing.test": [],
}


def resolver(host: str, port: int) -> list[str]:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if host not in NAMES:
            raise OSError("no such host") from None
        return NAMES[host]
    return [host]


ALLOWED_URLS = {
    "https://public.test": Endpoint(True, "public.test", 443, "/"),
    "HTTPS://PUBLIC.Test/Path?q=A": Endpoint(True, "public.test", 443, "/Path?q=A"),
    "http://public.test:8080/a//b/../c": Endpoint(False, "public.test", 8080, "/a//b/../c"),
    "https://public.test?q": Endpoint(True, "public.test", 443, "/?q"),
    "https://public.test:65535/": Endpoint(True, "public.test", 65535, "/"),
    "https://public.test/@user?at=@": Endpoint(True, "public.test", 443, "/@user?at=@"),
    f"http://{PUBLIC}/": Endpoint(False, PUBLIC, 80, "/"),
    "https://[2606:2800:220:1::1]:8443/x": Endpoint(True, "2606:2800:220:1::1", 8443, "/x"),
    "https://[2606:2800:0220:0001:0:0:0:1]/": Endpoint(True, "2606:2800:220:1::1", 443, "/"),
    "https://public6.test/": Endpoint(True, "public6.test", 443, "/"),
    "https://dns64.test/": Endpoint(True, "dns64.test", 443, "/"),
}

REFUSED_URLS = [
    # no URL that everybody reads alike
    *("", "https://", "https:///path", "https://:443/", "public.test", "//public.test/", "https:public.test"),
    *(
        "https:/public.test",
        "https://public.test\\@10.0.0.1/",
        "https://public.test /",
        "https://public.test/\n",
    ),
    *("https://pub\tlic.test/", "https://public.test/\x00", "https://public.test/ü", "https://public.test:/"),
    *("https://public.test:x/", "https://public.test:-1/", "https://public.test:99999999/", "https://[::1/"),
    *("https://[::1]public.test/", "https://public.test[::1]/", "https://[public.test]/", "https://[]/"),
    *("https://public.test./", "https://public..test/", "https://.public.test/", "https://-public.test/"),
    *(
        "https://public%2etest/",
        "https://%31%32%37.0.0.1/",
        "https://public.test,10.0.0.1/",
        "https://p*c.test/",
    ),
    *(f"https://{'a' * 64}.test/", f"https://{'a.' * 127}test/", f"https://public.test/{'a' * 2000}"),
    # other schemes, credentials, fragments, ports of other services
    *("ftp://public.test/", "file:///etc/passwd", "gopher://public.test/", "javascript://public.test/"),
    *("unix://public.test/", "https+unix://public.test/", "http2://public.test/", "://public.test/"),
    *("https://user@public.test/", "https://user:word@public.test/", "https://public.test@10.0.0.1/"),
    *("https://10.0.0.1@public.test/", "https://@public.test/", "https://public.test/#there"),
    *(
        "http://public.test:0/",
        "http://public.test:22/",
        "http://public.test:25/",
        "http://public.test:65536/",
    ),
    # this host, in many spellings
    *(
        "http://127.0.0.1/",
        "http://127.1/",
        "http://127.0.1/",
        "http://127.255.255.254/",
        "http://2130706433/",
    ),
    *(
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://0X7F.1/",
        "http://0177.0.0.1/",
        "http://017700000001/",
    ),
    *("http://127.0.0.01/", "http://127.0.0.1.0/", "http://127.0.0.0x1/", "http://0/", "http://0.0.0.0/"),
    *("http://0x/", "http://1/", "http://256.256.256.256/", "http://public.test.1/", "http://4294967297/"),
    *("http://localhost/", "http://LOCALHOST:8080/", "http://localhost.localdomain/", "http://[::1]/"),
    *("http://[::]/", "http://[0:0:0:0:0:0:0:1]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/"),
    *("http://[::127.0.0.1]/", "http://[::ffff:0:127.0.0.1]/", "http://[64:ff9b::127.0.0.1]/"),
    *("http://[64:ff9b:1::127.0.0.1]/", "http://[2002:7f00:1::]/", "http://[2001:0:7f00:1::1]/"),
    "http://①②⑦.⓪.⓪.①/",
    "http://127。0。0。1/",
    # other hosts that the internet does not reach
    *("http://10.0.0.1/", "http://10.255.255.255/", "http://172.16.0.1/", "http://172.31.255.255/"),
    *("http://192.168.0.1/", "http://169.254.169.254/latest/meta-data/", "http://100.64.0.1/"),
    *("http://100.127.255.255/", "http://100.100.100.200/", "http://168.63.129.16/", "http://192.0.0.192/"),
    *("http://192.0.2.1/", "http://198.18.0.1/", "http://198.19.255.255/", "http://198.51.100.1/"),
    *("http://203.0.113.1/", "http://192.88.99.1/", "http://224.0.0.1/", "http://239.255.255.255/"),
    *("http://240.0.0.1/", "http://255.255.255.255/", "http://0.1.2.3/"),
    *("http://[fe80::1]/", "http://[fe80::1%25lo]/", "http://[fe80::1%lo]/", "http://[fc00::1]/"),
    *("http://[fd00:ec2::254]/", "http://[fec0::1]/", "http://[ff02::1]/", "http://[2001:db8::1]/"),
    *("http://[3fff::1]/", "http://[2002:a00:1::]/", "http://[64:ff9b::a00:1]/", "http://[100::1]/"),
    *("http://[2001:10::1]/", "http://[4000::1]/", "http://[::ffff:10.0.0.1]/"),
    # names that lead there, wholly or in part
    *(
        "http://mixed.test/",
        "http://mixed-the-other-way.test/",
        "http://metadata.test/",
        "http://azure.test/",
    ),
    *(
        "http://embedded.test/",
        "http://zone.test/",
        "http://db/",
        "http://nothing.test/",
        "http://unknown.test/",
    ),
]


@pytest.mark.parametrize("url", ALLOWED_URLS)
def test_public_address_is_read_and_resolved(url: str) -> None:
    endpoint = read(url)
    assert endpoint == ALLOWED_URLS[url]
    assert resolve(endpoint, (), resolver)


@pytest.mark.parametrize("url", REFUSED_URLS)
def test_everything_else_is_refused(url: str) -> None:
    with pytest.raises(WebhookUrlError) as refused:
        resolve(read(url), (), resolver)
    assert refused.value.advice


@pytest.mark.parametrize("url", REFUSED_URLS)
def test_what_can_be_refused_without_a_name_server_is(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but names: those are refused at every attempt."""

    def ask(*_: object, **__: object) -> None:
        raise AssertionError("asked")

    monkeypatch.setattr(socket, "getaddrinfo", ask)
    try:
        host = read(url).host
    except WebhookUrlError:
        host = "0.0.0.0"
    if host in NAMES or host == "unknown.test":
        check(url, ())
        return
    with pytest.raises(WebhookUrlError):
        check(url, ())


def test_addresses_of_this_host_are_its_own() -> None:
    for own in ("127.0.0.1", "127.9.9.9"):
        assert is_own(ipaddress.ip_address(own))
    for other in (PUBLIC, "2606:2800:220:1::1"):
        assert not is_own(ipaddress.ip_address(other))


def test_public_address_of_this_host_is_refused_unless_its_network_is_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stand-in: this machine's loopback passes for public."""
    monkeypatch.setattr(addresses, "is_public", lambda _: True)
    with pytest.raises(WebhookUrlError):
        resolve(read("http://own.test/"), (), lambda *_: ["127.0.0.1"])
    assert resolve(read("http://own.test/"), (), lambda *_: [PUBLIC])
    assert resolve(read("http://own.test/"), [ipaddress.ip_network("127.0.0.0/8")], lambda *_: ["127.0.0.1"])


def test_refusal_does_not_tell_whether_a_name_is_known_in_this_network() -> None:
    said = set()
    for name in ("db", "nothing.test", "unknown.test"):
        with pytest.raises(WebhookUrlError) as refused:
            resolve(read(f"http://{name}/"), (), resolver)
        said.add((refused.value.detail.replace(name, ""), refused.value.advice))
    assert len(said) == 1


def test_there_are_many_and_no_two_are_the_same() -> None:
    assert len(set(REFUSED_URLS)) == len(REFUSED_URLS) >= 60


def test_refusals_are_of_the_address_not_of_the_resolver() -> None:
    """With every network allowed the same private addresses pass, so it is their being private that is refused."""
    everywhere = [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]
    for url in ("http://10.0.0.1/", "http://[::1]/", "http://localhost/", "http://mixed.test/", "http://db/"):
        assert resolve(read(url), everywhere, resolver)


def test_allowed_network_is_allowed_and_no_other() -> None:
    allowed = [ipaddress.ip_network("10.0.0.0/24"), ipaddress.ip_network("fd00::/64")]
    for url in ("http://10.0.0.1/", "http://mixed.test/", "http://mixed-the-other-way.test/"):
        assert resolve(read(url), allowed, resolver)
    for url in ("http://10.0.1.1/", "http://[fd00:0:0:1::1]/", "http://127.0.0.1/"):
        with pytest.raises(WebhookUrlError):
            resolve(read(url), allowed, resolver)


@pytest.mark.parametrize("version", [4, 6])
def test_borders_of_what_is_private(version: int) -> None:
    """The last address before and the first behind a network are as public as their own networks are."""
    edges = {
        4: "9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 172.15.255.255 172.32.0.0 "
        "192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255 1.0.0.0",
        6: "2000:: 2001:200:: 2001:db7::1 2001:db9:: 2003:: 3ffe::1 3fff:1000::1",
    }
    assert [each for each in edges[version].split() if not is_public(ipaddress.ip_address(each))] == []


@pytest.mark.parametrize("constants", [ipaddress._IPv4Constants, ipaddress._IPv6Constants])
def test_nothing_is_public_that_python_calls_private(constants: type) -> None:
    """An independent opinion: the ends of every network in the tables of this Python."""
    for network in constants._private_networks:
        assert not is_public(network[0])
        assert not is_public(network[-1])


def test_host_header_names_the_port_only_where_it_is_unusual() -> None:
    urls = (
        "https://public.test/",
        "https://public.test:80/",
        "http://public.test:80/",
        "http://[2606::1]:8080/",
    )
    authorities = ["public.test", "public.test:80", "public.test", "[2606::1]:8080"]
    assert [read(url).authority for url in urls] == authorities
