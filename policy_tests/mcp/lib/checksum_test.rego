package mcp.lib.checksum_test

import data.mcp.lib.checksum

test_cards_have_the_checksum_of_luhn[number] if {
	some number in ["4111111111111111", "378282246310005", "5555555555554444", "4222222222222", "6304000000000000000"]
	checksum.luhn(number)
}

test_other_numbers_are_no_cards[number] if {
	some number in ["4111111111111112", "1411111111111111", "422222222222", "00000000000000000000", "42"]
	not checksum.luhn(number)
}

test_accounts_have_the_checksum_and_the_length_of_their_country[number] if {
	some number in ["DE89370400440532013000", "GB82WEST12345698765432", "NO9386011117947", "MT84MALT011000012345MTLCAST001S"]
	checksum.iban(number)
}

test_an_account_of_an_unknown_country_may_have_any_length if checksum.iban("ZZ33123456789012345")

test_other_texts_are_no_accounts[text] if {
	some text in ["DE89370400440532013001", "DE45000440532013000", "de89370400440532013000", "DE6600044053201300", "DE89"]
	not checksum.iban(text)
}

test_patients_of_the_nhs_have_their_checksum[number] if {
	some number in ["9434765919", "4505577104", "1000000001"]
	checksum.nhs(number)
}

test_other_numbers_are_no_patients[number] if {
	some number in ["9434765918", "94347659190", "943476591"]
	not checksum.nhs(number)
}

test_taxpayers_of_brazil_have_two_check_digits[number] if {
	some number in ["52998224725", "11144477735"]
	checksum.cpf(number)
}

test_other_numbers_are_no_taxpayers[number] if {
	some number in ["52998224724", "52998224735", "11111111111", "5299822472", "529982247250"]
	not checksum.cpf(number)
}
