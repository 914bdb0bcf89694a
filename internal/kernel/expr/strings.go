package expr

import (
	"math/bits"
	"regexp"
	"strings"
	"unicode/utf8"
	"unsafe"

	"cel.dev/cel-go/common/overloads"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

var stringRules = map[string]rule{
	overloads.StartsWithString: predicateRule(strings.HasPrefix, 3),
	overloads.EndsWithString:   predicateRule(strings.HasSuffix, 3),
	overloads.ContainsString:   predicateRule(strings.Contains, 8),
	overloads.MatchesString:    {[]plan.Kind{plan.String, plan.String}, matches},
	overloads.Matches:          {[]plan.Kind{plan.String, plan.String}, matches},
	overloads.SizeString:       {[]plan.Kind{plan.String}, stringSize},
	overloads.SizeStringInst:   {[]plan.Kind{plan.String}, stringSize},
	overloads.SizeBytes:        {[]plan.Kind{plan.Bytes}, bytesSize},
	overloads.SizeBytesInst:    {[]plan.Kind{plan.Bytes}, bytesSize},
	"string_lower_ascii":       {[]plan.Kind{plan.String}, format(appendLower)},
	"string_upper_ascii":       {[]plan.Kind{plan.String}, format(appendUpper)},
	"string_trim":              {[]plan.Kind{plan.String}, convert(trim)},
	overloads.AddString:        {[]plan.Kind{plan.String, plan.String}, concat},
	overloads.AddBytes:         {[]plan.Kind{plan.Bytes, plan.Bytes}, concat},
}

func predicateRule(test func(s, x string) bool, price int) rule {
	return rule{[]plan.Kind{plan.String, plan.String}, func(_ *compiler, e *plan.Expr, args []*term) *term {
		x := &predicateNode{two(e.Type, args[0], args[1]), test, price}
		return then(x, x.out, args[0], args[1])
	}}
}

// predicateNode tests pairs of strings.
type predicateNode struct {
	binary
	test  func(s, x string) bool
	price int // see nodePrice
}

func (x *predicateNode) eval(n int, need vector.Bitmap) {
	l, r, o := x.l, x.r, x.out
	o.reset(n)
	o.strictBoth(l, r)
	for w := range o.Bits {
		a, k := l.Str[w*64:n], r.Str[w*64:n]
		var hits uint64
		for rows := o.wanted(need, w); rows != 0; rows &= rows - 1 {
			if i := bits.TrailingZeros64(rows); x.test(a[i], k[i]) {
				hits |= 1 << i
			}
		}
		o.Bits[w] = hits
	}
}

// wanted is the rows of word w that an expensive kernel must compute: needed rows that have
// not failed already.
func (c *col) wanted(need vector.Bitmap, w int) uint64 {
	return needWord(need, w, c.N) &^ word(c.Err, w)
}

// wanted is the same for one row.
func wanted(o *col, need vector.Bitmap, i int) bool {
	return (need == nil || need.Get(i)) && !o.Err.Get(i)
}

// matches compiles a test against a constant pattern. Invalid patterns and those that are
// not constant run in cel-go.
func matches(_ *compiler, e *plan.Expr, args []*term) *term {
	k := args[1].lit
	if k == nil || k.null || k.err {
		return nil
	}
	re, err := regexp.Compile(k.val.Str())
	if err != nil {
		return nil
	}
	x := &matchNode{one(e.Type, args[0]), re}
	return then(x, x.out, args[0])
}

type matchNode struct {
	unary
	re *regexp.Regexp
}

func (x *matchNode) eval(n int, need vector.Bitmap) {
	a, o := x.arg, x.out
	o.reset(n)
	o.strict(a)
	for w := range o.Bits {
		part := a.Str[w*64 : n]
		var hits uint64
		for rows := o.wanted(need, w); rows != 0; rows &= rows - 1 {
			if i := bits.TrailingZeros64(rows); x.re.MatchString(part[i]) {
				hits |= 1 << i
			}
		}
		o.Bits[w] = hits
	}
}

func stringSize(_ *compiler, e *plan.Expr, args []*term) *term {
	return mapTerm(e.Type, args[0], func(o, a *col) {
		for i := range o.Int {
			if !o.Err.Get(i) {
				o.Int[i] = int64(utf8.RuneCountInString(a.Str[i]))
			}
		}
	})
}

func bytesSize(_ *compiler, e *plan.Expr, args []*term) *term {
	return mapTerm(e.Type, args[0], func(o, a *col) {
		for i := range o.Int {
			o.Int[i] = int64(len(a.Str[i]))
		}
	})
}

// concat compiles +, flattening nested ones.
func concat(_ *compiler, e *plan.Expr, args []*term) *term {
	x := &concatNode{out: newCol(e.Type)}
	t := &term{typ: e.Type}
	for _, a := range args {
		if last, ok := a.last().(*concatNode); ok && last.out == a.out {
			a.steps = a.steps[:len(a.steps)-1]
			x.parts = append(x.parts, last.parts...)
		} else {
			x.parts = append(x.parts, a.out)
		}
		t.add(&a.block)
	}
	t.steps, t.out = append(t.steps, x), x.out
	return t
}

// concatNode joins strings.
type concatNode struct {
	parts []*col
	lanes [][]string // of parts
	text  arena
	out   *col
}

func (x *concatNode) eval(n int, need vector.Bitmap) {
	o := x.out
	o.reset(n)
	x.lanes = x.lanes[:0]
	for _, a := range x.parts {
		o.strict(a)
		x.lanes = append(x.lanes, a.Str[:n])
	}
	x.text.grow(x.size(need))
	buf := x.text.buf
	from := len(buf)
	for i := range o.Str {
		if !wanted(o, need, i) {
			continue
		}
		for _, a := range x.lanes {
			buf = append(buf, a[i]...)
		}
		o.Str[i] = asString(buf[from:])
		from = len(buf)
	}
	x.text.buf = buf
}

// size is at least the number of bytes that the rows of need take.
func (x *concatNode) size(need vector.Bitmap) int {
	size := 0
	for _, a := range x.lanes {
		for i, s := range a {
			if wanted(x.out, need, i) {
				size += len(s)
			}
		}
	}
	return size
}

func appendLower(dst []byte, a *col, i int) []byte {
	from := len(dst)
	dst = append(dst, a.Str[i]...)
	for k, c := range dst[from:] {
		if c >= 'A' && c <= 'Z' {
			dst[from+k] = c + ('a' - 'A')
		}
	}
	return dst
}

func appendUpper(dst []byte, a *col, i int) []byte {
	from := len(dst)
	dst = append(dst, a.Str[i]...)
	for k, c := range dst[from:] {
		if c >= 'a' && c <= 'z' {
			dst[from+k] = c - ('a' - 'A')
		}
	}
	return dst
}

func trim(o, a *col, i int) bool { o.Str[i] = strings.TrimSpace(a.Str[i]); return true }

// arena allocates strings from larger buffers, which are never overwritten, so that the
// strings stay valid. A string keeps its whole buffer alive: maxArena bytes, or as many as
// one call of grow requested.
type arena struct{ buf []byte }

const minArena, maxArena = 64, 64 << 10

// grow makes room for size bytes. Appending more reallocates the buffer.
func (t *arena) grow(size int) {
	if cap(t.buf)-len(t.buf) < size {
		t.buf = make([]byte, 0, max(size, min(2*cap(t.buf), maxArena), minArena))
	}
}

// clone copies s.
func (t *arena) clone(s string) string {
	t.grow(len(s))
	from := len(t.buf)
	t.buf = append(t.buf, s...)
	return asString(t.buf[from:])
}

// asString is b as a string; b must not be written to any more.
func asString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
