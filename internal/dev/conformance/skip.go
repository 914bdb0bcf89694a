package main

import (
	"regexp"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"

	"github.com/unskew/unskew/internal/celenv"
)

const (
	strongEnums  = "cel-go: enums are ints, the test has them typed"
	mapKeys      = "cel-go: keys of map literals are not checked"
	durationMS   = "cel-go: getMilliseconds() of a duration is the whole duration"
	emptyHas     = "cel-go: has() of an optional in a map is an error"
	indexBounds  = "cel-go: indexOf beyond the end of a string is -1"
	deducedNull  = "cel-go: another type is deduced"
	checkedEarly = "cel-go: a literal address is judged by the checker"
	blocks       = "cel.block: only optimisers write it, with macros that cel-go does not have"
)

// celGo lists the tests, and whole sections, that cel-go itself does not pass: its published
// list, and newer tests.
var celGo = map[string]string{
	"block_ext":           blocks,
	"enums/strong_proto2": strongEnums,
	"enums/strong_proto3": strongEnums,

	"fields/qualified_identifier_resolution/map_key_float":                      mapKeys,
	"fields/qualified_identifier_resolution/map_key_null":                       mapKeys,
	"fields/qualified_identifier_resolution/map_value_repeat_key":               mapKeys,
	"fields/qualified_identifier_resolution/map_value_repeat_key_heterogeneous": mapKeys,

	"timestamps/duration_converters/get_milliseconds":                                        durationMS,
	"optionals/optionals/map_optional_select_has":                                            emptyHas,
	"string_ext/value_errors/indexof_out_of_range":                                           indexBounds,
	"string_ext/value_errors/lastindexof_out_of_range":                                       indexBounds,
	"type_deductions/wrappers/wrapper_promotion_2":                                           deducedNull,
	"network_ext/ip_type/parse_invalid_ipv4":                                                 checkedEarly,
	"network_ext/ip_type/parse_invalid_ipv6":                                                 checkedEarly,
	"network_ext/ip_type/parse_invalid_ipv6_with_zone":                                       checkedEarly,
	"network_ext/ip_type/parse_invalid_ipv4_in_ipv6":                                         checkedEarly,
	"network_ext/ip_type/is_ip_cidr_compile_error":                                           checkedEarly,
	"network_ext/ipv4/ipv4_equals_ipv6":                                                      checkedEarly,
	"network_ext/ipv4/ipv4_not_equals_ipv6":                                                  checkedEarly,
	"network_ext/cidr/parse_invalid_cidr_ipv4":                                               checkedEarly,
	"network_ext/cidr/parse_invalid_cidr_with_zone":                                          checkedEarly,
	"network_ext/cidr/parse_invalid_cidr_ipv4_in_ipv6":                                       checkedEarly,
	"type_deductions/legacy_nullable_types/null_assignable_to_message_parameter_candidate":   deducedNull,
	"type_deductions/legacy_nullable_types/null_assignable_to_duration_parameter_candidate":  deducedNull,
	"type_deductions/legacy_nullable_types/null_assignable_to_timestamp_parameter_candidate": deducedNull,
	"type_deductions/legacy_nullable_types/null_assignable_to_abstract_parameter_candidate":  deducedNull,
}

// notInCEL is the entry of the list that covers a test, and the reason; "" and "" if there is
// none.
func notInCEL(name string) (entry, why string) {
	for entry = name; entry != ""; entry = entry[:max(0, strings.LastIndexByte(entry, '/'))] {
		if why, ok := celGo[entry]; ok {
			return entry, why
		}
	}
	return "", ""
}

// notInFeatures is the reason why the expression of a test cannot be part of a feature, "" if
// it can. It examines the reference's tree, because it is not a sufficient reason that the
// expression does not compile in the environment of definitions.
func (r *reference) notInFeatures(c *testCase) string {
	env, parsed, err := r.parse(c)
	if err != nil {
		return ""
	}
	checked := parsed
	if c.GetDisableCheck() {
		var iss *cel.Issues
		if checked, iss = env.Check(parsed); iss.Err() != nil {
			return "language: expressions are type-checked, and this one does not pass"
		}
	}
	tree, why := checked.NativeRep(), ""
	if checked.OutputType().Kind() == types.TypeKind {
		return noTypes
	}
	ast.PreOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if why == "" {
			why = foreign(tree, e)
		}
	}))
	return why
}

const (
	noProtos    = "language: no protocol buffers, and so no enums"
	noAddresses = "language: no network addresses"
	noTypes     = "language: types are not values"
	noEncoders  = "language: no encoders"
)

// foreign is the reason why a node cannot be part of a feature, "" if it can.
func foreign(tree *ast.AST, e ast.Expr) string {
	if ref, ok := tree.ReferenceMap()[e.ID()]; ok && ref.Value != nil {
		return noProtos
	}
	t := tree.GetType(e.ID())
	if _, err := celenv.FromCEL(t); err != nil {
		if strings.Contains(t.String(), "net.") {
			return noAddresses
		}
		return noProtos
	}
	switch e.Kind() {
	case ast.StructKind:
		return noProtos
	case ast.IdentKind:
		return foreignVariables[t.Kind()]
	case ast.SelectKind:
		if !isName.MatchString(e.AsSelect().FieldName()) {
			return "language: no quoted names"
		}
	case ast.CallKind:
		return foreignFunctions[e.AsCall().FunctionName()]
	case ast.ComprehensionKind:
		if e.AsComprehension().HasIterVar2() {
			return "language: no comprehensions with two variables"
		}
	}
	return ""
}

var isName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

var foreignVariables = map[types.Kind]string{
	types.TypeKind: noTypes,
	types.AnyKind:  noProtos,
	types.DynKind:  "language: no variables of type dyn",
}

var foreignFunctions = map[string]string{
	"dyn":            "language: no dyn()",
	"base64.encode":  noEncoders,
	"base64.decode":  noEncoders,
	"json.encode":    noEncoders,
	"isIP":           noAddresses,
	"ip.isCanonical": noAddresses,
}
