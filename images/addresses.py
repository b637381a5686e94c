"""Which network addresses a download may connect to."""

import ipaddress
import socket

from .errors import FetchError

_GLOBAL_V6 = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
SocketAddress = tuple[str, int] | tuple[str, int, int, int]


def resolve(host: str, port: int, allow_private: bool) -> list[SocketAddress]:
    """The addresses of a host that may be connected to.

    They are to be connected to as they are: a name that is resolved again may give another address. The resolver also
    turns every way to write an IPv4 address (0x7f.1, 2130706433, 0177.0.0.1) into the address, which is then judged.

    Raises:
        FetchError: ``dns_failure``, or ``refused_address`` where no address may be connected to.
    """
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise FetchError("dns_failure", f"{host}: {error}") from None
    addresses: list[SocketAddress] = [info[4] for info in infos]  # type: ignore[misc]
    if allow_private:
        return addresses
    allowed = [address for address in addresses if is_public(ipaddress.ip_address(address[0].partition("%")[0]))]
    if not allowed:
        shown = ", ".join(sorted({str(address[0]) for address in addresses}))
        raise FetchError("refused_address", f"{host} is {shown}, which is not on the public internet")
    return allowed


def is_public(address: Address) -> bool:
    """Whether the address is one of the public internet: not private, shared, loopback, link-local, multicast, reserved
    or for documentation; nor an IPv6 address by which such an IPv4 address is reached."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address not in _GLOBAL_V6:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved
