package featuredefs

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
)

// valueError says which node of a value is wrong.
type valueError struct {
	at  *node
	msg string
}

func (e *valueError) Error() string { return e.msg }

func wrongValue(n *node, format string, args ...any) error {
	return &valueError{n, fmt.Sprintf(format, args...)}
}

// reportValue reports an error of value where it arose.
func reportValue(r *reporter, n *node, rule RuleID, err error) {
	if v, ok := err.(*valueError); ok {
		n = v.at
	}
	r.errorf(n.pos, rule, "%v", err)
}

// value reads n as a value of type t; null is a value of every type. Doubles are
// the nearest to the decimal text, and whole numbers are doubles where one is wanted.
func value(n *node, t plan.Type) (plan.Value, error) {
	if n.isNull() {
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
	if n.kind != scalarNode {
		return plan.Value{}, wrongValue(n, "expected %s, found %s", withArticle(t), n.describe())
	}
	return scalarValue(n, t)
}

func listValue(n *node, t plan.Type) (plan.Value, error) {
	if n.kind != sequenceNode {
		return plan.Value{}, wrongValue(n, "expected %s, found %s", withArticle(t), n.describe())
	}
	elems := make([]plan.Value, len(n.items))
	for i, item := range n.items {
		v, err := value(item, *t.Elem)
		if err != nil {
			return plan.Value{}, err
		}
		elems[i] = v
	}
	return plan.ListValue(elems), nil
}

func mapValue(n *node, t plan.Type) (plan.Value, error) {
	if n.kind != mappingNode {
		return plan.Value{}, wrongValue(n, "expected %s, found %s", withArticle(t), n.describe())
	}
	keys, values := make([]plan.Value, len(n.entries)), make([]plan.Value, len(n.entries))
	seen := map[string]bool{}
	for i, e := range n.entries {
		k, err := value(e.key, *t.Key)
		if err != nil {
			return plan.Value{}, err
		}
		canonical := string(plan.AppendCanonical(nil, k))
		if k.IsNull() || seen[canonical] {
			return plan.Value{}, wrongValue(e.key, "the key %s is null or stands twice in the map", e.key.describe())
		}
		seen[canonical] = true
		if values[i], err = value(e.value, *t.Elem); err != nil {
			return plan.Value{}, err
		}
		keys[i] = k
	}
	return plan.MapValue(keys, values), nil
}

// scalarValue reads a scalar that is not null.
func scalarValue(n *node, t plan.Type) (plan.Value, error) {
	quoted := n.style != plainStyle || n.tag != ""
	switch t.Kind {
	case plan.String:
		if !quoted && looksTyped(n.text) {
			return plan.Value{}, wrongValue(n, "expected a string, found %s; put it in quotes", n.text)
		}
		return plan.StringValue(n.text), nil
	case plan.Bytes:
		return bytesValue(n)
	case plan.Timestamp:
		et, err := plan.ParseTime(n.text)
		if err != nil {
			return plan.Value{}, wrongValue(n, "%v", err)
		}
		return plan.TimestampValue(et), nil
	case plan.Duration:
		d, err := time.ParseDuration(n.text)
		if err != nil {
			return plan.Value{}, wrongValue(n, "duration %q is not a number with a unit, like 90s or 1h30m", n.text)
		}
		return plan.DurationValue(d), nil
	}
	if quoted {
		return plan.Value{}, wrongValue(n, "expected %s, found the string %q; leave out the quotes", withArticle(t), abbreviate(n.text))
	}
	return plainValue(n, t)
}

func plainValue(n *node, t plan.Type) (plan.Value, error) {
	switch t.Kind {
	case plan.Bool:
		if b, ok := parseBool(n.text); ok {
			return plan.BoolValue(b), nil
		}
	case plan.Int:
		if i, ok := parseInt(n.text); ok {
			return plan.IntValue(i), nil
		}
	case plan.Double:
		if f, ok := parseDouble(n.text); ok {
			return plan.DoubleValue(f), nil
		}
	}
	return plan.Value{}, wrongValue(n, "expected %s, found %s", withArticle(t), n.describe())
}

// bytesValue is the UTF-8 of a string, or what !!binary encodes in base64.
func bytesValue(n *node) (plan.Value, error) {
	if n.tag != binaryTag {
		return plan.BytesValue([]byte(n.text)), nil
	}
	text := strings.Join(strings.Fields(n.text), "")
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return plan.Value{}, wrongValue(n, "%s is not base64: %v", binaryTag, err)
	}
	return plan.BytesValue(b), nil
}

// looksTyped reports whether YAML reads plain text as something but a string.
func looksTyped(s string) bool {
	_, isBool := parseBool(s)
	_, isDouble := parseDouble(s)
	_, isInt := parseInt(s)
	return isBool || isDouble || isInt
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

// parseInt reads the integers of YAML's core schema: decimal, 0x and 0o.
func parseInt(s string) (int64, bool) {
	digits := strings.TrimPrefix(strings.TrimPrefix(s, "-"), "+")
	switch {
	case strings.HasPrefix(s, "0x"):
		i, err := strconv.ParseInt(s[2:], 16, 64)
		return i, err == nil && s[2] != '-' && s[2] != '+'
	case strings.HasPrefix(s, "0o"):
		i, err := strconv.ParseInt(s[2:], 8, 64)
		return i, err == nil && s[2] != '-' && s[2] != '+'
	case digits == "" || strings.TrimLeft(digits, "0123456789") != "":
		return 0, false
	}
	i, err := strconv.ParseInt(s, 10, 64)
	return i, err == nil
}

// parseDouble reads the floats of YAML's core schema, and decimal integers.
// Numbers beyond the largest double are infinite, as everywhere.
func parseDouble(s string) (float64, bool) {
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
	if unsigned == "" || strings.Trim(unsigned, "0123456789.eE+-") != "" || !strings.ContainsAny(unsigned, "0123456789") {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(f, 0) {
		return 0, false
	}
	return f, true
}

// withArticle writes a type for a sentence: "an int", "a list(string)".
func withArticle(t plan.Type) string {
	s := t.String()
	if s[0] == 'i' || s[0] == 'o' { // int, optional; but a uint
		return "an " + s
	}
	return "a " + s
}
