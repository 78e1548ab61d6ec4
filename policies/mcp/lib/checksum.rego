# METADATA
# title: Numbers that carry a checksum
# description: |
#   For arguments, which the gateway shows to rules as they are. In results the gateway checks by itself: a redaction names
#   its `check`. Each function takes the digits alone, without separators.
package mcp.lib.checksum

# METADATA
# title: A payment card by ISO/IEC 7812, 13 to 19 digits
luhn(digits) if {
	count(digits) >= 13
	count(digits) <= 19
	values := [to_number(digit) | some digit in split(digits, "")]
	parity := count(values) % 2
	kept := sum([value | some place, value in values; place % 2 != parity])
	doubled := sum([_doubled[value] | some place, value in values; place % 2 == parity])
	(kept + doubled) % 10 == 0
}

# METADATA
# title: A bank account by ISO 13616, in capital letters; of a country that the table does not have, of any length
iban(text) if {
	regex.match(`^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$`, text)
	not _other_length(text)
	moved := concat("", [substring(text, 4, -1), substring(text, 0, 4)])
	written := concat("", [format_int(_base36[char], 10) | some char in split(moved, "")])
	to_number(trim_left(written, "0")) % 97 == 1
}

_other_length(text) if _iban_lengths[substring(text, 0, 2)] != count(text)

# METADATA
# title: A number of the NHS, 10 digits
nhs(digits) if {
	regex.match(`^[0-9]{10}$`, digits)
	values := [to_number(digit) | some digit in split(digits, "")]
	_weighed(values, 9) % 11 == (11 - values[9]) % 11
}

# METADATA
# title: A taxpayer of Brazil, 11 digits that are not all alike
cpf(digits) if {
	regex.match(`^[0-9]{11}$`, digits)
	values := [to_number(digit) | some digit in split(digits, "")]
	count({value | some value in values}) > 1
	((_weighed(values, 9) * 10) % 11) % 10 == values[9]
	((_weighed(values, 10) * 10) % 11) % 10 == values[10]
}

# The first of them, times one more than there are, and so down to 2.
_weighed(values, first) := sum([weighed |
	some place, value in values
	place < first
	weighed := value * ((first + 1) - place)
])

_doubled := [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]

_base36[char] := value if some value, char in split("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", "")

_iban_lengths[country] := length if {
	some length, countries in {
		15: "NO",
		16: "BE",
		18: "DK FI FK FO GL NL SD",
		19: "MK SI",
		20: "AT BA EE KZ LT LU MN XK",
		21: "CH HR LI LV",
		22: "BG BH CR DE GB GE IE ME RS VA",
		23: "AE GI IL IQ OM SO TL",
		24: "AD CZ ES MD PK RO SA SE SK TN VG",
		25: "LY PT ST",
		26: "IS TR",
		27: "BI DJ FR GR IT MC MR SM",
		28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
		29: "BR EG PS QA UA",
		30: "JO KW MU YE",
		31: "MT SC",
		32: "LC",
		33: "RU",
	}
	some country in split(countries, " ")
}
