package mcp.servers.crm.contacts_test

import data.mcp.servers.crm.contacts

_duties[duty.code] := duty.properties if some duty in contacts.oblige

test_cards_and_foreign_addresses_are_redacted_in_results if {
	object.keys(_duties) == {"card_field", "card_number", "foreign_address"}
	_duties.card_field.pointer == "/structuredContent/card_number"
	every duty in _duties {
		duty.target == "result"
		duty.action == "replace"
	}
}

test_a_card_number_is_found_however_it_is_written[text] if {
	some text in ["4111 1111 1111 1111", "5500-0000-0000-0004", "4111111111111111", "378282246310005"]
	regex.find_n(_duties.card_number.pattern, sprintf("card: %s.", [text]), -1) == [text]
}

test_short_numbers_are_no_cards[text] if {
	some text in ["12345", "2026-11-21", "+1 555 123 4567"]
	regex.find_n(_duties.card_number.pattern, text, -1) == []
}

test_addresses_of_the_company_stay[text] if {
	some text, stays in {
		"lee@example.com": true,
		"ada@home.test": false,
		"lee@example.com.evil.test": false,
		"lee@notexample.com": false,
		"lee@sub.example.com": false,
	}
	found := regex.find_n(_duties.foreign_address.pattern, text, -1)
	found == [text]
	spared := [kept | some kept in regex.find_n(_duties.foreign_address.except, text, -1); kept == text]
	count(spared) > 0 == stays
}
