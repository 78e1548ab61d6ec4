package mcp.org.personal_data_test

import data.mcp.asking_test as asking
import data.mcp.org.personal_data

_facts := {"settings": {"personal_data": {
	"ours": ["Example.com", "tax@office.example.net"],
	"redacted": ["card", "address"],
	"refused": ["card", "iban", "ssn", "nhs", "cpf", "address"],
	"tools": {"crm": {"one": {"refused": ["card"]}, "pay": {"redacted": ["iban"], "refused": ["address"]}}},
}}}

_asked(tool, said) := asking.call([], "crm", tool, {"note": said})

_refusal(what, tool) := {
	"code": "personal_argument",
	"message": "the arguments hold {what}, which must not be passed to {tool}; leave it out",
	"details": {"what": what, "tool": concat("__", ["crm", tool])},
}

_unchecked := {
	"code": "unchecked_numbers",
	"message": "the arguments hold a long row of numbers that cannot be checked; write digits as 0 to 9, and commas between numbers",
}

_card := "the number of a payment card"

_address := "the mail address of somebody outside"

test_arguments_that_hold_personal_data_are_refused[name] if {
	some name, tc in {
		"a card": {"said": 4111111111111111, "what": _card},
		"an address": {"said": {"eve@evil.example": 1}, "what": _address},
	}
	personal_data.deny == {_refusal(tc.what, "note")} with input as _asked("note", tc.said) with data.mcp.facts as _facts
}

test_other_arguments_are_passed_on[name] if {
	some name, said in {"a number": 4111111111111112, "ours": "ann@example.com, tax@office.example.net"}
	personal_data.deny == set() with input as _asked("note", said) with data.mcp.facts as _facts
}

test_rows_that_cannot_be_checked_are_refused if {
	some_digits := "4111 1111 1111 111\u0661"
	personal_data.deny == {_unchecked} with input as _asked("note", some_digits) with data.mcp.facts as _facts
	personal_data.deny == {_unchecked} with input as _asked("one", some_digits) with data.mcp.facts as _facts
}

test_where_no_number_is_refused_rows_need_no_check if {
	said := "\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661"
	personal_data.deny == set() with input as _asked("pay", said) with data.mcp.facts as _facts
}

test_a_tool_has_its_own_measure if {
	personal_data.deny == set() with input as _asked("pay", "4111111111111111") with data.mcp.facts as _facts
	outside := _asked("pay", "eve@evil.example")
	personal_data.deny == {_refusal(_address, "pay")} with input as outside with data.mcp.facts as _facts
}

test_without_settings_everything_is_refused_and_nothing_is_ours if {
	said := "4111111111111111 ann@example.com"
	refused := {_refusal(_card, "note"), _refusal(_address, "note")}
	personal_data.deny == refused with input as _asked("note", said) with data.mcp.facts as {}
}

test_results_are_redacted_as_the_settings_say[name] if {
	some name, tc in {
		"as for all": {"tool": "note", "facts": _facts, "codes": {"payment_card", "outside_address"}},
		"as for this tool": {"tool": "pay", "facts": _facts, "codes": {"bank_account"}},
		"without settings": {"tool": "note", "facts": {}, "codes": _codes},
	}
	duties := personal_data.oblige with input as _asked(tc.tool, "") with data.mcp.facts as tc.facts
	{duty.code | some duty in duties} == tc.codes
}

_codes := {"payment_card", "bank_account", "social_security", "nhs_number", "cpf_number", "outside_address"}

test_every_number_with_a_checksum_is_checked if {
	duties := personal_data.oblige with input as _asked("note", "") with data.mcp.facts as {}
	{duty.code: duty.properties.check | some duty in duties; duty.code != "social_security"} == {
		"payment_card": "luhn", "bank_account": "iban", "nhs_number": "nhs", "cpf_number": "cpf",
		"outside_address": "foreign_address",
	}
	every duty in duties {
		duty.type == "redact"
		duty.properties.target == "result"
		duty.properties.action == "replace"
	}
}

test_the_gateway_is_told_what_is_ours if {
	duties := personal_data.oblige with input as _asked("note", "") with data.mcp.facts as _facts
	[duty.properties.ours | some duty in duties; duty.code == "outside_address"] == [["Example.com", "tax@office.example.net"]]
}
