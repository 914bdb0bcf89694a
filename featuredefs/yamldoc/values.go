package yamldoc

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
)

// valueError says which node of a value is wrong.
type valueError struct {
	at  *Node
	msg string
}

func (e *valueError) Error() string { return e.msg }

func wrongValue(n *Node, format string, args ...any) error {
	return &valueError{n, fmt.Sprintf(format, args...)}
}

// Value reads n as a value of type t; null is a value of every type. What is wrong is
// reported under the rule where it stands.
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

// value reads n as a value of type t. Doubles are the nearest to the decimal text, and
// whole numbers are doubles where one is wanted.
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
		return plan.Value{}, wrongValue(n, "expected %s, found %s", diag.WithArticle(t), n.Describe())
	}
	return scalarValue(n, t)
}

func listValue(n *Node, t plan.Type) (plan.Value, error) {
	if n.Kind != Sequence {
		return plan.Value{}, wrongValue(n, "expected %s, found %s", diag.WithArticle(t), n.Describe())
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
		return plan.Value{}, wrongValue(n, "expected %s, found %s", diag.WithArticle(t), n.Describe())
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
			return plan.Value{}, wrongValue(e.Key, "the key %s is null or stands twice in the map", e.Key.Describe())
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
		d, err := time.ParseDuration(n.Text)
		if err != nil {
			return plan.Value{}, wrongValue(n, "duration %q is not a number with a unit, like 90s or 1h30m", n.Text)
		}
		return plan.DurationValue(d), nil
	}
	if quoted {
		return plan.Value{}, wrongValue(n, "expected %s, found the string %q; leave out the quotes", diag.WithArticle(t), abbreviate(n.Text))
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
		if i, ok := parseInt(n.Text); ok {
			return plan.IntValue(i), nil
		}
	case plan.Double:
		if f, ok := parseDouble(n.Text); ok {
			return plan.DoubleValue(f), nil
		}
	}
	return plan.Value{}, wrongValue(n, "expected %s, found %s", diag.WithArticle(t), n.Describe())
}

// bytesValue is the UTF-8 of a string, or what !!binary encodes in base64.
func bytesValue(n *Node) (plan.Value, error) {
	if n.tag != binaryTag {
		return plan.BytesValue([]byte(n.Text)), nil
	}
	text := strings.Join(strings.Fields(n.Text), "")
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
