# METADATA
# title: Personal numbers and addresses in texts
# description: |
#   For arguments. Every number counts that begins and ends with a run of digits and has its checksum, whatever is between.
package mcp.lib.personal

import data.mcp.lib.checksum

# METADATA
# title: What kinds stand in these texts; addresses only where they are not ours
found(texts, ours) := {kind |
	some kind in ["card", "iban", "ssn", "nhs", "cpf", "address"]
	_holds(kind, texts, ours)
}

# METADATA
# title: No row of numbers in these texts is too long to be checked, or has digits of another script
# description: Digits of other scripts are read by some programs and not by others; a row without end would take too long.
checkable(texts) if count([row | some row in _rows(texts); not _checkable(row)]) == 0

# METADATA
# title: Social security numbers of the United States
# description: Areas 000, 666 and 9xx, group 00 and serial 0000 were never given out.
social_security := concat(`[\p{Zs}\p{Pd}]`, [
	`\b(?:00[1-9]|0[1-9]\d|[1-578]\d\d|6[0-57-9]\d|66[0-57-9])`,
	`(?:0[1-9]|[1-9]\d)`,
	`(?:000[1-9]|00[1-9]\d|0[1-9]\d\d|[1-9]\d{3})\b`,
])

# METADATA
# title: Addresses of mail
# description: With every sign in it (`ann@ours@theirs` is one). A domain's last part begins with a letter (`a@1.3.0` is none).
address := concat("", [
	`[^\s<>,;:()"'\[\]{}|=/?&#]+[@\x{FF20}\x{FE6B}]`,
	`[^\s<>,;:()"'\[\]{}|=/?&#]*[.\x{3002}\x{FF0E}\x{FF61}]\pL[^\s<>,;:()"'\[\]{}|=/?&#]*[\pL\p{Nd}]`,
])

_holds("card", texts, _) if {
	some digits in _numbers(texts)
	regex.match(`^(?:[46]|2[2-7]|3[04-9]|5[0-8])`, digits)
	checksum.luhn(digits)
}

_holds("iban", texts, _) if {
	some text in texts
	some row in regex.find_n(_account, text, -1)
	some account in _joined(regex.find_n(`[A-Za-z0-9]+`, upper(row), -1), 15, 34)
	checksum.iban(account)
}

_holds("ssn", texts, _) if {
	some text in texts
	regex.match(social_security, text)
}

_holds("nhs", texts, _) if {
	some digits in _numbers(texts)
	regex.match(`^[4679]`, digits)
	checksum.nhs(digits)
}

_holds("cpf", texts, _) if {
	some digits in _numbers(texts)
	checksum.cpf(digits)
}

_holds("address", texts, ours) if {
	some text in texts
	some found_address in regex.find_n(address, text, -1)
	not _inside(lower(found_address), ours)
}

_inside(mail, ours) if {
	[_, domain] := split(mail, "@")
	regex.match(`^[a-z0-9._+-]+@`, mail)
	domain in {lower(name) | some name in ours}
}

_inside(mail, ours) if mail in {lower(name) | some name in ours; contains(name, "@")}

# A letter or a sign right before it does not hide it, where its country and its digits stand together.
_account := concat("", [
	`(?:(?:\b|_)[A-Za-z]{2}[\s._/\p{Zs}\p{Pd}\p{Cf}\p{M}]?|[A-Za-z]{2})`,
	`[0-9][0-9A-Za-z\s._/\p{Zs}\p{Pd}\p{Cf}\p{M}]{12,}`,
])

_numbers(texts) := {digits |
	some row in _rows(texts)
	_checkable(row)
	some digits in _joined(regex.find_n(`[0-9]+`, row, -1), 9, 19)
}

# Measured by where runs begin and end in what they make together: joining each choice of them would cost ten times as much.
_joined(runs, shortest, longest) := {joined |
	together := concat("", runs)
	ends := {count(concat("", array.slice(runs, 0, last + 1))) | some last, _ in runs}
	some start in (ends | {0})
	some length in numbers.range(shortest, longest)
	(start + length) in ends
	joined := substring(together, start, length)
}

# Runs of digits with little between them.
_rows(texts) := {row |
	some text in texts
	some row in regex.find_n(`\p{Nd}[\p{Nd}\s._/\p{Zs}\p{Pd}\p{Cf}\p{M}]{8,}`, text, -1)
}

_checkable(row) if {
	count(regex.find_n(`\p{Nd}+`, row, 65)) <= 64
	count(regex.find_n(`[^\P{Nd}0-9]`, row, 1)) == 0
}
