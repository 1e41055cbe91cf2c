"""Requests that a browser makes for another site's page: refused where the browser's cookie alone would let them in.

A browser says where a request comes from in Sec-Fetch-Site and Origin, which no page can write itself. What says
neither is no browser of today, and has no use for a cookie. Programs send a token, which no other site's page has, and
are not asked.
Source: OWASP, Cross-Site Request Forgery Prevention, Fetch Metadata headers; RFC 6454, section 7.
"""

from typing import Final, NoReturn
from urllib.parse import urlsplit

from flask import request

from ledger.refusal import Code, Refusal
from ledger.wording import say

SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")


def check_same_site() -> None:
    """Refuse a request that a page of another site may have made, unless its method changes nothing.

    Errors: Refusal (cross_site_request).
    """
    if request.method not in SAFE_METHODS and not _is_of_our_own():
        _refuse()


def check_recording_link() -> None:
    """Refuse what is read by a link, but recorded for too, to a session that a page of another site sends there.

    Errors: Refusal (cross_site_request).
    """
    by_session = "Authorization" not in request.headers
    if by_session and _says_where_from() and not _is_of_our_own():
        _refuse()


def _refuse() -> NoReturn:
    raise Refusal.of(
        Code.cross_site_request,
        say("the request does not come from a page of this service: with a session, only those may ask for this"),
    )


def _says_where_from() -> bool:
    return "Sec-Fetch-Site" in request.headers or "Origin" in request.headers


def _is_of_our_own() -> bool:
    if not _says_where_from():
        return False
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    return site in (None, "same-origin", "none") and (origin is None or _is_our_origin(origin))


def _is_our_origin(origin: str) -> bool:
    """Compare an origin with the host that is asked for: a proxy that ends TLS leaves that as it is."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    schemes = ("https",) if request.is_secure else ("https", "http")
    return parts.scheme in schemes and request.host != "" and parts.netloc.lower() == request.host.lower()
