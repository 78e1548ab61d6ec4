"""A static secret: shown as it is now, tried once more when it was just replaced, and never shown when it is gone."""

import logging
import os
from pathlib import Path

import pytest

from gateway.adapters.backends import HttpSpec
from gateway.adapters.credentials.secret import FileSecret, Fixed, Secret
from gateway.adapters.credentials.static import StaticCredential
from gateway.errors import BackendFailed
from tests.adapters.backends.scripted import Received, backends, done, failure, http, modern, run, scripted, text, tool_call

CALL = tool_call()


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def shown(credential: StaticCredential) -> dict[str, str]:
    async def main() -> dict[str, str]:
        return dict(await credential.headers(CALL))

    return run(main())


def test_a_secret_stands_in_the_header_that_the_settings_name() -> None:
    assert shown(StaticCredential(Fixed("s3cret"))) == {"Authorization": "Bearer s3cret"}
    assert shown(StaticCredential(Fixed("s3cret"), header="X-Api-Key", prefix="")) == {"X-Api-Key": "s3cret"}


@pytest.mark.parametrize("bad", ["", "two\nlines", "bell\a", "naïve"])
def test_a_secret_that_cannot_stand_in_a_header_is_refused_without_being_shown(bad: str) -> None:
    with pytest.raises(ValueError, match="empty, has a line break within, or is not ASCII") as refused:
        Fixed(bad)
    assert not bad or bad not in str(refused.value)


def test_a_file_is_read_again_when_it_changes_and_looked_at_once_a_second_at_most(tmp_path: Path) -> None:
    place, clock = tmp_path / "secret", Clock()
    place.write_text("one\n")

    async def main() -> None:
        secret = FileSecret(place, clock_s=clock)
        assert await secret.current() == "one"
        place.write_text("another\n")
        clock.now_s += 0.9
        assert await secret.current() == "one"
        clock.now_s += 0.2
        assert await secret.current() == "another"
        await secret.close()

    run(main())


def _emptied(place: Path) -> None:
    place.write_text("")


def _split(place: Path) -> None:
    place.write_text("one\ntwo")


def _binary(place: Path) -> None:
    place.write_bytes(b"\xff\xfe")


def _huge(place: Path) -> None:
    place.write_bytes(b"x" * 70_000)


def _pipe(place: Path) -> None:
    place.unlink()
    os.mkfifo(place)


@pytest.mark.parametrize("spoil", [Path.unlink, _emptied, _split, _binary, _huge, _pipe])
def test_a_file_that_is_of_no_use_leaves_nothing_to_show_until_it_is_mended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: "object"
) -> None:
    place, clock = tmp_path / "secret", Clock()
    place.write_text("s3cret")

    async def main() -> None:
        secret = FileSecret(place, clock_s=clock)
        assert await secret.current() == "s3cret"
        spoil(place)  # type: ignore[operator]
        clock.now_s += 1
        for _ in range(3):
            with pytest.raises(BackendFailed) as failed:
                await secret.current()
            assert (failed.value.cause, failed.value.sent) == ("credential", False)
            assert "s3cret" not in str(failed.value)
            clock.now_s += 1
        place.unlink(missing_ok=True)
        place.write_text("new")
        assert await secret.current() == "new"
        await secret.close()

    with caplog.at_level(logging.DEBUG):
        run(main())
    assert [each.levelname for each in caplog.records if each.name == "gateway.credentials"] == ["ERROR", "INFO"]
    assert "s3cret" not in caplog.text


def behind_a_door(accepted: set[str]):  # type: ignore[no-untyped-def]
    async def answer(received: Received) -> None:
        if received.headers.get("authorization", "").removeprefix("Bearer ") in accepted:
            await modern(done)(received)
        else:
            received.head(401, Content_Length="0", WWW_Authenticate='Bearer realm="theirs"')

    return answer


def specs(server: object, secret: Secret) -> HttpSpec:
    return http(server, credential=StaticCredential(secret))


def test_a_secret_that_was_replaced_behind_the_backends_back_is_tried_once_more(tmp_path: Path) -> None:
    place, clock = tmp_path / "secret", Clock()
    place.write_text("old")
    accepted = {"old"}

    async def main() -> None:
        async with (
            scripted(behind_a_door(accepted)) as server,
            backends(specs(server, FileSecret(place, clock_s=clock))) as behind,
        ):
            assert await text(behind, CALL) == "done"
            accepted.clear()
            accepted.add("new")
            place.write_text("new")
            assert await text(behind, CALL) == "done"  # the clock stands still: it was looked at because of the 401
            shown = [each.headers["authorization"] for each in server.of("tools/call")]
            assert shown == ["Bearer old", "Bearer old", "Bearer new"]

    run(main())


def test_a_secret_that_the_backend_refuses_is_sent_once_and_the_refusal_stays_here() -> None:
    async def main() -> None:
        async with scripted(behind_a_door(set())) as server, backends(specs(server, Fixed("s3cret"))) as behind:
            assert await failure(behind, CALL) == ("unauthorized", False)
            assert len(server.received) == 1

    run(main())


def test_without_its_secret_a_backend_gets_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        secret = FileSecret(tmp_path / "none")
        async with scripted(modern(done)) as server, backends(specs(server, secret)) as behind:
            assert await failure(behind, CALL) == ("credential", False)
            assert server.received == []

    run(main())
