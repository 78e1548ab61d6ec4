"""What takes long to redact is done off the event loop; whatever it is made of, its cost has a bound."""

import asyncio
import threading

import pytest

from gateway.exchange import redacting
from gateway.model import Item, Json, JsonObject
from gateway.policy.duty import Redaction
from gateway.policy.redact import Hit, Redacted, Redactor, compile_redactions
from gateway.policy.schema_check import TakesLong, compiled
from gateway.wire import json

KEY = b"0123456789abcdef0123456789abcdef"
CARD = r"\p{Nd}(?:[\p{Zs}\p{Pd}]{0,2}\p{Nd}){11,}"


def redactor(target: str = "result") -> Redactor:
    duty = Redaction("org/r", "c", target, None, CARD, None, "replace", "#", None, "luhn")  # type: ignore[arg-type]
    return compile_redactions([duty], KEY)


def plain(target: str = "result") -> Redactor:
    duty = Redaction("org/r", "c", target, None, "secret", None, "replace", "#", None)  # type: ignore[arg-type]
    return compile_redactions([duty], KEY)


def where(structured: Json, size_bytes: int, by: Redactor | None = None) -> set[bool]:
    """Whether the event loop's own thread has redacted a result with this; told by whoever is asked about its schema."""
    seen: set[bool] = set()

    async def main() -> None:
        own = threading.get_ident()

        class Fits:
            def valid(self, value: Json) -> bool:
                seen.add(threading.get_ident() == own)
                return True

            prompt = valid

        result: JsonObject = {"content": [], "structuredContent": structured}
        await asyncio.wait_for(redacting.result(asyncio.Semaphore(1), by or redactor(), result, Fits(), size_bytes), 20)

    asyncio.run(main())
    return seen


def test_a_small_result_is_redacted_on_the_event_loop() -> None:
    assert where({"card": "4111111111111111"}, 60) == {True}


def test_a_large_result_is_redacted_in_a_thread() -> None:
    assert where({"card": "4111111111111111"}, redacting.LOOP_BYTES + 1) == {False}


def test_a_small_result_that_takes_long_is_redacted_in_a_thread() -> None:
    assert where({"card": "4 1 " * 5_000}, 20_000) == {True, False}  # begun here, done there


def test_a_small_result_whose_schema_takes_long_is_judged_in_a_thread() -> None:
    schema: JsonObject = {"properties": {"n": {"items": {"anyOf": [{"const": n} for n in range(20)]}}}}
    result: JsonObject = {"content": [], "structuredContent": {"n": [19] * 500, "card": "4111111111111111"}}

    async def main() -> None:
        turns, fits = asyncio.Semaphore(1), compiled(schema)
        assert fits.problem is None
        with pytest.raises(TakesLong):
            fits.prompt(result["structuredContent"])
        done = await asyncio.wait_for(redacting.result(turns, redactor(), result, fits, 2_000), 20)
        assert (done.fits, done.value["structuredContent"]) == (True, {"n": [19] * 500, "card": "#"})

    asyncio.run(main())


def test_a_result_in_which_a_plain_pattern_is_found_a_thousand_times_is_redacted_once_and_on_the_event_loop() -> None:
    text = "All work and no play makes a secret benchmark. " * 1_112
    assert where({"text": text}, len(text), plain()) == {True}


def test_a_result_that_takes_long_comes_out_as_it_would_at_once() -> None:
    result: JsonObject = {"content": [{"type": "text", "text": "4111111111111112 " * 1_500 + "4111 1111 1111 1111"}]}

    async def main() -> None:
        turns = asyncio.Semaphore(1)
        done = await asyncio.wait_for(redacting.result(turns, redactor(), result, None, 30_000), 20)
        assert done == redactor().result(result)
        assert done.value == {"content": [{"type": "text", "text": "4111111111111112 " * 1_500 + "#"}]}

    asyncio.run(main())


def test_the_event_loop_goes_on_while_a_result_is_redacted() -> None:
    result: JsonObject = {"content": [{"type": "text", "text": "4 1 " * 5_000}] * 50}

    async def main() -> int:
        work = asyncio.ensure_future(redacting.result(asyncio.Semaphore(1), redactor(), result, None, 1_000_000))
        turns = 0
        while not work.done():
            await asyncio.sleep(0)
            turns += 1
        return turns

    assert asyncio.run(main()) > 10


def test_arguments_that_are_too_much_say_so() -> None:
    async def main() -> None:
        value: JsonObject = {"note": ["4 1 " * 5_000] * 50}
        done = await asyncio.wait_for(redacting.arguments(asyncio.Semaphore(1), redactor("arguments"), value), 20)
        assert done.spent

    asyncio.run(main())


def described(number: int, text: str) -> Item:
    definition: JsonObject = {"name": f"t{number}", "description": text, "inputSchema": {"type": "object"}}
    return Item("crm", "tool", f"t{number}", f"crm__t{number}", f"t{number}", definition, "", modern=json.encode(definition))


def test_definitions_of_a_list_are_redacted_each_by_its_own_redactor() -> None:
    items = [described(0, "pay with 4111111111111111"), described(1, "a secret")]

    async def main() -> list[Redacted]:
        owed = [(redactor("item"), items[0]), (plain("item"), items[1])]
        return await redacting.items(asyncio.Semaphore(1), owed)

    assert asyncio.run(main()) == [
        Redacted({**items[0].definition, "description": "pay with #"}, (Hit("org/r", "c", 1),)),
        Redacted({**items[1].definition, "description": "a #"}, (Hit("org/r", "c", 1),)),
    ]


def test_the_event_loop_goes_on_while_a_list_is_redacted_whose_definitions_together_take_a_bounded_time() -> None:
    heavy = redactor("item")
    owed = [(heavy, described(number, "4 1 " * 5_000)) for number in range(40)]

    async def main() -> tuple[int, list[Redacted]]:
        work = asyncio.ensure_future(redacting.items(asyncio.Semaphore(1), owed))
        turns = 0
        while not work.done():
            await asyncio.sleep(0)
            turns += 1
        return turns, work.result()

    turns, outcomes = asyncio.run(main())
    assert turns > 10
    whole = heavy.item(dict(owed[0][1].definition)).steps
    assert sum(outcome.steps for outcome in outcomes) < redacting.LIST_STEPS + 40 * 10
    assert [outcome.spent for outcome in outcomes] == [number >= redacting.LIST_STEPS // whole for number in range(40)]
    assert outcomes[-1].value == {"name": "t39", "inputSchema": {"type": "object"}}, "nobody has looked at its description"
