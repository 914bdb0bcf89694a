package expr

import (
	"regexp"
	"strings"
	"unicode/utf8"
	"unsafe"

	"cel.dev/cel-go/common/overloads"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel/vector"
)

var stringRules = map[string]rule{
	overloads.StartsWithString: predicateRule(strings.HasPrefix),
	overloads.EndsWithString:   predicateRule(strings.HasSuffix),
	overloads.ContainsString:   predicateRule(strings.Contains),
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

func predicateRule(test func(s, x string) bool) rule {
	return rule{[]plan.Kind{plan.String, plan.String}, func(_ *compiler, e *plan.Expr, args []*term) *term {
		return &term{typ: e.Type, node: &predicateNode{binary{args[0].node, args[1].node}, test, newCol(e.Type)}}
	}}
}

// predicateNode tests pairs of strings.
type predicateNode struct {
	binary
	test func(s, x string) bool
	out  *col
}

func (x *predicateNode) eval(b *batch, need vector.Bitmap) *col {
	l, r, o := x.l.eval(b, need), x.r.eval(b, need), x.out
	o.reset(b.n)
	o.strictBoth(l, r)
	for i := 0; i < b.n; i++ {
		if wanted(o, need, i) && x.test(l.Str[i], r.Str[i]) {
			o.Bits.Set(i)
		}
	}
	return o
}

// wanted reports whether a kernel whose rows are expensive must compute row i:
// somebody needs it, and it has not failed already.
func wanted(o *col, need vector.Bitmap, i int) bool {
	return (need == nil || need.Get(i)) && !o.Err.Get(i)
}

// matches compiles a test against a constant pattern; cel-go reports bad and
// varying patterns row by row.
func matches(_ *compiler, e *plan.Expr, args []*term) *term {
	k := args[1].lit
	if k == nil || k.null || k.err {
		return nil
	}
	re, err := regexp.Compile(k.val.Str())
	if err != nil {
		return nil
	}
	return &term{typ: e.Type, node: &matchNode{unary{args[0].node}, re, newCol(e.Type)}}
}

type matchNode struct {
	unary
	re  *regexp.Regexp
	out *col
}

func (x *matchNode) eval(b *batch, need vector.Bitmap) *col {
	a, o := x.arg.eval(b, need), x.out
	o.reset(b.n)
	o.strict(a)
	for i := 0; i < b.n; i++ {
		if wanted(o, need, i) && x.re.MatchString(a.Str[i]) {
			o.Bits.Set(i)
		}
	}
	return o
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

func concat(_ *compiler, e *plan.Expr, args []*term) *term {
	return &term{typ: e.Type, node: &concatNode{binary{args[0].node, args[1].node}, newCol(e.Type)}}
}

// concatNode joins strings, in one allocation for a batch.
type concatNode struct {
	binary
	out *col
}

func (x *concatNode) eval(b *batch, need vector.Bitmap) *col {
	l, r, o := x.l.eval(b, need), x.r.eval(b, need), x.out
	o.reset(b.n)
	o.strictBoth(l, r)
	size := 0
	for i := range o.Str {
		if wanted(o, need, i) {
			size += len(l.Str[i]) + len(r.Str[i])
		}
	}
	t := newText(size)
	for i := range o.Str {
		if wanted(o, need, i) {
			t.buf = append(t.buf, l.Str[i]...)
			t.buf = append(t.buf, r.Str[i]...)
			o.Str[i] = t.cut()
		}
	}
	return o
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

// stringBuilder collects the strings of one batch in one piece of memory, which
// is never written again, so that they stay valid.
type stringBuilder struct {
	buf  []byte
	from int
}

func newText(size int) stringBuilder { return stringBuilder{buf: make([]byte, 0, size)} }

// cut is what was appended since the last cut.
func (t *stringBuilder) cut() string {
	s := t.buf[t.from:]
	t.from = len(t.buf)
	return unsafe.String(unsafe.SliceData(s), len(s))
}
