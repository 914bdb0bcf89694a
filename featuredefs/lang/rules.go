package lang

import (
	"slices"

	"github.com/unskew/unskew/featuredefs/diag"
)

// The rules that parsing, resolving and type-checking need.
var (
	RuleUnknownName     = diag.Rule{ID: "unknown-name", Severity: diag.Error, Purpose: "A name must be defined."}
	RuleCELSyntax       = diag.Rule{ID: "cel-syntax", Severity: diag.Error, Purpose: "An expression must be valid CEL."}
	RuleExpressionSize  = diag.Rule{ID: "expression-size", Severity: diag.Error, Purpose: "The number of parts of an expression, with its lets expanded, is limited."}
	RuleTypeMismatch    = diag.Rule{ID: "type-mismatch", Severity: diag.Error, Purpose: "An operator or function does not take values of these types."}
	RuleNestedAggregate = diag.Rule{ID: "nested-aggregate", Severity: diag.Error, Purpose: "An aggregate cannot be an argument of an aggregate."}
	RuleAggregatePlace  = diag.Rule{ID: "aggregate-place", Severity: diag.Error, Purpose: "Aggregates belong in the features of a view and nowhere else."}
	RuleAggregateCall   = diag.Rule{ID: "aggregate-call", Severity: diag.Error, Purpose: "An aggregate is called with the arguments it takes."}
	RuleNowInRow        = diag.Rule{ID: "now-in-aggregate", Severity: diag.Error, Purpose: "An aggregate reads events, which have no as-of time."}
	RuleLoopVariable    = diag.Rule{ID: "loop-variable", Severity: diag.Error, Purpose: "An aggregate cannot depend on a variable of a loop around it."}
	RuleWindowLiteral   = diag.Rule{ID: "window-literal", Severity: diag.Error, Purpose: "A window is written as a string literal."}
	RuleWindow          = diag.Rule{ID: "window", Severity: diag.Error, Purpose: "A window is a span and a hop that divides it."}
	RuleLiteralArgument = diag.Rule{ID: "literal-argument", Severity: diag.Error, Purpose: "The n, k and q of an aggregate are literals in their allowed range."}
	RuleOptionalValue   = diag.Rule{ID: "optional-value", Severity: diag.Error, Purpose: "An optional has to be unwrapped before it is used as a value."}
	RuleMilliseconds    = diag.Rule{ID: "duration-milliseconds", Severity: diag.Error, Purpose: "getMilliseconds() of a duration differs between implementations of CEL."}
	RuleDynamicType     = diag.Rule{ID: "dynamic-type", Severity: diag.Error, Purpose: "The type of an expression is known before it runs."}
	RuleNullType        = diag.Rule{ID: "null-type", Severity: diag.Error, Purpose: "An expression with values other than null has the type of those values."}
	RuleFeatureType     = diag.Rule{ID: "feature-type", Severity: diag.Error, Purpose: "A feature is a scalar, a list or map of scalars, or an optional of those."}
)

// Rules lists every rule about expressions.
func Rules() []diag.Rule {
	rules := []diag.Rule{
		RuleUnknownName,
		RuleCELSyntax,
		RuleExpressionSize,
		RuleTypeMismatch,
		RuleNestedAggregate,
		RuleAggregatePlace,
		RuleAggregateCall,
		RuleNowInRow,
		RuleLoopVariable,
		RuleWindowLiteral,
		RuleWindow,
		RuleLiteralArgument,
		RuleOptionalValue,
		RuleMilliseconds,
		RuleDynamicType,
		RuleNullType,
		RuleFeatureType,
	}
	for _, r := range exprRules {
		if !slices.Contains(rules, r.Rule) {
			rules = append(rules, r.Rule)
		}
	}
	return rules
}
