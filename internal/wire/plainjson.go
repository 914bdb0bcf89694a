package wire

import (
	"encoding/base64"
	"math"
	"strconv"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// maxExactInt is the limit up to which every int is exactly a double. Larger ints would be
// rounded by readers that parse every JSON number as a double.
const maxExactInt = 1 << 53

// AppendPlainJSON appends row i of v as ordinary JSON, or null if the row has no value.
// Timestamps are in RFC 3339, durations in the form "1h30m0s", bytes in base64. Ints beyond
// ±2^53, NaN and the infinities are strings. A list is an array; a map is an object with
// its keys as names.
func AppendPlainJSON(dst []byte, v *vector.Vector, i int) []byte {
	if !v.Valid(i) {
		return append(dst, "null"...)
	}
	switch v.Type.Unwrap().Kind {
	case plan.Bool:
		return strconv.AppendBool(dst, v.Bits.Get(i))
	case plan.Int:
		return appendPlainInt(dst, v.Int[i])
	case plan.Double:
		return appendPlainDouble(dst, v.Double[i])
	case plan.String:
		return AppendJSONString(dst, v.Str[i])
	}
	return appendPlainValue(dst, v.Value(i))
}

// appendPlainDouble keeps the sign of -0, which some readers of protobuf's JSON lose.
func appendPlainDouble(dst []byte, f float64) []byte {
	if f == 0 && math.Signbit(f) {
		return append(dst, "-0.0"...)
	}
	return appendJSONDouble(dst, f)
}

func appendPlainInt(dst []byte, x int64) []byte {
	if -maxExactInt <= x && x <= maxExactInt {
		return strconv.AppendInt(dst, x, 10)
	}
	return append(strconv.AppendInt(append(dst, '"'), x, 10), '"')
}

func appendPlainValue(dst []byte, x plan.Value) []byte {
	switch x.Kind() {
	case plan.Bool:
		return strconv.AppendBool(dst, x.Bool())
	case plan.Int:
		return appendPlainInt(dst, x.Int())
	case plan.Uint:
		if x.Uint() > maxExactInt {
			return append(strconv.AppendUint(append(dst, '"'), x.Uint(), 10), '"')
		}
		return strconv.AppendUint(dst, x.Uint(), 10)
	case plan.Double:
		return appendPlainDouble(dst, x.Double())
	case plan.List:
		return appendPlainList(dst, x.List())
	case plan.Map:
		return appendPlainMap(dst, x.List())
	case plan.Optional:
		if len(x.List()) > 0 {
			return appendPlainValue(dst, x.List()[0])
		}
	case plan.String, plan.Bytes, plan.Timestamp, plan.Duration:
		return AppendJSONString(dst, plainText(x))
	}
	return append(dst, "null"...)
}

// plainText returns the text of a scalar: the content of a JSON string or name, not escaped.
func plainText(x plan.Value) string {
	switch x.Kind() {
	case plan.String:
		return x.Str()
	case plan.Bytes:
		return base64.StdEncoding.EncodeToString([]byte(x.Str()))
	case plan.Timestamp:
		return x.Time().String()
	case plan.Duration:
		return time.Duration(x.Duration()).String()
	}
	text := appendPlainValue(nil, x)
	if n := len(text); n > 1 && text[0] == '"' {
		text = text[1 : n-1] // a number that is quoted has no escapes
	}
	return string(text)
}

func appendPlainList(dst []byte, list []plan.Value) []byte {
	dst = append(dst, '[')
	for i, e := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendPlainValue(dst, e)
	}
	return append(dst, ']')
}

// appendPlainMap writes a map given as alternating keys and values.
func appendPlainMap(dst []byte, flat []plan.Value) []byte {
	dst = append(dst, '{')
	for i := 0; i < len(flat); i += 2 {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendJSONString(dst, plainText(flat[i])), ':')
		dst = appendPlainValue(dst, flat[i+1])
	}
	return append(dst, '}')
}
