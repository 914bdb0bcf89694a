package text

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Int reads an int.
func Int(s string) (int64, error) {
	if i, ok := shortInt(s); ok {
		return i, nil
	}
	n, ok := scan(s)
	switch {
	case !ok:
		return 0, fmt.Errorf("%s is not an int", Quote(s))
	case n.digits == "":
		return 0, nil
	case n.exp < 0:
		return 0, fmt.Errorf("%s is not an int, because it is not whole", Quote(s))
	}
	u := uint64(0)
	for i := range int64(len(n.digits)) + min(n.exp, maxIntDigits) {
		d := uint64(0)
		if i < int64(len(n.digits)) {
			d = uint64(n.digits[i] - '0')
		}
		if i == maxIntDigits || u > (math.MaxInt64+1-d)/10 {
			return 0, fmt.Errorf("%s does not fit in an int, which has 64 bits", Quote(s))
		}
		u = u*10 + d
	}
	switch {
	case n.negative:
		return -int64(u), nil
	case u > math.MaxInt64:
		return 0, fmt.Errorf("%s does not fit in an int, which has 64 bits", Quote(s))
	}
	return int64(u), nil
}

// maxIntDigits is the number of digits of the largest int.
const maxIntDigits = 19

// shortInt reads up to 18 digits after an optional sign; ok is false for other texts.
func shortInt(s string) (int64, bool) {
	digits := s
	if s != "" && (s[0] == '-' || s[0] == '+') {
		digits = s[1:]
	}
	if len(digits) == 0 || len(digits) > 18 {
		return 0, false
	}
	n := int64(0)
	for i := range len(digits) {
		d := digits[i] - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + int64(d)
	}
	if s[0] == '-' {
		return -n, true
	}
	return n, true
}

// number is a decimal number: digits times ten to the power of exp.
type number struct {
	negative bool
	digits   string // without zeros at either end; "" for zero
	exp      int64  // bounded far beyond what matters
}

// maxExponent limits exponents so that adding lengths of texts does not overflow.
const maxExponent = 1 << 40

// scan reads a decimal number.
func scan(s string) (number, bool) {
	n := number{}
	if s != "" && (s[0] == '-' || s[0] == '+') {
		n.negative = s[0] == '-'
		s = s[1:]
	}
	whole := digitsAt(s)
	fraction, rest := "", s[whole:]
	if rest != "" && rest[0] == '.' {
		end := 1 + digitsAt(rest[1:])
		fraction, rest = rest[1:end], rest[end:]
	}
	if whole == 0 && fraction == "" {
		return n, false
	}
	exp, ok := exponent(rest)
	if !ok {
		return n, false
	}
	n.exp = exp - int64(len(fraction))
	if fraction == "" {
		n.digits = s[:whole]
	} else {
		n.digits = s[:whole] + fraction
	}
	for n.digits != "" && n.digits[0] == '0' {
		n.digits = n.digits[1:]
	}
	for n.digits != "" && n.digits[len(n.digits)-1] == '0' {
		n.digits, n.exp = n.digits[:len(n.digits)-1], n.exp+1
	}
	return n, true
}

// IsNumber reports whether s is a decimal number of any size.
func IsNumber(s string) bool {
	_, ok := scan(s)
	return ok
}

// digitsAt returns the number of digits at the beginning of s.
func digitsAt(s string) int {
	i := 0
	for i < len(s) && s[i]-'0' <= 9 {
		i++
	}
	return i
}

// exponent reads the exponent of a number, "" for none.
func exponent(s string) (int64, bool) {
	if s == "" {
		return 0, true
	}
	if s[0] != 'e' && s[0] != 'E' {
		return 0, false
	}
	s = s[1:]
	sign := int64(1)
	if s != "" && (s[0] == '-' || s[0] == '+') {
		if s[0] == '-' {
			sign = -1
		}
		s = s[1:]
	}
	if s == "" || digitsAt(s) != len(s) {
		return 0, false
	}
	e := int64(0)
	for i := range len(s) {
		e = min(e*10+int64(s[i]-'0'), maxExponent)
	}
	return sign * e, true
}

// Double reads a double.
func Double(s string) (float64, error) {
	if f, ok := shortDouble(s); ok {
		return f, nil
	}
	if !decimal(s) {
		if f, ok := DoubleWord(s); ok {
			return f, nil
		}
		return 0, fmt.Errorf("%s is not a double", Quote(s))
	}
	f, err := strconv.ParseFloat(s, 64)
	if errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("%s does not fit in a double", Quote(s))
	}
	if err != nil {
		return 0, fmt.Errorf("%s is not a double", Quote(s))
	}
	return f, nil
}

// decimal reports whether s has only characters of decimal numbers. strconv would also
// accept other bases, underscores and words.
func decimal(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c-'0' <= 9, c == '.', c == '-', c == '+', c == 'e', c == 'E':
		default:
			return false
		}
	}
	return true
}

// DoubleWord reads NaN and the infinities.
func DoubleWord(s string) (float64, bool) {
	word, sign := s, 0
	if s != "" && (s[0] == '-' || s[0] == '+') {
		word, sign = s[1:], 1
		if s[0] == '-' {
			sign = -1
		}
	}
	switch {
	case equalFold(word, "inf"), equalFold(word, "infinity"):
		return math.Inf(sign), true
	case equalFold(s, "nan"):
		return math.NaN(), true
	}
	return 0, false
}

// powersOfTen are the powers that a double holds exactly.
var powersOfTen = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
	1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// shortDouble reads numbers without an exponent whose digits a double holds exactly, so
// that the only rounding is that of one division; ok is false for other texts.
func shortDouble(s string) (float64, bool) {
	i := 0
	if s != "" && s[0] == '-' {
		i = 1
	}
	mantissa, digits, point := uint64(0), 0, -1
	for ; i < len(s); i++ {
		d := s[i] - '0'
		switch {
		case d <= 9:
			mantissa = mantissa*10 + uint64(d)
			digits++
		case s[i] == '.' && point < 0:
			point = digits
		default:
			return 0, false
		}
	}
	if digits == 0 || digits > 18 || mantissa > 1<<53 {
		return 0, false
	}
	f := float64(mantissa)
	if point >= 0 {
		f /= powersOfTen[digits-point]
	}
	if s[0] == '-' {
		f = -f
	}
	return f, true
}
