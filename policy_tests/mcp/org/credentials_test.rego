package mcp.org.credentials_test

import data.mcp.asking_test as asking
import data.mcp.org.credentials

_patterns[duty.code] := duty.properties.pattern if some duty in credentials.oblige

test_every_duty_replaces_in_results if {
	duties := credentials.oblige with input as asking.listing([], [])
	{duty.code | some duty in duties} == {"aws_access_key", "github_token", "private_key", "bearer_token", "password"}
	every duty in duties {
		duty.type == "redact"
		duty.properties.target == "result"
		duty.properties.action == "replace"
		object.keys(duty.properties) == {"target", "pattern", "action", "value"}
	}
}

test_a_pattern_finds_what_it_is_for[name] if {
	some name, tc in {
		"an AWS key": {"code": "aws_access_key", "text": "key AKIAEXAMPLE0EXAMPLE1 used", "found": ["AKIAEXAMPLE0EXAMPLE1"]},
		"no AWS key in a word": {"code": "aws_access_key", "text": "XAKIAEXAMPLE0EXAMPLE1", "found": []},
		"a GitHub token": {
			"code": "github_token", "text": "ghp_0123456789abcdefghij.",
			"found": ["ghp_0123456789abcdefghij"],
		},
		"a fine-grained GitHub token": {
			"code": "github_token", "text": "github_pat_0123456789abcdefghij_x",
			"found": ["github_pat_0123456789abcdefghij_x"],
		},
		"a private key": {
			"code": "private_key", "text": "a\n-----BEGIN RSA PRIVATE KEY-----\nx\n-----END RSA PRIVATE KEY-----\nb",
			"found": ["-----BEGIN RSA PRIVATE KEY-----\nx\n-----END RSA PRIVATE KEY-----"],
		},
		"two private keys": {
			"code": "private_key", "text": "-----BEGIN PRIVATE KEY-----x-----END PRIVATE KEY-----,-----BEGIN PRIVATE KEY-----y",
			"found": ["-----BEGIN PRIVATE KEY-----x-----END PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----y"],
		},
		"no public key": {"code": "private_key", "text": "-----BEGIN PUBLIC KEY-----", "found": []},
		"a bearer token": {
			"code": "bearer_token", "text": "Authorization: Bearer abcdefgh.ijklmnop",
			"found": ["Bearer abcdefgh.ijklmnop"],
		},
		"no bearer of news": {"code": "bearer_token", "text": "the bearer of news", "found": []},
		"a password": {"code": "password", "text": "password=correct-horse, ok", "found": ["password=correct-horse"]},
		"an API key": {"code": "password", "text": "Api-Key: abcd1234", "found": ["Api-Key: abcd1234"]},
		"no talk of passwords": {"code": "password", "text": "your password is old", "found": []},
	}
	regex.find_n(_patterns[tc.code], tc.text, -1) == tc.found
}
