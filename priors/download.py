"""Fetching a published weight file into the cache, only when asked to: ``$INVERSE_HOME/cache/<sha256>-<file>``.

The cache is looked up before the network. A download goes to a ``.part`` file beside its place, resumes where it was
cut (HTTP ``Range``), is renamed only once its sha256 is the card's, and is made by one process at a time.
``INVERSE_OFFLINE`` and ``HF_HUB_OFFLINE`` are honoured: then, and whenever the network fails, the message names the
file, its address, its sha256 and the command that takes a file carried here by hand.
"""

from __future__ import annotations

import http.client
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import IO

from inverse.errors import OutputError, PriorError
from inverse.priors.card import Card
from inverse.priors.header import digest
from inverse.priors.store import home
from inverse.storage.locks import hold

__all__ = ["cached", "fetch", "no_downloads", "offline"]

LOGGER = logging.getLogger("inverse")
_FORBIDDEN = ContextVar("forbidden", default=False)
_CHUNK = 2**20
_TRIES = 4
_TIMEOUT = 30.0


@contextmanager
def no_downloads() -> Iterator[None]:
    """What only looks (``inverse check``, ``--dry-run``) is offline."""
    token = _FORBIDDEN.set(True)
    try:
        yield
    finally:
        _FORBIDDEN.reset(token)


def offline() -> bool:
    """Whether INVERSE_OFFLINE or HF_HUB_OFFLINE is set, or nothing may be fetched now (`no_downloads`)."""
    if _FORBIDDEN.get():
        return True
    names = ("INVERSE_OFFLINE", "HF_HUB_OFFLINE")
    return any(os.environ.get(name, "").strip().lower() not in ("", "0", "no", "off", "false") for name in names)


def cached(card: Card) -> Path | None:
    """The card's published file, where it is in the cache and whole; one that was changed is removed."""
    place = _place(card)
    if not place.is_file():
        return None
    if digest(place) == str(card.sha256).lower():
        return place
    place.unlink()
    return None


def fetch(card: Card) -> Path:
    """The published file of a card with ``url``, ``weights`` and ``sha256``: from the cache, else from the network.

    Raises:
        PriorError: Offline, the server refuses, the connection keeps breaking, or what came is not the card's file.
        OutputError: The cache cannot be written to.
    """
    if not (card.url and card.weights and card.sha256):
        raise PriorError(f"prior '{card.name}': its card has no url, weights and sha256", "inverse prior add FILE")
    if (found := cached(card)) is not None:
        return found
    if offline():
        raise _by_hand(card, "offline (INVERSE_OFFLINE or HF_HUB_OFFLINE is set)")
    if not card.url.startswith(("https://", "http://")):
        raise PriorError(f"prior '{card.name}': url {card.url[:80]}; allowed: https:// or http://")
    place = _place(card)
    part = place.with_name(place.name + ".part")
    try:
        with hold(place.with_name(place.name + ".lock")):
            if (found := cached(card)) is not None:
                return found
            _download(card, part)
            if digest(part) != card.sha256.lower():
                part.unlink()
                raise _by_hand(card, "what the server sent has another sha256, and was deleted")
            part.replace(place)
    except OutputError as error:
        raise OutputError(error.message, "set INVERSE_HOME to a folder you may write to") from error
    except OSError as error:
        raise OutputError(
            f"{part}: cannot be written: {error.strerror or error}", "free some space, then run it again: it resumes"
        ) from error
    return place


def _place(card: Card) -> Path:
    return home() / "cache" / f"{str(card.sha256)[:16].lower()}-{card.weights}"


def _by_hand(card: Card, why: str) -> PriorError:
    size = f", {card.bytes:,} bytes" if card.bytes else ""
    return PriorError(
        f"prior '{card.name}': {why}; the file is {card.weights}{size}, sha256 {card.sha256}\n"
        f"to be had from {card.url}",
        f"get it on another machine, copy it here, then: inverse prior add {card.weights} --name {card.name}",
    )


def _download(card: Card, part: Path) -> None:
    """Bring the part file to its full length, resuming what is there and after each cut."""
    for attempt in range(_TRIES):
        try:
            if _attempt(card, part):
                return
            why = "the connection was cut"
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416 and part.exists():
                part.unlink()
                why = "the part file did not fit the server's"
                continue
            raise _by_hand(card, f"the server answered {error.code} {error.reason}") from error
        except urllib.error.URLError as error:
            raise _by_hand(card, f"no connection ({str(error.reason)[:80]})") from error
        time.sleep(0.2 * attempt)
    have = part.stat().st_size if part.exists() else 0
    raise _by_hand(card, f"{why} {_TRIES} times, {have:,} bytes are here, and running this again resumes")


def _attempt(card: Card, part: Path) -> bool:
    """Download from where the part file ends; False where the connection broke before the end."""
    have = part.stat().st_size if part.exists() else 0
    if card.bytes and have >= card.bytes:
        return True
    request = urllib.request.Request(str(card.url), headers={"User-Agent": "inverse"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except (ConnectionError, TimeoutError, http.client.HTTPException):
        return False
    with response:
        resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        start = have if resumed else 0
        length = response.headers.get("Content-Length")
        end = start + int(length) if length and length.isdigit() else None
        if response.headers.get_content_type() == "text/html":
            raise _by_hand(card, "the server sent a web page, which may want an answer in a browser")
        if card.bytes and end is not None and end != card.bytes:
            raise _by_hand(card, f"the server's file has {end:,} bytes")
        with part.open("r+b" if resumed else "wb") as file:
            file.seek(start)
            got = start + _copy(response, file, card, start)
            file.flush()
            os.fsync(file.fileno())
    return got == (card.bytes or end or got)


def _copy(response: http.client.HTTPResponse, file: IO[bytes], card: Card, start: int) -> int:
    """Copy until the end, the cut, or more than the card allows; returns the bytes copied."""
    copied, said = 0, time.monotonic()
    while True:
        try:
            chunk = response.read(_CHUNK)
        except (OSError, http.client.HTTPException):
            return copied
        if not chunk:
            return copied
        file.write(chunk)
        copied += len(chunk)
        if card.bytes and start + copied > card.bytes:
            file.truncate(0)
            raise _by_hand(card, f"the server sends more than {card.bytes:,} bytes")
        if time.monotonic() - said > 10:
            said = time.monotonic()
            whole = f" of {card.bytes / 1e6:,.0f}" if card.bytes else ""
            LOGGER.info("download     %s: %s%s MB", card.weights, f"{(start + copied) / 1e6:,.0f}", whole)
