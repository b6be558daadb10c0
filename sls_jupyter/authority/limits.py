"""How often somebody may ask: token buckets in this process's memory, bounded in number.

A bucket fills at a steady rate and holds so much at most; each call takes one. What is kept of somebody who is
forgotten because others came is their having asked: a newcomer's bucket is full.
"""

from __future__ import annotations

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from sls_jupyter.errors import TooManyRequests

DID_LIMIT = (50.0, 500.0)  # calls a second, and at once, of one DID that is not the owner
ADDRESS_LIMIT = (300.0, 3000.0)  # of one address; several people and their groups can stand behind it
MAX_BUCKETS = 10_000  # kept at a time; the one that was used longest ago goes first


class Buckets:
    """One token bucket for each key.

    Args:
        rate: tokens a second that come back, > 0.
        burst: tokens of a full bucket, >= 1.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        rate: float,
        burst: float,
        *,
        at_most: int = MAX_BUCKETS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate, self._burst, self._at_most, self._clock = rate, burst, at_most, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key -> (tokens, when)
        self._lock = threading.Lock()

    def take(self, key: str) -> None:
        """Take one token.

        Raises:
            TooManyRequests: there is none; with the seconds until there is one.
        """
        with self._lock:
            now = self._clock()
            tokens, then = self._buckets.pop(key, (self._burst, now))
            tokens = min(self._burst, tokens + (now - then) * self._rate)
            enough = tokens >= 1
            self._buckets[key] = (tokens - 1 if enough else tokens, now)
            while len(self._buckets) > self._at_most:
                self._buckets.popitem(last=False)
        if not enough:
            seconds = max(1, math.ceil((1 - tokens) / self._rate))
            raise TooManyRequests(
                "You ask too often.",
                expected=f"{self._rate:g} calls a second in the long run, {self._burst:g} at once",
                hint=f"Try again in {seconds} s.",
                detail={"retry_after": seconds},
            )

    def __len__(self) -> int:
        return len(self._buckets)


def by_address() -> Callable[[str, str, str], None]:
    """A :data:`sls_jupyter.authority.guard.Admit` that counts the calls of each network, whatever they ask."""
    buckets = Buckets(*ADDRESS_LIMIT)
    return lambda address, _method, _path: buckets.take(network_of(address))


def network_of(address: str) -> str:
    """Whose calls are counted together: an IPv4 address, or the /64 that one caller has of IPv6 (RFC 6177)."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    mapped = found.ipv4_mapped
    return str(mapped if mapped is not None else ipaddress.ip_network((int(found) >> 64 << 64, 64)))
