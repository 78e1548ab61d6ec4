"""The keys that the gateway signs assertions with: of a file, of a folder, or made for this process alone.

Where there are several, the newest signs and all are published: a key is rotated by putting the new one beside the old, and
taking the old one away when what it signed has ended.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from gateway.adapters.credentials.credential import unavailable
from gateway.adapters.shared import Shared
from gateway.adapters.tasks import Tasks
from gateway.identity.private_keys import PrivateKey, SigningKey, key_set, read_keys, signing_key

log = logging.getLogger("gateway.credentials")

LOOK_S = 1.0
READ_S = 3.0
MAX_FILES = 32
MAX_FILE_BYTES = 64 * 1024
KEY_SET_HEADERS = {"content-type": "application/jwk-set+json", "cache-control": "public, max-age=60"}

Texts = tuple[tuple[str, str], ...]


class SigningKeys(Protocol):
    async def newest(self) -> SigningKey:
        """The key to sign with. Raises `BackendFailed("credential")`."""
        ...

    def document(self) -> tuple[int, Mapping[str, str], bytes]:
        """The public halves of all, to be served: status, headers, body."""
        ...

    async def close(self) -> None: ...


class FixedKeys:
    """Known from the start, the newest last. Raises `ValueError`."""

    def __init__(self, *keys: PrivateKey) -> None:
        self._keys = tuple(signing_key(each) for each in keys)
        self._document = _document(self._keys)

    @classmethod
    def ephemeral(cls) -> "FixedKeys":
        """A key of this process alone, which nobody knows after it has ended."""
        return cls(PrivateKey("ES256", generate_private_key(SECP256R1())))

    async def newest(self) -> SigningKey:
        return self._keys[-1]

    def document(self) -> tuple[int, Mapping[str, str], bytes]:
        return 200, KEY_SET_HEADERS, self._document

    async def close(self) -> None:
        return


class KeyFiles:
    """The keys in a file or a folder of files (*.pem), read again when something changes; looked at once a second at most."""

    def __init__(self, path: Path, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        """Raises `ValueError` or `OSError` when there is no key to sign with."""
        self._path = path
        self._clock_s = clock_s
        self._tasks = Tasks()
        self._looking: Shared[None] = Shared(self._tasks, "assertion keys")
        self._looked_s = clock_s()
        self._problem = ""
        self._texts = _texts(path)
        self._keys = _keys(self._texts)
        self._document = _document(self._keys)

    async def newest(self) -> SigningKey:
        if self._clock_s() - self._looked_s >= LOOK_S:
            await self._looking.run(self._look)
        if self._problem:
            raise unavailable(f"the assertion keys in {self._path}: {self._problem}")
        return self._keys[-1]

    def document(self) -> tuple[int, Mapping[str, str], bytes]:
        """As of the last look; a reader who meets an unknown key reads again."""
        if self._clock_s() - self._looked_s >= LOOK_S:
            self._tasks.spawn(self._looking.run(self._look), "assertion keys")
        return 200, KEY_SET_HEADERS, self._document

    async def close(self) -> None:
        await self._tasks.close()

    async def _look(self) -> None:
        problem = ""
        try:
            async with asyncio.timeout(READ_S):
                texts = await asyncio.to_thread(_texts, self._path)
            if texts != self._texts or self._problem:
                keys = _keys(texts)
                self._texts, self._keys, self._document = texts, keys, _document(keys)
        except TimeoutError:
            problem = "they could not be read in time"
        except OSError as error:
            problem = error.strerror or type(error).__name__
        except ValueError as error:
            problem = str(error)
        if problem and problem != self._problem:
            log.error("the assertion keys in %s cannot be used, so nothing is sent that needs one: %s", self._path, problem)
        self._problem = problem
        self._looked_s = self._clock_s()


def _texts(path: Path) -> Texts:
    """Name and text of each file, the oldest first. Raises `OSError` or `ValueError`."""
    files = sorted(path.glob("*.pem")) if path.is_dir() else [path]
    if len(files) > MAX_FILES:
        raise ValueError(f"there are more than {MAX_FILES} files")
    aged = sorted((file.stat().st_mtime_ns, str(file)) for file in files)
    texts = []
    for _, name in aged:
        file = Path(name)
        if not file.is_file():
            raise ValueError(f"{file.name} is not a regular file")
        if file.stat().st_size > MAX_FILE_BYTES:
            raise ValueError(f"{file.name} is larger than {MAX_FILE_BYTES} bytes")
        texts.append((name, file.read_text(encoding="ascii", errors="replace")))
    if not texts:
        raise ValueError("there is no file *.pem in it")
    return tuple(texts)


def _keys(texts: Texts) -> tuple[SigningKey, ...]:
    return tuple(signing_key(each) for _, text in texts for each in read_keys(text))


def _document(keys: tuple[SigningKey, ...]) -> bytes:
    return json.dumps(key_set(keys)).encode()
