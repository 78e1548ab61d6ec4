"""What the conformance suite demands by name: definitions, and the answers that never vary."""

from typing import Any

NO_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}}
IMAGE = {
    "type": "image",
    "mimeType": "image/png",  # one red pixel
    "data": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC",
}
AUDIO = {
    "type": "audio",
    "mimeType": "audio/wav",  # eight samples of silence
    "data": "UklGRiwAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQgAAACAgICAgICAgA==",
}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def embedded(uri: str, mime_type: str, words: str) -> dict[str, Any]:
    return {"type": "resource", "resource": {"uri": uri, "mimeType": mime_type, "text": words}}


def form(**properties: dict[str, Any]) -> dict[str, Any]:
    """The schema of an elicitation that needs every one of `properties`."""
    return {"type": "object", "properties": properties, "required": list(properties)}


PLAIN_RESULTS: dict[str, dict[str, Any]] = {
    "test_simple_text": {"content": [text("This is a simple text response for testing.")]},
    "test_image_content": {"content": [IMAGE]},
    "test_audio_content": {"content": [AUDIO]},
    "test_embedded_resource": {
        "content": [embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")]
    },
    "test_multiple_content_types": {
        "content": [
            text("Multiple content types test:"),
            IMAGE,
            embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
        ]
    },
    "test_error_handling": {"content": [text("This tool intentionally returns an error for testing")], "isError": True},
}

ADDRESS_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
INPUT_SCHEMAS: dict[str, dict[str, Any]] = {
    "test_sampling": form(prompt={"type": "string"}),
    "test_elicitation": form(message={"type": "string"}),
    "test_custom_header": form(region={"type": "string", "x-mcp-header": "Region"}),
    "json_schema_2020_12_tool": ADDRESS_SCHEMA,
}
DESCRIPTIONS = {
    "test_custom_header": "Says its region, which travels in a header too",
    "test_missing_capability": "Needs a client that can sample",
    "test_trigger_tool_change": "Adds or removes a tool, and tells every listener",
    "test_trigger_prompt_change": "Adds or removes a prompt, and tells every listener",
    "test_reconnection": "Ends its stream before it answers",
}


def tool(name: str) -> dict[str, Any]:
    described = DESCRIPTIONS.get(name, name.removeprefix("test_").replace("_", " "))
    return {"name": name, "description": described, "inputSchema": INPUT_SCHEMAS.get(name, NO_ARGUMENTS)}


ELICITED = {  # legacy tools that ask the client's user: the question's words and schema
    "test_elicitation_sep1034_defaults": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "default": "John Doe"},
            "age": {"type": "integer", "default": 30},
            "score": {"type": "number", "default": 95.5},
            "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
            "verified": {"type": "boolean", "default": True},
        },
    },
    "test_elicitation_sep1330_enums": {
        "type": "object",
        "properties": {
            "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
            "titledSingle": {
                "type": "string",
                "oneOf": [
                    {"const": "value1", "title": "First Option"},
                    {"const": "value2", "title": "Second Option"},
                    {"const": "value3", "title": "Third Option"},
                ],
            },
            "legacyEnum": {
                "type": "string",
                "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["Option One", "Option Two", "Option Three"],
            },
            "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2", "option3"]}},
            "titledMulti": {
                "type": "array",
                "items": {
                    "anyOf": [
                        {"const": "value1", "title": "First Choice"},
                        {"const": "value2", "title": "Second Choice"},
                        {"const": "value3", "title": "Third Choice"},
                    ]
                },
            },
        },
    },
}
ASKED_USER = {
    "type": "object",
    "properties": {
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    },
    "required": ["username", "email"],
}


def elicitation(message: str, **properties: dict[str, Any]) -> dict[str, Any]:
    """An elicitation as an input request of the modern era."""
    return {"method": "elicitation/create", "params": {"message": message, "requestedSchema": form(**properties)}}


def sampling(words: str, max_tokens: int) -> dict[str, Any]:
    asked = {"role": "user", "content": text(words)}
    return {"method": "sampling/createMessage", "params": {"messages": [asked], "maxTokens": max_tokens}}


ROOTS = {"method": "roots/list", "params": {}}
NAME = elicitation("What is your name?", name={"type": "string"})
CONFIRM = elicitation("Please confirm", ok={"type": "boolean"})
INPUT_ROUNDS: dict[str, tuple[dict[str, dict[str, Any]], ...]] = {  # what each modern tool or prompt asks for, round by round
    "test_input_required_result_elicitation": ({"user_name": NAME},),
    "test_input_required_result_sampling": ({"capital_question": sampling("What is the capital of France?", 100)},),
    "test_input_required_result_list_roots": ({"client_roots": ROOTS},),
    "test_input_required_result_request_state": ({"confirm": CONFIRM},),
    "test_input_required_result_multiple_inputs": (
        {"user_name": NAME, "greeting": sampling("Generate a greeting", 50), "client_roots": ROOTS},
    ),
    "test_input_required_result_multi_round": (
        {"step1": elicitation("Step 1: What is your name?", name={"type": "string"})},
        {"step2": elicitation("Step 2: What is your favorite color?", color={"type": "string"})},
    ),
    "test_input_required_result_tampered_state": ({"confirm": CONFIRM},),
    "test_input_required_result_capabilities": ({"user_name": NAME, "greeting": sampling("Generate a greeting", 50)},),
    "test_input_required_result_prompt": (
        {"user_context": elicitation("What context should the prompt use?", context={"type": "string"})},
    ),
}
STATEFUL = {
    f"test_input_required_result_{name}" for name in ("request_state", "multiple_inputs", "multi_round", "tampered_state")
}
NEEDED_CAPABILITY = {"elicitation/create": "elicitation", "sampling/createMessage": "sampling", "roots/list": "roots"}

TOOLS = (
    *PLAIN_RESULTS,
    "test_tool_with_logging",
    "test_tool_with_progress",
    "test_sampling",
    "test_elicitation",
    *ELICITED,
    "test_reconnection",
    "test_missing_capability",
    "test_logging_tool",
    "test_streaming_elicitation",
    "test_trigger_tool_change",
    "test_trigger_prompt_change",
    "test_custom_header",
    "json_schema_2020_12_tool",
    *(name for name in INPUT_ROUNDS if name != "test_input_required_result_prompt"),
)

PROMPTS: tuple[dict[str, Any], ...] = (
    {"name": "test_simple_prompt", "description": "One message"},
    {
        "name": "test_prompt_with_arguments",
        "description": "One message with two arguments",
        "arguments": [
            {"name": "arg1", "description": "First test argument", "required": True},
            {"name": "arg2", "description": "Second test argument", "required": True},
        ],
    },
    {
        "name": "test_prompt_with_embedded_resource",
        "description": "A resource within a message",
        "arguments": [{"name": "resourceUri", "description": "URI of the resource to embed", "required": True}],
    },
    {"name": "test_prompt_with_image", "description": "An image within a message"},
    {"name": "test_input_required_result_prompt", "description": "Asks for its context first"},
)


def prompt_messages(name: str, arguments: dict[str, str]) -> list[dict[str, Any]] | None:
    """The messages of a prompt; None for one that is not here."""
    match name:
        case "test_simple_prompt":
            contents = [text("This is a simple prompt for testing.")]
        case "test_prompt_with_arguments":
            told = f"Prompt with arguments: arg1='{arguments['arg1']}', arg2='{arguments['arg2']}'"
            contents = [text(told)]
        case "test_prompt_with_embedded_resource":
            resource = embedded(arguments["resourceUri"], "text/plain", "Embedded resource content for testing.")
            contents = [resource, text("Please process the embedded resource above.")]
        case "test_prompt_with_image":
            contents = [IMAGE, text("Please analyze the image above.")]
        case "test_input_required_result_prompt":
            contents = [text("A prompt with the context that was asked for.")]
        case _:
            return None
    return [{"role": "user", "content": content} for content in contents]


RESOURCES: tuple[dict[str, Any], ...] = (
    {"uri": "test://static-text", "name": "static-text", "description": "Text", "mimeType": "text/plain"},
    {"uri": "test://static-binary", "name": "static-binary", "description": "A picture", "mimeType": "image/png"},
    {"uri": "test://watched-resource", "name": "watched-resource", "description": "To subscribe to", "mimeType": "text/plain"},
)
TEMPLATES: tuple[dict[str, Any], ...] = (
    {"uriTemplate": "test://template/{id}/data", "name": "template", "description": "By id", "mimeType": "application/json"},
)
CONTENTS: dict[str, dict[str, Any]] = {
    "test://static-text": {"mimeType": "text/plain", "text": "This is the content of the static text resource."},
    "test://static-binary": {"mimeType": "image/png", "blob": IMAGE["data"]},
    "test://watched-resource": {"mimeType": "text/plain", "text": "Watched resource content"},
}
