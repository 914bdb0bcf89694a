package featuredefs

// RuleID names a rule; it stands in brackets at the end of a diagnostic and is
// stable, so that tools can filter by it.
type RuleID string

// The rules.
const (
	RuleYAMLSyntax    RuleID = "yaml-syntax"
	RuleUnknownKey    RuleID = "unknown-key"
	RuleDuplicateKey  RuleID = "duplicate-key"
	RuleMissingKey    RuleID = "missing-key"
	RuleWrongValue    RuleID = "wrong-value"
	RuleUnknownKind   RuleID = "unknown-kind"
	RuleBadName       RuleID = "bad-name"
	RuleReservedName  RuleID = "reserved-name"
	RuleDuplicateName RuleID = "duplicate-name"
	RuleUnknownName   RuleID = "unknown-name"
	RuleCycle         RuleID = "cycle"

	RuleColumnType    RuleID = "column-type"
	RuleUnknownType   RuleID = "unknown-type"
	RuleLockMismatch  RuleID = "lock-mismatch"
	RuleSchema        RuleID = "schema-unavailable"
	RuleKeyType       RuleID = "key-type"
	RuleOutcomeColumn RuleID = "outcome-column"
	RuleLabelColumn   RuleID = "label-column"
	RuleStreamID      RuleID = "stream-without-id"

	RuleCELSyntax       RuleID = "cel-syntax"
	RuleTypeMismatch    RuleID = "type-mismatch"
	RuleNestedAggregate RuleID = "nested-aggregate"
	RuleAggregatePlace  RuleID = "aggregate-place"
	RuleAggregateCall   RuleID = "aggregate-call"
	RuleBareColumn      RuleID = "bare-column"
	RuleFeatureInRow    RuleID = "feature-in-aggregate"
	RuleNowInRow        RuleID = "now-in-aggregate"
	RuleLoopVariable    RuleID = "loop-variable"
	RuleWindowLiteral   RuleID = "window-literal"
	RuleWindow          RuleID = "window"
	RuleLiteralArgument RuleID = "literal-argument"
	RuleOptionalValue   RuleID = "optional-value"
	RuleIntegerDivision RuleID = "integer-division"
	RuleZoneLiteral     RuleID = "zone-literal"
	RuleMilliseconds    RuleID = "duration-milliseconds"
	RuleDynamicType     RuleID = "dynamic-type"
	RuleNullType        RuleID = "null-type"
	RuleFeatureType     RuleID = "feature-type"
	RuleDefault         RuleID = "default"
	RuleServiceKeys     RuleID = "service-keys"
	RuleSplit           RuleID = "split"
	RuleTestExpectation RuleID = "test-expectation"
	RuleTestEvent       RuleID = "test-event"
	RuleCost            RuleID = "cost"
)

// Rule describes one rule for people.
type Rule struct {
	ID      RuleID
	Purpose string
}

// Rules lists every rule this package can report, in the order of the constants.
func Rules() []Rule {
	return []Rule{
		{RuleYAMLSyntax, "A file must be readable YAML: UTF-8, balanced, without unsupported tags."},
		{RuleUnknownKey, "A key that the language does not have is a slip, not a comment."},
		{RuleDuplicateKey, "A key may stand only once in a mapping."},
		{RuleMissingKey, "A required key is missing."},
		{RuleWrongValue, "A value is not of the form its key takes."},
		{RuleUnknownKind, "Every document says its kind."},
		{RuleBadName, "Names are identifiers, so that expressions can use them."},
		{RuleReservedName, "now, request and the words of CEL cannot be names."},
		{RuleDuplicateName, "One name stands for one thing."},
		{RuleUnknownName, "A name must refer to something."},
		{RuleCycle, "Definitions may not refer to themselves, not even in a circle."},

		{RuleColumnType, "A column is used as something its type is not."},
		{RuleUnknownType, "The type of a column is neither declared, locked nor inferred."},
		{RuleLockMismatch, "The data has another column type than unskew.lock says."},
		{RuleSchema, "The data of a source or spine can be read and has the columns that are declared."},
		{RuleKeyType, "The key columns of a view have the types of its entity's keys."},
		{RuleOutcomeColumn, "A column known only after the fact is no input of a feature."},
		{RuleLabelColumn, "A feature may not read the label it helps to predict."},
		{RuleStreamID, "Events that come from history and as pushes are told apart by an id."},

		{RuleCELSyntax, "An expression must be readable CEL."},
		{RuleTypeMismatch, "An operator or function does not take values of these types."},
		{RuleNestedAggregate, "An aggregate cannot be an argument of an aggregate."},
		{RuleAggregatePlace, "Aggregates stand in the features of a view only."},
		{RuleAggregateCall, "An aggregate is called with the arguments it takes."},
		{RuleBareColumn, "A feature sees columns only through aggregates."},
		{RuleFeatureInRow, "An aggregate reads columns, not features."},
		{RuleNowInRow, "An aggregate reads events, which have no as-of time."},
		{RuleLoopVariable, "An aggregate cannot depend on a variable of a loop around it."},
		{RuleWindowLiteral, "A window is written as a string literal."},
		{RuleWindow, "A window is a span and a hop that divides it."},
		{RuleLiteralArgument, "The n, k and q of an aggregate are literals within bounds."},
		{RuleOptionalValue, "An optional has to be unwrapped before it is used as a value."},
		{RuleIntegerDivision, "An integer division by zero is an error at run time."},
		{RuleZoneLiteral, "A time zone is a literal name of the zone database."},
		{RuleMilliseconds, "getMilliseconds() of a duration means different things in different CELs."},
		{RuleDynamicType, "The type of an expression is known before it runs."},
		{RuleNullType, "An expression that has values besides null has their type."},
		{RuleFeatureType, "A feature is a scalar, a list or map of scalars, or an optional of those."},
		{RuleDefault, "A default has the feature's type and something to stand in for."},
		{RuleServiceKeys, "A request key has one type, whatever views use it."},
		{RuleSplit, "The parts of a split add up to one."},
		{RuleTestEvent, "An event of a test has columns of its source, with values of their types."},
		{RuleCost, "One evaluation of an expression has a bounded, affordable cost."},
		{RuleTestExpectation, "An expectation names keys, a time and features, with values of their types."},
	}
}
