"""A request ends when its client goes away, and by nothing else that the connection says."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from gateway.front.reading import Receive
from gateway.front.watching import Running, Watch

PATIENCE_S = 5.0
MORE = {"type": "http.request", "body": b"", "more_body": False}
GONE = {"type": "http.disconnect"}


class Connection:
    """The messages of one connection, as an ASGI server gives them."""

    def __init__(self, *messages: MutableMapping[str, Any]) -> None:
        self._left = list(messages)
        self.asked = 0
        self.drained = asyncio.Event()

    async def receive(self) -> MutableMapping[str, Any]:
        self.asked += 1
        if self._left:
            return self._left.pop(0)
        self.drained.set()
        nothing: asyncio.Future[MutableMapping[str, Any]] = asyncio.get_running_loop().create_future()
        return await nothing


async def running() -> Running:
    async def work() -> None:
        await asyncio.get_running_loop().create_future()

    return Running(asyncio.ensure_future(work()))


async def watched(receive: Receive) -> tuple[Running, Watch]:
    under_way = await running()
    return under_way, Watch(under_way, receive)


@pytest.mark.parametrize("messages", [[GONE], [MORE, MORE, GONE]])
def test_a_client_that_goes_away_cancels_its_request(messages: list[MutableMapping[str, Any]]) -> None:
    async def main() -> None:
        under_way, watch = await watched(Connection(*messages).receive)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(under_way.task, PATIENCE_S)
        assert under_way.cancelled
        watch.stop()

    asyncio.run(main())


def test_a_client_that_stays_cancels_nothing() -> None:
    async def main() -> None:
        connection = Connection(MORE)
        under_way, watch = await watched(connection.receive)
        await asyncio.wait_for(connection.drained.wait(), PATIENCE_S)
        watch.stop()
        assert (under_way.cancelled, under_way.task.cancelling()) == (False, 0)
        under_way.cancel()

    asyncio.run(main())


def test_a_request_that_ends_at_once_never_asks_the_connection() -> None:
    async def main() -> None:
        connection = Connection(GONE)
        under_way, watch = await watched(connection.receive)
        watch.stop()
        later = asyncio.Event()
        asyncio.get_running_loop().call_later(0.1, later.set)  # longer than a watch waits before it looks
        await asyncio.wait_for(later.wait(), PATIENCE_S)
        assert (connection.asked, under_way.cancelled) == (0, False)
        under_way.cancel()

    asyncio.run(main())


def test_a_request_is_cancelled_once_however_often_it_is_asked_to_end() -> None:
    async def main() -> None:
        under_way = await running()
        under_way.cancel()
        under_way.cancel()
        assert (under_way.cancelled, under_way.task.cancelling()) == (True, 1)

    asyncio.run(main())
