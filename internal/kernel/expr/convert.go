package expr

import (
	"math"
	"math/bits"
	"strconv"
	"time"
	"unicode/utf8"

	"cel.dev/cel-go/common/overloads"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

var conversionRules = map[string]rule{
	overloads.IntToInt:             {[]plan.Kind{plan.Int}, identity},
	overloads.UintToUint:           {[]plan.Kind{plan.Uint}, identity},
	overloads.DoubleToDouble:       {[]plan.Kind{plan.Double}, identity},
	overloads.BoolToBool:           {[]plan.Kind{plan.Bool}, identity},
	overloads.StringToString:       {[]plan.Kind{plan.String}, identity},
	overloads.BytesToBytes:         {[]plan.Kind{plan.Bytes}, identity},
	overloads.TimestampToTimestamp: {[]plan.Kind{plan.Timestamp}, identity},
	overloads.DurationToDuration:   {[]plan.Kind{plan.Duration}, identity},

	overloads.IntToDouble:    {[]plan.Kind{plan.Int}, convert(intToDouble)},
	overloads.UintToDouble:   {[]plan.Kind{plan.Uint}, convert(uintToDouble)},
	overloads.StringToDouble: {[]plan.Kind{plan.String}, convert(stringToDouble)},
	overloads.DoubleToInt:    {[]plan.Kind{plan.Double}, convert(doubleToInt)},
	overloads.DoubleToUint:   {[]plan.Kind{plan.Double}, convert(doubleToUint)},
	overloads.IntToUint:      {[]plan.Kind{plan.Int}, convert(signBitFails)},
	overloads.UintToInt:      {[]plan.Kind{plan.Uint}, convert(signBitFails)},
	overloads.StringToInt:    {[]plan.Kind{plan.String}, convert(stringToInt)},
	overloads.StringToUint:   {[]plan.Kind{plan.String}, convert(stringToUint)},
	overloads.TimestampToInt: {[]plan.Kind{plan.Timestamp}, convert(timeToSeconds)},
	overloads.DurationToInt:  {[]plan.Kind{plan.Duration}, convert(sameLane)},
	overloads.IntToTimestamp: {[]plan.Kind{plan.Int}, convert(secondsToTime)},
	overloads.StringToBool:   {[]plan.Kind{plan.String}, convert(stringToBool)},
	overloads.StringToBytes:  {[]plan.Kind{plan.String}, convert(sameText)},
	overloads.BytesToString:  {[]plan.Kind{plan.Bytes}, convert(bytesToString)},

	overloads.BoolToString:      {[]plan.Kind{plan.Bool}, format(appendBool)},
	overloads.IntToString:       {[]plan.Kind{plan.Int}, format(appendInt)},
	overloads.UintToString:      {[]plan.Kind{plan.Uint}, format(appendUint)},
	overloads.DoubleToString:    {[]plan.Kind{plan.Double}, format(appendDouble)},
	overloads.DurationToString:  {[]plan.Kind{plan.Duration}, format(appendDuration)},
	overloads.TimestampToString: {[]plan.Kind{plan.Timestamp}, timeToString},
}

// identity converts a value to its own type; null fails.
func identity(_ *compiler, e *plan.Expr, args []*term) *term {
	x := &identityNode{one(e.Type, args[0])}
	return like(args[0], then(x, x.out, args[0]))
}

type identityNode struct{ unary }

func (x *identityNode) eval(int, vector.Bitmap) {
	a, o := x.arg, x.out
	if !a.marked {
		o.view(a)
		return
	}
	o.viewLanes(a)
	o.strict(a)
}

// conversion converts row i and reports whether it succeeded.
type conversion func(o, a *col, i int) bool

func convert(f conversion) builder {
	return func(_ *compiler, e *plan.Expr, args []*term) *term {
		x := &convertNode{one(e.Type, args[0]), f}
		return then(x, x.out, args[0])
	}
}

type convertNode struct {
	unary
	convert conversion
}

func (x *convertNode) eval(n int, need vector.Bitmap) {
	a, o := x.arg, x.out
	o.reset(n)
	o.strict(a)
	for w := range vector.Words(n) {
		var bad uint64
		for rows := o.wanted(need, w); rows != 0; rows &= rows - 1 {
			i := bits.TrailingZeros64(rows)
			if !x.convert(o, a, w*64+i) {
				bad |= 1 << i
			}
		}
		o.addErrWord(w, bad)
	}
}

func sameLane(o, a *col, i int) bool     { o.Int[i] = a.Int[i]; return true }
func sameText(o, a *col, i int) bool     { o.Str[i] = a.Str[i]; return true }
func intToDouble(o, a *col, i int) bool  { o.Double[i] = float64(a.Int[i]); return true }
func uintToDouble(o, a *col, i int) bool { o.Double[i] = float64(uint64(a.Int[i])); return true }

// signBitFails converts between int and uint: in either direction the lane stays the same,
// and values with the sign bit set are out of range.
func signBitFails(o, a *col, i int) bool {
	o.Int[i] = a.Int[i]
	return a.Int[i] >= 0
}

// doubleToInt truncates; -2^63 itself is out of range in cel-go.
func doubleToInt(o, a *col, i int) bool {
	v := a.Double[i]
	if !(v > math.MinInt64 && v < math.MaxInt64) {
		return false
	}
	o.Int[i] = int64(v)
	return true
}

func doubleToUint(o, a *col, i int) bool {
	v := a.Double[i]
	if !(v >= 0 && v < 1<<64) {
		return false
	}
	o.Int[i] = int64(uint64(v))
	return true
}

func timeToSeconds(o, a *col, i int) bool {
	o.Int[i] = plan.FloorDiv(a.Int[i], microsPerSecond)
	return true
}

func secondsToTime(o, a *col, i int) bool {
	const first = int64(plan.MinTime) / int64(plan.Second)
	const last = int64(plan.MaxTime) / int64(plan.Second)
	if a.Int[i] < first || a.Int[i] > last {
		return false
	}
	o.Int[i] = a.Int[i] * microsPerSecond
	return true
}

func stringToInt(o, a *col, i int) bool {
	n, err := strconv.ParseInt(a.Str[i], 10, 64)
	o.Int[i] = n
	return err == nil
}

func stringToUint(o, a *col, i int) bool {
	n, err := strconv.ParseUint(a.Str[i], 10, 64)
	o.Int[i] = int64(n)
	return err == nil
}

func stringToDouble(o, a *col, i int) bool {
	f, err := strconv.ParseFloat(a.Str[i], 64)
	o.Double[i] = f
	return err == nil
}

func stringToBool(o, a *col, i int) bool {
	v, err := strconv.ParseBool(a.Str[i])
	o.Bits.Put(i, v)
	return err == nil
}

func bytesToString(o, a *col, i int) bool {
	o.Str[i] = a.Str[i]
	return utf8.ValidString(a.Str[i])
}

// formatter appends the text of row i.
type formatter func(dst []byte, a *col, i int) []byte

func format(f formatter) builder {
	return func(_ *compiler, e *plan.Expr, args []*term) *term {
		x := &formatNode{unary: one(e.Type, args[0]), format: f}
		return then(x, x.out, args[0])
	}
}

// formatNode writes values as strings, with few allocations per batch. The text of a
// string is as long as the string; that of another value is at most minArena bytes.
type formatNode struct {
	unary
	format formatter
	text   arena
}

func (x *formatNode) eval(n int, need vector.Bitmap) {
	a, o := x.arg, x.out
	o.reset(n)
	o.strict(a)
	t, isText := &x.text, vector.Lane(a.Type) == plan.String
	for i := range o.Str {
		if wanted(o, need, i) {
			size := minArena
			if isText {
				size = len(a.Str[i])
			}
			t.grow(size)
			from := len(t.buf)
			t.buf = x.format(t.buf, a, i)
			o.Str[i] = asString(t.buf[from:])
		}
	}
}

func appendBool(dst []byte, a *col, i int) []byte { return strconv.AppendBool(dst, a.Bits.Get(i)) }
func appendInt(dst []byte, a *col, i int) []byte  { return strconv.AppendInt(dst, a.Int[i], 10) }
func appendUint(dst []byte, a *col, i int) []byte {
	return strconv.AppendUint(dst, uint64(a.Int[i]), 10)
}

// appendDouble formats like %g of package fmt: 1e+06 for a million.
func appendDouble(dst []byte, a *col, i int) []byte {
	return strconv.AppendFloat(dst, a.Double[i], 'g', -1, 64)
}

func appendDuration(dst []byte, a *col, i int) []byte {
	dst = strconv.AppendFloat(dst, time.Duration(a.Int[i]).Seconds(), 'f', -1, 64)
	return append(dst, 's')
}

// timeToString writes RFC 3339 in UTC. It leaves timestamps that may have another zone or
// more digits to cel-go.
func timeToString(c *compiler, e *plan.Expr, args []*term) *term {
	if !args[0].plain() {
		return nil
	}
	return format(appendTime)(c, e, args)
}

func appendTime(dst []byte, a *col, i int) []byte {
	return plan.EventTime(a.Int[i]).Time().AppendFormat(dst, time.RFC3339Nano)
}
