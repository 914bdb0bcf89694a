package yamldoc

import "github.com/unskew/unskew/featuredefs/diag"

// The rules about the form of documents.
var (
	RuleYAMLSyntax   = diag.Rule{ID: "yaml-syntax", Severity: diag.Error, Purpose: "A file must be readable YAML: UTF-8, balanced, without unsupported tags."}
	RuleUnknownKey   = diag.Rule{ID: "unknown-key", Severity: diag.Error, Purpose: "An unknown key is an error, not a comment."}
	RuleDuplicateKey = diag.Rule{ID: "duplicate-key", Severity: diag.Error, Purpose: "A key occurs only once in a mapping."}
	RuleMissingKey   = diag.Rule{ID: "missing-key", Severity: diag.Error, Purpose: "A required key is missing."}
	RuleWrongValue   = diag.Rule{ID: "wrong-value", Severity: diag.Error, Purpose: "A value does not have the form that its key requires."}
	RuleBadName      = diag.Rule{ID: "bad-name", Severity: diag.Error, Purpose: "Names are identifiers, so that expressions can use them."}
	RuleReservedName = diag.Rule{ID: "reserved-name", Severity: diag.Error, Purpose: "now, request and the words of CEL cannot be names."}
)

// Rules lists these rules.
func Rules() []diag.Rule {
	return []diag.Rule{
		RuleYAMLSyntax,
		RuleUnknownKey,
		RuleDuplicateKey,
		RuleMissingKey,
		RuleWrongValue,
		RuleBadName,
		RuleReservedName,
	}
}
