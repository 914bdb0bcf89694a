package wire

import (
	"encoding/base64"
	"math"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// AppendColumnJSON appends what AppendColumn does, as an object in protobuf's JSON.
func AppendColumnJSON(dst []byte, name string, v *vector.Vector, rows RowMap, n int) ([]byte, error) {
	kind := v.Type.Unwrap().Kind
	member, err := jsonMember(name, v.Type)
	if err != nil {
		return nil, err
	}
	dst = append(dst, '{')
	if name != "" {
		dst = append(AppendJSONString(append(dst, `"name":`...), name), ',')
	}
	dst = append(append(append(dst, '"'), member...), `":{`...)
	if n > 0 {
		array := `"values":[`
		switch kind {
		case plan.Timestamp:
			array = `"micros":[`
		case plan.Duration:
			array = `"nanos":[`
		}
		dst = append(dst, array...)
		for i := range n {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = appendJSONValue(dst, kind, v, rows.Of(i)); err != nil {
				return nil, columnError(name, rowError(i, err))
			}
		}
		dst = append(dst, ']')
	}
	dst = append(dst, '}')
	if v.Null != nil || v.Err != nil {
		dst = appendJSONNulls(dst, v, rows, n)
	}
	return append(dst, '}'), nil
}

func jsonMember(name string, t plan.Type) (string, error) {
	kind := t.Unwrap().Kind
	if member, ok := memberOf[kind]; ok && kind != plan.Dyn && kind != plan.Invalid {
		return member, nil
	}
	return "", noForm(name, t)
}

func appendJSONNulls(dst []byte, v *vector.Vector, rows RowMap, n int) []byte {
	before := `,"nulls":[`
	for i := range n {
		if !v.Valid(rows.Of(i)) {
			dst = strconv.AppendInt(append(dst, before...), int64(i), 10)
			before = ","
		}
	}
	if before == "," {
		dst = append(dst, ']')
	}
	return dst
}

// appendJSONValue appends row r, or the zero value of its type if it has no value.
func appendJSONValue(dst []byte, kind plan.Kind, v *vector.Vector, r int) ([]byte, error) {
	valid := v.Valid(r)
	switch kind {
	case plan.Bool:
		return strconv.AppendBool(dst, valid && v.Bits.Get(r)), nil
	case plan.Double:
		if !valid {
			return append(dst, '0'), nil
		}
		return appendJSONDouble(dst, v.Double[r]), nil
	case plan.String:
		if !valid {
			return append(dst, `""`...), nil
		}
		return AppendJSONString(dst, v.Str[r]), nil
	case plan.Bytes:
		dst = append(dst, '"')
		if valid {
			dst = base64.StdEncoding.AppendEncode(dst, []byte(v.Str[r]))
		}
		return append(dst, '"'), nil
	case plan.List, plan.Map:
		if !valid {
			return append(dst, "{}"...), nil
		}
		m, err := Value(v.Any[r])
		if err != nil {
			return nil, err
		}
		return protojson.MarshalOptions{}.MarshalAppend(dst, m)
	}
	x := int64(0)
	if valid {
		x = v.Int[r]
	}
	if dst = append(dst, '"'); kind == plan.Uint {
		dst = strconv.AppendUint(dst, uint64(x), 10)
	} else {
		dst = strconv.AppendInt(dst, x, 10)
	}
	return append(dst, '"'), nil
}

// appendJSONDouble formats finite numbers as ECMAScript does, and NaN and infinities as
// protobuf's strings.
func appendJSONDouble(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	dst = strconv.AppendFloat(dst, f, format, -1, 64)
	if n := len(dst); format == 'e' && n >= 4 && dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' {
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}

const hex = "0123456789abcdef"

// AppendJSONString appends a quoted string. Invalid UTF-8, which should not occur here,
// becomes the replacement character.
func AppendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			if r, size := utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || size != 1 {
				i += size
				continue
			}
			dst = append(append(dst, s[from:i]...), "\ufffd"...)
		} else {
			dst = appendEscape(append(dst, s[from:i]...), c)
		}
		i++
		from = i
	}
	return append(append(dst, s[from:]...), '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}
