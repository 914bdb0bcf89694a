package relation

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/big"
	"strconv"
	"unsafe"

	"github.com/parquet-go/parquet-go/encoding"
	"github.com/parquet-go/parquet-go/format"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// converter writes n stored values, starting at from, into the lane of v, starting at to.
// It reports values that the lane's type cannot hold by their index in the lane. Strings
// share the memory of the stored values.
type converter func(v *vector.Vector, to int, values *encoding.Values, from, n int, bad func(i int, text, reason string))

// converterOf returns the converter from a stored type to a declared kind; ok is false if
// the kind cannot hold the type.
func converterOf(s *stored, k plan.Kind) (c converter, ok bool) {
	switch k {
	case plan.Bool:
		return convertBool, s.kind == storedBool
	case plan.Int:
		return toInt(s)
	case plan.Double:
		return toDouble(s)
	case plan.String:
		return toString(s)
	case plan.Bytes:
		return toText(s), s.kind == storedBytes
	case plan.Timestamp:
		return toTimestamp(s)
	case plan.Duration:
		return toDuration(s)
	}
	return nil, false
}

// holdsLane reports whether the stored values are, bit by bit, those of the lane of a kind.
func (s *stored) holdsLane(k plan.Kind) bool {
	switch {
	case s.physical == format.Double:
		return s.kind == storedDouble && k == plan.Double
	case s.physical != format.Int64:
		return false
	}
	return s.kind == storedInt && k == plan.Int || s.kind == storedTimestamp && s.perMicro == 1 && k == plan.Timestamp
}

func convertBool(v *vector.Vector, to int, values *encoding.Values, from, n int, _ func(int, string, string)) {
	bits := values.Boolean()
	for i := range n {
		v.Bits.Put(to+i, bits[(from+i)/8]>>((from+i)%8)&1 != 0)
	}
}

// Doubles and floats represent every whole number up to these limits exactly; a larger one
// may have been rounded when it was written.
const (
	wholeDoubles = 1 << 53
	wholeFloats  = 1 << 24
)

const (
	notInt64     = "it does not fit in an int, which is a signed 64-bit integer; let sql: cast it to a string or a double"
	notWhole     = "it is not a whole number, so it is not an int"
	perhapsRound = "it is so large that it may have been rounded when it was written as a floating-point number; write integers, or let sql: cast it"
)

func toInt(s *stored) (converter, bool) {
	switch {
	case s.kind == storedInt && s.physical == format.Int64:
		return func(v *vector.Vector, to int, values *encoding.Values, from, n int, _ func(int, string, string)) {
			copy(v.Int[to:to+n], values.Int64()[from:from+n])
		}, true
	case s.kind == storedInt && s.physical == format.Int32:
		return func(v *vector.Vector, to int, values *encoding.Values, from, n int, _ func(int, string, string)) {
			for i, x := range values.Int32()[from : from+n] {
				v.Int[to+i] = int64(x)
			}
		}, true
	case s.kind == storedUint && s.physical == format.Int32:
		return func(v *vector.Vector, to int, values *encoding.Values, from, n int, _ func(int, string, string)) {
			for i, x := range values.Uint32()[from : from+n] {
				v.Int[to+i] = int64(x)
			}
		}, true
	case s.kind == storedUint && s.physical == format.Int64:
		return func(v *vector.Vector, to int, values *encoding.Values, from, n int, bad func(int, string, string)) {
			for i, x := range values.Uint64()[from : from+n] {
				if x > math.MaxInt64 {
					bad(to+i, strconv.FormatUint(x, 10), notInt64)
				}
				v.Int[to+i] = int64(x)
			}
		}, true
	case s.kind == storedDouble:
		return floatToInt(func(values *encoding.Values, i int) float64 { return values.Double()[i] }, wholeDoubles), true
	case s.kind == storedFloat:
		return floatToInt(func(values *encoding.Values, i int) float64 { return float64(values.Float()[i]) }, wholeFloats), true
	case s.kind == storedDecimal:
		return decimalToInt(s)
	}
	return nil, false
}

func floatToInt(at func(*encoding.Values, int) float64, limit float64) converter {
	return func(v *vector.Vector, to int, values *encoding.Values, from, n int, bad func(int, string, string)) {
		for i := range n {
			x := at(values, from+i)
			whole, problem := wholeDouble(x, limit)
			if problem != "" {
				bad(to+i, strconv.FormatFloat(x, 'g', -1, 64), problem)
			}
			v.Int[to+i] = whole
		}
	}
}

// wholeDouble returns x as an int, or why it is not one.
func wholeDouble(x, limit float64) (whole int64, problem string) {
	switch {
	case x != math.Trunc(x) || math.IsInf(x, 0): // also true for NaN
		return 0, notWhole
	case math.Abs(x) > limit:
		return 0, perhapsRound
	}
	return int64(x), ""
}

func toDouble(s *stored) (converter, bool) {
	switch {
	case s.kind == storedDouble:
		return func(v *vector.Vector, to int, values *encoding.Values, from, n int, _ func(int, string, string)) {
			copy(v.Double[to:to+n], values.Double()[from:from+n])
		}, true
	case s.kind == storedFloat:
		return func(v *vector.Vector, to int, values *encoding.Values, from, n int, _ func(int, string, string)) {
			for i, x := range values.Float()[from : from+n] {
				v.Double[to+i] = float64(x)
			}
		}, true
	case s.kind == storedFloat16:
		return convertFloat16, s.physical == format.FixedLenByteArray
	case s.kind == storedDecimal:
		return decimalToDouble(s)
	}
	ints, ok := toInt(s)
	if !ok {
		return nil, false
	}
	return func(v *vector.Vector, to int, values *encoding.Values, from, n int, bad func(int, string, string)) {
		if s.kind == storedUint && s.physical == format.Int64 {
			for i, x := range values.Uint64()[from : from+n] {
				v.Double[to+i] = float64(x)
			}
			return
		}
		whole := vector.New(plan.T(plan.Int), n)
		ints(whole, 0, values, from, n, bad)
		for i, x := range whole.Int {
			v.Double[to+i] = float64(x)
		}
	}, true
}

func convertFloat16(v *vector.Vector, to int, values *encoding.Values, from, n int, _ func(int, string, string)) {
	data, size := values.FixedLenByteArray()
	for i := range n {
		v.Double[to+i] = float16(binary.LittleEndian.Uint16(data[(from+i)*size:]))
	}
}

// float16 widens an IEEE half-precision number, exactly.
func float16(h uint16) float64 {
	sign, exponent, fraction := 1-2*float64(h>>15), int(h>>10&31), float64(h&1023)
	switch exponent {
	case 0:
		return sign * math.Ldexp(fraction, -24)
	case 31:
		if fraction != 0 {
			return math.NaN()
		}
		return math.Inf(int(sign))
	}
	return sign * math.Ldexp(1024+fraction, exponent-25)
}

// decimalReader reads an unscaled decimal: large if it is not nil, otherwise small.
type decimalReader func(values *encoding.Values, i int) (small int64, large *big.Int)

func readDecimals(s *stored) (decimalReader, bool) {
	switch s.physical {
	case format.Int32:
		return func(values *encoding.Values, i int) (int64, *big.Int) { return int64(values.Int32()[i]), nil }, true
	case format.Int64:
		return func(values *encoding.Values, i int) (int64, *big.Int) { return values.Int64()[i], nil }, true
	case format.FixedLenByteArray:
		return func(values *encoding.Values, i int) (int64, *big.Int) {
			data, size := values.FixedLenByteArray()
			return twosComplement(data[i*size : (i+1)*size])
		}, true
	case format.ByteArray:
		return func(values *encoding.Values, i int) (int64, *big.Int) {
			data, offsets := values.ByteArray()
			return twosComplement(data[offsets[i]:offsets[i+1]])
		}, true
	}
	return nil, false
}

// twosComplement decodes a big-endian two's complement number.
func twosComplement(b []byte) (small int64, large *big.Int) {
	if len(b) == 0 {
		return 0, nil
	}
	sign := byte(int8(b[0]) >> 7) // 0 or 255
	for len(b) > 8 && b[0] == sign && byte(int8(b[1])>>7) == sign {
		b = b[1:]
	}
	if len(b) <= 8 {
		x := int64(int8(sign))
		for _, c := range b {
			x = x<<8 | int64(c)
		}
		return x, nil
	}
	large = new(big.Int).SetBytes(b)
	if sign != 0 {
		large.Sub(large, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return 0, large
}

// decimalText formats a decimal; scale is not negative.
func decimalText(small int64, large *big.Int, scale int) string {
	if large == nil {
		large = big.NewInt(small)
	}
	digits := new(big.Int).Abs(large).String()
	for len(digits) <= scale {
		digits = "0" + digits
	}
	text := digits[:len(digits)-scale]
	if scale > 0 {
		text += "." + digits[len(digits)-scale:]
	}
	if large.Sign() < 0 {
		text = "-" + text
	}
	return text
}

func decimalToInt(s *stored) (converter, bool) {
	read, ok := readDecimals(s)
	if !ok || s.scale < 0 {
		return nil, false
	}
	unit := unitOf(s.scale)
	return func(v *vector.Vector, to int, values *encoding.Values, from, n int, bad func(int, string, string)) {
		for i := range n {
			small, large := read(values, from+i)
			x, problem := wholeDecimal(small, large, s.scale, unit)
			if problem != "" {
				bad(to+i, decimalText(small, large, s.scale), problem)
			}
			v.Int[to+i] = x
		}
	}, true
}

// wholeDecimal returns a decimal as an int, or why it is not one; unit is 10^scale.
func wholeDecimal(small int64, large *big.Int, scale int, unit *big.Int) (x int64, problem string) {
	if large == nil && scale == 0 {
		return small, ""
	}
	if large == nil {
		large = big.NewInt(small)
	}
	whole, rest := new(big.Int).QuoRem(large, unit, new(big.Int))
	switch {
	case rest.Sign() != 0:
		return 0, notWhole
	case !whole.IsInt64():
		return 0, notInt64
	}
	return whole.Int64(), ""
}

// unitOf returns 10^scale.
func unitOf(scale int) *big.Int {
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)
}

// exactPowers are the powers of ten that a double represents exactly.
var exactPowers = func() (p [23]float64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

// nearestDouble rounds a decimal to the nearest double, ties to even; ok is false if it
// overflows.
func nearestDouble(small int64, large *big.Int, scale int) (x float64, ok bool) {
	if large == nil && scale < len(exactPowers) && -wholeDoubles <= small && small <= wholeDoubles {
		// Both operands are exact, so the quotient is rounded once.
		return float64(small) / exactPowers[scale], true
	}
	x, err := strconv.ParseFloat(decimalText(small, large, scale), 64)
	return x, err == nil
}

func decimalToDouble(s *stored) (converter, bool) {
	read, ok := readDecimals(s)
	if !ok || s.scale < 0 {
		return nil, false
	}
	return func(v *vector.Vector, to int, values *encoding.Values, from, n int, bad func(int, string, string)) {
		for i := range n {
			small, large := read(values, from+i)
			x, ok := nearestDouble(small, large, s.scale)
			if !ok {
				bad(to+i, decimalText(small, large, s.scale), "it is out of the range of a double")
			}
			v.Double[to+i] = x
		}
	}, true
}

func toString(s *stored) (converter, bool) {
	switch s.kind {
	case storedString, storedBytes:
		return toText(s), true
	case storedUUID:
		return convertUUID, s.physical == format.FixedLenByteArray
	}
	return nil, false
}

// toText converts byte arrays without validating them.
func toText(s *stored) converter {
	if s.physical == format.FixedLenByteArray {
		return func(v *vector.Vector, to int, values *encoding.Values, from, n int, _ func(int, string, string)) {
			data, size := values.FixedLenByteArray()
			for i := range n {
				v.Str[to+i] = sharedString(data[(from+i)*size : (from+i+1)*size])
			}
		}
	}
	return func(v *vector.Vector, to int, values *encoding.Values, from, n int, _ func(int, string, string)) {
		data, offsets := values.ByteArray()
		for i, o := range offsets[from : from+n] {
			v.Str[to+i] = sharedString(data[o:offsets[from+i+1]])
		}
	}
}

func sharedString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func convertUUID(v *vector.Vector, to int, values *encoding.Values, from, n int, _ func(int, string, string)) {
	data, size := values.FixedLenByteArray()
	for i := range n {
		v.Str[to+i] = uuidText(data[(from+i)*size:][:16])
	}
}

func uuidText(b []byte) string {
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
