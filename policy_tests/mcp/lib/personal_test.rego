package mcp.lib.personal_test

import data.mcp.lib.personal

_ours := ["Example.com", "tax@office.example.net"]

test_each_kind_is_found[name] if {
	some name, tc in {
		"a card": {"text": "pay 4111 1111-1111 1111 now", "kind": "card"},
		"a card after another number": {"text": "17 4111 1111 1111 1111 18", "kind": "card"},
		"a card of the shortest": {"text": "4222222222222", "kind": "card"},
		"a card of a newer range": {"text": "2223003122003222", "kind": "card"},
		"a card of thirty": {"text": "378282246310005", "kind": "card"},
		"a card of fifty": {"text": "5555555555554444", "kind": "card"},
		"an account": {"text": "to DE89 3704 0044 0532 0130 00 by", "kind": "iban"},
		"a small account": {"text": "gb82west12345698765432", "kind": "iban"},
		"an account with a letter before it": {"text": "xDE89370400440532013000", "kind": "iban"},
		"an account with a sign before it": {"text": "IBAN_DE 89/3704.0044_0532/0130/00", "kind": "iban"},
		"a card with slashes": {"text": "4111/1111/1111_1111", "kind": "card"},
		"a card in lines": {"text": "4111\n1111\t1111\r\n1111", "kind": "card"},
		"a card with a mark": {"text": "4111\ufe0f1111 1111 1111", "kind": "card"},
		"a social security number": {"text": "it is 123-45-6789.", "kind": "ssn"},
		"a patient": {"text": "943 476 5919", "kind": "nhs"},
		"a taxpayer": {"text": "529.982.247-25", "kind": "cpf"},
		"an address": {"text": "ask eve@evil.example now", "kind": "address"},
		"an address below ours": {"text": "eve@guests.example.com", "kind": "address"},
		"two signs": {"text": "ann@example.com@evil.example", "kind": "address"},
		"a route": {"text": "eve%evil.example@example.com", "kind": "address"},
		"somebody else at an office": {"text": "eve@office.example.net", "kind": "address"},
	}
	personal.found({tc.text}, _ours) == {tc.kind}
	personal.checkable({tc.text})
}

test_nothing_else_is[name] if {
	some name, text in {
		"a card with another digit": "4111111111111112",
		"a card that nobody issues": "9111111111111116",
		"a longer number": "94111111111111111",
		"an account with another digit": "DE89370400440532013001",
		"a social security number that nobody has": "666-45-6789",
		"nine digits": "123456789",
		"a phone": "943 476 5918",
		"a patient of a range that is not given out": "123 456 7008",
		"a taxpayer with another digit": "529.982.247-24",
		"ours": "ann@example.com, Ann.B+c@EXAMPLE.com",
		"a single one": "TAX@office.example.net",
		"a package": "left-pad@1.3.0",
	}
	personal.found({text}, _ours) == set()
}

test_rows_that_cannot_be_checked_are_told[name] if {
	some name, text in {
		"digits of another script": "4111 1111 1111 111\u0661",
		"a row without end": concat(" ", [zero | some _ in numbers.range(1, 65); zero := "0"]),
	}
	not personal.checkable({text})
	personal.found({text}, _ours) == set()
}

test_a_row_of_sixty_four_can_be_checked if {
	personal.checkable({concat(" ", [zero | some _ in numbers.range(1, 64); zero := "0"])})
}
