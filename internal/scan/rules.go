package scan

import (
	"fmt"
	"strings"

	"postern.dev/postern"
)

// types are what a secret can be for, as its second part says.
var types = []postern.SecretType{postern.SecretServiceKey, postern.SecretPersonal, postern.SecretAppToken, postern.SecretOAuthAccess, postern.SecretRefresh,
	postern.SecretCode, postern.SecretClient, postern.SecretDeveloper, postern.SecretSession, postern.SecretSetup, postern.SecretInvite}

// Regex matches every secret of a brand: a regular expression that RE2, PCRE and
// Hyperscan read alike. It can't compute the checksum, so it matches texts that are none.
func Regex(brand string) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = string(t)
	}
	return fmt.Sprintf("%s_(?:%s)_[0-9A-Za-z]{%d}_[0-9A-Za-z]{%d}", brand, strings.Join(names, "|"), postern.KeyIDLen, tailLen)
}

// minEntropy is below what any random secret has, in Shannon's bits a character,
// and above what placeholders in documents have.
const minEntropy = 4

// RuleForms are the tools that Rules writes for.
func RuleForms() []string { return []string{"gitleaks", "github", "regex"} }

// Rules are the rules by which another tool finds the secrets of a brand; false where the tool isn't known.
func Rules(form, brand string) (string, bool) {
	switch form {
	case "regex":
		return Regex(brand) + "\n", true
	case "gitleaks":
		return fmt.Sprintf(`# Finds the secrets of Postern that begin with %[1]s_.
# Use it alone, or beside the rules of gitleaks with: [extend] useDefault = true
# A rule can't compute the checksum of a secret: "postern scan" does.
title = "Postern secrets (%[1]s)"

[[rules]]
id = "postern-%[1]s-secret"
description = "A Postern secret (%[1]s_…): rotate its key now, and say that it was exposed."
regex = '''(%[2]s)'''
secretGroup = 1
keywords = ["%[1]s_"]
entropy = %[3]d.0
tags = ["postern", "secret"]
`, brand, Regex(brand), minEntropy), true
	case "github":
		return fmt.Sprintf(`# For GitHub: Settings > Code security > Secret scanning > Custom patterns > New pattern.
# Paste each line into the field that it names, then try it with the test string and publish.
Pattern name:   Postern secret (%[1]s)
Secret format:  %[2]s
Before secret:  \A|[^0-9A-Za-z]
After secret:   \z|[^0-9A-Za-z]
Test string:    KEY="%[3]s"

# As a partner of GitHub's secret scanning, for all public repositories: register
# the same expression with the address of this server and /leaks/github behind it.
`, brand, Regex(brand), sample(brand)), true
	}
	return "", false
}

// sample has the form of a secret, and is none: its checksum is wrong.
func sample(brand string) string {
	return brand + "_sk_0000000000000000_" + strings.Repeat("Example", tailLen/len("Example"))
}
