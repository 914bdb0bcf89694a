package featuredefs

import (
	"slices"

	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/lang"
	"github.com/unskew/unskew/featuredefs/yamldoc"
)

// The rules that reading and compiling definitions need.
var (
	RuleUnknownKind     = diag.Rule{ID: "unknown-kind", Severity: diag.Error, Purpose: "Every document has a kind."}
	RuleDuplicateName   = diag.Rule{ID: "duplicate-name", Severity: diag.Error, Purpose: "Names are unique."}
	RuleCycle           = diag.Rule{ID: "cycle", Severity: diag.Error, Purpose: "Definitions may not refer to themselves, directly or through others."}
	RuleColumnType      = diag.Rule{ID: "column-type", Severity: diag.Error, Purpose: "A column is used as something its type is not."}
	RuleUnknownType     = diag.Rule{ID: "unknown-type", Severity: diag.Error, Purpose: "The type of a column is neither declared, locked nor inferred."}
	RuleLockMismatch    = diag.Rule{ID: "lock-mismatch", Severity: diag.Error, Purpose: "The data has another column type than unskew.lock says."}
	RuleSchema          = diag.Rule{ID: "schema-unavailable", Severity: diag.Error, Purpose: "The data of a source or spine can be read and has the columns that are declared."}
	RuleKeyType         = diag.Rule{ID: "key-type", Severity: diag.Error, Purpose: "The key columns of a view have the types of its entity's keys."}
	RuleOutcomeColumn   = diag.Rule{ID: "outcome-column", Severity: diag.Error, Purpose: "A column known only after the fact is not an input of a feature."}
	RuleBareColumn      = diag.Rule{ID: "bare-column", Severity: diag.Error, Purpose: "A feature sees columns only through aggregates."}
	RuleFeatureInRow    = diag.Rule{ID: "feature-in-aggregate", Severity: diag.Error, Purpose: "An aggregate reads columns, not features."}
	RuleDefault         = diag.Rule{ID: "default", Severity: diag.Error, Purpose: "A default has the feature's type and can be used."}
	RuleServiceKeys     = diag.Rule{ID: "service-keys", Severity: diag.Error, Purpose: "A request key has one type, whatever views use it."}
	RuleSplit           = diag.Rule{ID: "split", Severity: diag.Error, Purpose: "The parts of a split cover all rows."}
	RuleTestEvent       = diag.Rule{ID: "test-event", Severity: diag.Error, Purpose: "An event of a test has columns of its source, with values of their types."}
	RuleTestExpectation = diag.Rule{ID: "test-expectation", Severity: diag.Error, Purpose: "An expectation names keys, a time and features, with values of their types."}
	RuleLogShards       = diag.Rule{ID: "log-shards", Severity: diag.Error, Purpose: "A source declares as many shards as its log has."}
	RuleBadRow          = diag.Rule{ID: "bad-row", Severity: diag.Error, Purpose: "The first rows of sources and spines can be read."}
	RuleTimeIn1970      = diag.Rule{ID: "time-in-1970", Severity: diag.Warning, Purpose: "Seconds and milliseconds are not read as microseconds."}
	RuleIgnore          = diag.Rule{ID: "ignore", Severity: diag.Error, Purpose: "A comment that ignores a warning names its rule and a reason, and is placed at the warning."}
)

// Rules lists every rule that Load and Options.CheckData may report.
func Rules() []diag.Rule {
	return slices.Concat(yamldoc.Rules(), lang.Rules(), []diag.Rule{
		RuleUnknownKind,
		RuleDuplicateName,
		RuleCycle,
		RuleColumnType,
		RuleUnknownType,
		RuleLockMismatch,
		RuleSchema,
		RuleKeyType,
		RuleOutcomeColumn,
		RuleBareColumn,
		RuleFeatureInRow,
		RuleDefault,
		RuleServiceKeys,
		RuleSplit,
		RuleTestEvent,
		RuleTestExpectation,
		RuleLogShards,
		RuleBadRow,
		RuleTimeIn1970,
		RuleIgnore,
	}, describe(sourceRules), describe(trainingRules), describe(planRules))
}
