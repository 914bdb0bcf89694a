package live

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/text"
)

// comparable reports whether values of a feature are compared, so that they are kept.
func comparable(t plan.Type) bool {
	k := t.Unwrap().Kind
	return k.Scalar() && k != plan.Uint
}

// stored is the type of a feature in the file.
func stored(t plan.Type) plan.Type {
	if t = t.Unwrap(); t.Kind == plan.Duration {
		return plan.T(plan.Int) // nanoseconds, as in training sets
	}
	return t
}

// jsonOf is a value as JSON requests have it.
func jsonOf(v plan.Value) any {
	switch v.Kind() {
	case plan.Bool:
		return v.Bool()
	case plan.Int:
		return json.Number(fmt.Sprint(v.Int()))
	case plan.Double:
		if x := v.Double(); !math.IsNaN(x) && !math.IsInf(x, 0) {
			return x
		}
		return fmt.Sprint(v.Double())
	case plan.String:
		return v.Str()
	case plan.Bytes:
		return base64.StdEncoding.EncodeToString([]byte(v.Str()))
	case plan.Timestamp:
		return v.Time().String()
	case plan.Duration:
		return time.Duration(v.Duration()).String()
	}
	return nil
}

// valueOf is a value of an answer as one of the feature's type. Whole numbers are not changed into others that are near. A number for a timestamp is seconds since 1970, which is how
// Feast writes them.
func valueOf(from any, t plan.Type) (plan.Value, error) {
	switch x := from.(type) {
	case nil:
		return plan.NullValue(), nil
	case bool:
		switch t.Kind {
		case plan.Bool:
			return plan.BoolValue(x), nil
		case plan.Int, plan.Double:
			return text.Parse(map[bool]string{false: "0", true: "1"}[x], t.Kind)
		}
	case string:
		return kept(text.Parse(x, t.Kind))
	case json.Number:
		switch t.Kind {
		case plan.Timestamp:
			seconds, err := text.Int(x.String())
			if err == nil && (seconds < -1<<40 || seconds > 1<<40) {
				err = fmt.Errorf("%d seconds are out of range", seconds)
			}
			return plan.TimestampValue(plan.EventTime(seconds * 1e6)), err
		case plan.Bool, plan.Int, plan.Double, plan.Duration:
			return kept(text.Parse(x.String(), t.Kind))
		}
	}
	return plan.Value{}, fmt.Errorf("%.100v is no %v", from, t)
}

// kept is a duration as the file has it, and any other value.
func kept(v plan.Value, err error) (plan.Value, error) {
	if err == nil && v.Kind() == plan.Duration {
		return plan.IntValue(int64(v.Duration())), nil
	}
	return v, err
}
