package text

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/unskew/unskew/featuredefs/plan"
)

// ErrUTF8 is the error for a string that is not UTF-8.
var ErrUTF8 = errors.New("the string is not valid UTF-8")

// Parse reads a value of a column of kind k. Its errors quote the text, truncated if it is
// long. A string value shares the memory of s.
func Parse(s string, k plan.Kind) (plan.Value, error) {
	switch k {
	case plan.Bool:
		b, err := Bool(s)
		return plan.BoolValue(b), err
	case plan.Int:
		i, err := Int(s)
		return plan.IntValue(i), err
	case plan.Double:
		f, err := Double(s)
		return plan.DoubleValue(f), err
	case plan.String:
		err := String(s)
		return plan.StringValue(s), err
	case plan.Bytes:
		raw, err := Bytes(nil, s)
		return plan.BytesValue(raw), err
	case plan.Timestamp:
		t, err := plan.ParseTime(s)
		return plan.TimestampValue(t), err
	case plan.Duration:
		d, err := Duration(s)
		return plan.DurationValue(d), err
	}
	return plan.Value{}, fmt.Errorf("%s is not %s", Quote(s), plan.T(k).WithArticle())
}

// Bool reads a bool.
func Bool(s string) (bool, error) {
	switch len(s) {
	case 1:
		switch s[0] {
		case '1', 't', 'T':
			return true, nil
		case '0', 'f', 'F':
			return false, nil
		}
	case 4:
		if equalFold(s, "true") {
			return true, nil
		}
	case 5:
		if equalFold(s, "false") {
			return false, nil
		}
	}
	return false, fmt.Errorf("%s is not a bool (write true or false)", Quote(s))
}

// equalFold compares with lower-case ASCII letters; strings.EqualFold would fold ſ to s.
func equalFold(s, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// String checks that s is valid UTF-8.
func String(s string) error {
	if !utf8.ValidString(s) {
		return ErrUTF8
	}
	return nil
}

// Bytes decodes s and appends the result to dst.
func Bytes(dst []byte, s string) ([]byte, error) {
	out, err := base64.StdEncoding.AppendDecode(dst, []byte(s))
	if err != nil {
		return nil, fmt.Errorf("%s is not base64", Quote(s))
	}
	return out, nil
}

// Duration reads a duration.
func Duration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%s is not a duration (write 1h30m or 2.5s, at most 292 years)", Quote(s))
	}
	return d, nil
}

// quoted is the number of bytes of a text that errors quote.
const quoted = 64

// Quote returns s in quotes for an error message, truncated if it is long.
func Quote(s string) string {
	if len(s) <= quoted {
		return strconv.Quote(s)
	}
	cut := quoted
	for cut > quoted-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return fmt.Sprintf("%q… (%d bytes)", s[:cut], len(s))
}
