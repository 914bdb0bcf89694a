package yamldoc

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/text"
)

// valueError is an error in one node of a value.
type valueError struct {
	at  *Node
	msg string
}

func (e *valueError) Error() string { return e.msg }

func wrongValue(n *Node, format string, args ...any) error {
	return &valueError{n, fmt.Sprintf(format, args...)}
}

// Value reads n as a value of type t; null is a value of every type. An error is reported
// under the given rule at its position.
func (r *Reader) Value(n *Node, t plan.Type, rule diag.Rule) (v plan.Value, ok bool) {
	v, err := value(n, t)
	if err == nil {
		return v, true
	}
	if wrong, ok := err.(*valueError); ok {
		n = wrong.at
	}
	r.Errorf(n.Pos, rule, "%v", err)
	return plan.Value{}, false
}

// value reads n as a value of type t; null is a value of every type. YAML determines nulls,
// bools, strings and infinities; package text parses numbers, timestamps and durations, as it
// does for data.
func value(n *Node, t plan.Type) (plan.Value, error) {
	if n.IsNull() {
		return plan.NullValue(), nil
	}
	switch t.Kind {
	case plan.Optional:
		return value(n, *t.Elem)
	case plan.List:
		return listValue(n, t)
	case plan.Map:
		return mapValue(n, t)
	}
	if n.Kind != Scalar {
		return plan.Value{}, wrongValue(n, "expected %s, found %s", t.WithArticle(), n.Describe())
	}
	return scalarValue(n, t)
}

func listValue(n *Node, t plan.Type) (plan.Value, error) {
	if n.Kind != Sequence {
		return plan.Value{}, wrongValue(n, "expected %s, found %s", t.WithArticle(), n.Describe())
	}
	elems := make([]plan.Value, len(n.Items))
	for i, item := range n.Items {
		v, err := value(item, *t.Elem)
		if err != nil {
			return plan.Value{}, err
		}
		elems[i] = v
	}
	return plan.ListValue(elems), nil
}

func mapValue(n *Node, t plan.Type) (plan.Value, error) {
	if n.Kind != Mapping {
		return plan.Value{}, wrongValue(n, "expected %s, found %s", t.WithArticle(), n.Describe())
	}
	keys, values := make([]plan.Value, len(n.Entries)), make([]plan.Value, len(n.Entries))
	seen := map[string]bool{}
	for i, e := range n.Entries {
		k, err := value(e.Key, *t.Key)
		if err != nil {
			return plan.Value{}, err
		}
		canonical := string(plan.AppendCanonical(nil, k))
		if k.IsNull() || seen[canonical] {
			return plan.Value{}, wrongValue(e.Key, "the key %s is null or occurs twice in the map", e.Key.Describe())
		}
		seen[canonical] = true
		if values[i], err = value(e.Value, *t.Elem); err != nil {
			return plan.Value{}, err
		}
		keys[i] = k
	}
	return plan.MapValue(keys, values), nil
}

// scalarValue reads a scalar that is not null.
func scalarValue(n *Node, t plan.Type) (plan.Value, error) {
	quoted := n.style != plainStyle || n.tag != ""
	switch t.Kind {
	case plan.String:
		if !quoted && looksTyped(n.Text) {
			return plan.Value{}, wrongValue(n, "expected a string, found %s; put it in quotes", n.Text)
		}
		return plan.StringValue(n.Text), nil
	case plan.Bytes:
		return bytesValue(n)
	case plan.Timestamp:
		et, err := plan.ParseTime(n.Text)
		if err != nil {
			return plan.Value{}, wrongValue(n, "%v", err)
		}
		return plan.TimestampValue(et), nil
	case plan.Duration:
		d, err := text.Duration(n.Text)
		if err != nil {
			return plan.Value{}, wrongValue(n, "%v", err)
		}
		return plan.DurationValue(d), nil
	}
	if quoted {
		return plan.Value{}, wrongValue(n, "expected %s, found the string %q; leave out the quotes", t.WithArticle(), abbreviate(n.Text))
	}
	return plainValue(n, t)
}

func plainValue(n *Node, t plan.Type) (plan.Value, error) {
	switch t.Kind {
	case plan.Bool:
		if b, ok := parseBool(n.Text); ok {
			return plan.BoolValue(b), nil
		}
	case plan.Int:
		if i, ok := parseBased(n.Text); ok {
			return plan.IntValue(i), nil
		}
	case plan.Double:
		if f, ok := parseSpecial(n.Text); ok {
			return plan.DoubleValue(f), nil
		}
	}
	if t.Kind != plan.Int && t.Kind != plan.Double || !text.IsNumber(n.Text) {
		return plan.Value{}, wrongValue(n, "expected %s, found %s", t.WithArticle(), n.Describe())
	}
	v, err := text.Parse(n.Text, t.Kind)
	if err != nil {
		return plan.Value{}, wrongValue(n, "%v", err)
	}
	return v, nil
}

// bytesValue returns the UTF-8 of a string, or the bytes that !!binary encodes in base64.
func bytesValue(n *Node) (plan.Value, error) {
	if n.tag != binaryTag {
		return plan.BytesValue([]byte(n.Text)), nil
	}
	b, err := text.Bytes(nil, strings.Join(strings.Fields(n.Text), ""))
	if err != nil {
		return plan.Value{}, wrongValue(n, "%s: %v", binaryTag, err)
	}
	return plan.BytesValue(b), nil
}

// looksTyped reports whether YAML would read plain text as something other than a string.
func looksTyped(s string) bool {
	_, isBool := parseBool(s)
	_, isSpecial := parseSpecial(s)
	_, isBased := parseBased(s)
	return isBool || isSpecial || isBased || text.IsNumber(s)
}

func parseBool(s string) (value, ok bool) {
	switch s {
	case "true", "True", "TRUE":
		return true, true
	case "false", "False", "FALSE":
		return false, true
	}
	return false, false
}

// parseBased parses the non-decimal integers of YAML's core schema: 0x and 0o.
func parseBased(s string) (int64, bool) {
	base := 0
	switch {
	case strings.HasPrefix(s, "0x"):
		base = 16
	case strings.HasPrefix(s, "0o"):
		base = 8
	default:
		return 0, false
	}
	i, err := strconv.ParseInt(s[2:], base, 64)
	return i, err == nil && s[2] != '-' && s[2] != '+'
}

// parseSpecial parses the infinities and NaN of YAML's core schema.
func parseSpecial(s string) (float64, bool) {
	unsigned := strings.TrimPrefix(strings.TrimPrefix(s, "-"), "+")
	switch unsigned {
	case ".inf", ".Inf", ".INF":
		if s[0] == '-' {
			return math.Inf(-1), true
		}
		return math.Inf(1), true
	case ".nan", ".NaN", ".NAN":
		return math.NaN(), s == unsigned
	}
	return 0, false
}
