"""What one message of a backend may hold before anything of it is built."""

import json
from typing import Any

import pytest

from gateway.adapters.backends.rpc import MAX_MEMBERS, decode
from gateway.errors import BackendFailed


def answer(result: bytes) -> bytes:
    return b'{"jsonrpc":"2.0","id":1,"result":' + result + b"}"


@pytest.mark.parametrize("member", [b"[],", b"{},", b"1,", b'{"a":1},'])
def test_a_message_with_more_members_than_any_result_needs_is_too_large(member: bytes) -> None:
    with pytest.raises(BackendFailed, match=f"more than {MAX_MEMBERS} members") as failed:
        decode(answer(b'{"x":[' + member * MAX_MEMBERS + b"0]}"))
    assert (failed.value.cause, failed.value.sent) == ("too_large", True)


def test_a_list_of_five_thousand_tools_of_a_kilobyte_is_read() -> None:
    properties = {f"argument_{number}": {"type": "string", "description": "what this is about"} for number in range(8)}
    schema: Any = {"type": "object", "properties": properties, "required": list(properties)}
    tools = [{"name": f"tool_{number}", "description": "d" * 250, "inputSchema": schema} for number in range(5000)]
    message = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}}).encode()
    assert len(message) > 5000 * 1000
    assert decode(message) == json.loads(message)


def test_a_text_full_of_commas_and_brackets_is_one_member() -> None:
    text = "[{,}]" * MAX_MEMBERS
    message = answer(b'{"content":[{"type":"text","text":"%b"}]}' % text.encode())
    content = [{"type": "text", "text": text}]
    assert decode(message) == {"jsonrpc": "2.0", "id": 1, "result": {"content": content}}
