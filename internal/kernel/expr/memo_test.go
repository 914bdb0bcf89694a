package expr

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// Biases with which no and every sub-expression gets a memo.
const never, always = -1 << 30, 1 << 20

// starve makes the dictionaries of p so small that they fill up and pause.
func starve(r *rand.Rand, p *Program) {
	for _, d := range p.dicts {
		d.limit, d.backoff.next = firstCode+r.IntN(12), r.IntN(100)
	}
}

// everyNode calls f for the nodes of x and of the blocks they evaluate.
func everyNode(x *block, f func(node)) {
	for _, n := range x.steps {
		f(n)
		if n, ok := n.(branching); ok {
			for _, y := range n.branches() {
				everyNode(y, f)
			}
		}
	}
}

// memosOf are the memos of a program.
func memosOf(p *Program) (memos []*memoNode) {
	everyNode(p.root, func(n node) {
		if m, ok := n.(*memoNode); ok {
			memos = append(memos, m)
		}
	})
	return memos
}

// memoOf is the first memo of a program.
func memoOf(t *testing.T, p *Program) *memoNode {
	t.Helper()
	memos := memosOf(p)
	if len(memos) == 0 {
		t.Fatal("there is no memo")
	}
	return memos[0]
}

func TestMemo_IsForSubTreesOfOneColumn(t *testing.T) {
	for text, want := range map[string]int{
		"s.matches('a')":                                  1,
		"s.matches('a') && s.contains('b')":               1,
		"s.matches('a') && t.matches('a')":                2,
		"d > 1.0 && s.matches('a')":                       1,
		"s.lowerAscii() + t":                              1,
		"s + ':' + t":                                     0,
		"s == 'a' || s.startsWith('b')":                   0,
		"s.matches(t)":                                    0,
		"cel.bind(x, s.lowerAscii(), x == 'a' || x == t)": 1,
		"cel.bind(x, s.lowerAscii(), x.matches('a'))":     1,
		"cel.bind(x, t, s.matches(x))":                    0,
		"y.size() > 0 && string(y) == 'a'":                0,
		"string(y).matches('a')":                          1,
		"os.orValue('').reverse() == ''":                  1,
		"string(i)":                                       0,
		"'a'.matches('a')":                                0,
	} {
		if got := len(memosOf(program(t, text))); got != want {
			t.Errorf("%s has %d memos, want %d", text, got, want)
		}
	}
}

// TestMemo_IgnoresOperandsThatMayBeSkipped: an expensive operand that a cheap condition may
// skip does not give the whole expression a memo, but may have one of its own.
func TestMemo_IgnoresOperandsThatMayBeSkipped(t *testing.T) {
	for text, whole := range map[string]bool{
		"s == 'US' && s.matches('^U')":                   false,
		"s in ['a', 'b'] || s.matches('7$')":             false,
		"s == '' ? '' : s.lowerAscii()":                  false,
		"!(s.startsWith('z') && s.matches('7$'))":        false,
		"os.orValue('').reverse() == ''":                 true,
		"s.matches('^U') && s == 'US'":                   true,
		"s.contains('a') && s.matches('7$')":             true,
		"s.matches('a') ? s == 'a' : s.reverse() == 'b'": true,
		"s == 'a' && s == 'b'":                           false,
	} {
		p := program(t, text)
		_, isMemo := p.root.last().(*memoNode)
		if isMemo != whole {
			t.Errorf("%s is one memo: %v, want %v", text, isMemo, whole)
		}
	}
	p := program(t, "s == 'a' && s.matches('^a')")
	m := memoOf(t, p)
	p.Eval(column(slices.Repeat([]any{"a", "b", "c", "d"}, fewRows)...), 4*fewRows, nil)
	if got := len(m.dict.entries) - firstCode; got != 1 {
		t.Errorf("%d strings have codes, want the one whose row is not skipped", got)
	}
}

// TestMemo_IsForShortStrings: the memo is not used for strings that cost more to look up than
// to evaluate.
func TestMemo_IsForShortStrings(t *testing.T) {
	const seven = "s in ['a', 'b', 'c', 'd', 'e', 'f', 'g']"
	for _, x := range []struct {
		text      string
		size      int
		bulk, few bool
	}{
		{seven, maxKey, true, false},
		{seven, maxKey + 1, false, false},
		{"s.contains('a') && s.contains('b')", 40, false, false},
		{"s.matches('^a')", maxKey, true, false},
		{"s.matches('^a')", 128, true, false},
		{"s.matches('^a')", 129, false, false},
		{"s.matches('^a.*b')", 512, true, true},
		{"s.replace('a', 'b') == ''", 512, true, true},
		{"s.replace('a', 'b') == ''", 513, false, false},
	} {
		for n, want := range map[int]bool{fewRows: x.bulk, fewRows - 1: x.few} {
			p := program(t, x.text)
			d := memoOf(t, p).dict
			p.Eval(column(slices.Repeat([]any{strings.Repeat("x", x.size)}, n)...), n, nil)
			if got := len(d.entries) > firstCode; got != want {
				t.Errorf("%s of %d strings of %d bytes looks them up: %v", x.text, n, x.size, got)
			}
		}
	}
}

// column is a column of strings, nil for null.
func column(list ...any) []*vector.Vector {
	var out []vars
	for _, s := range list {
		if s == nil {
			out = append(out, vars{})
			continue
		}
		out = append(out, vars{"s": plan.StringValue(s.(string))})
	}
	return rows(out...)
}

func TestMemo_EvaluatesAStringOnce(t *testing.T) {
	p := program(t, "s.matches('a+')")
	m := memoOf(t, p)
	counter := &countingNode{}
	replaceMatch(&m.body, counter)
	failed := column("a", "b")
	failed[8].SetErr(1)
	for i, step := range []struct {
		cols  []*vector.Vector
		need  vector.Bitmap
		want  string
		asked int
	}{
		{column("a", "b", "a", "c", "b"), nil, "true false true false false", 3},
		{column("c", "b", "a"), nil, "false false true", 3},
		{column("d", nil, "ae", nil), vector.Bitmap{0b0001}, "false - - -", 4},
		{column("ae", nil, "d", nil), vector.Bitmap{0b1110}, "- error false error", 5},
		{column(nil, "ae"), nil, "error true", 6},
		{failed, nil, "true error", 7},
		{failed, nil, "true error", 7},
		{column(), nil, "", 7},
	} {
		n := step.cols[0].N
		out := p.Eval(step.cols, n, step.need)
		var got []string
		for i := range n {
			if step.need != nil && !step.need.Get(i) {
				got = append(got, "-")
			} else {
				got = append(got, result(out, i).String())
			}
		}
		if s := strings.Join(got, " "); s != step.want || counter.asked != step.asked {
			t.Errorf("step %d gives %s and has evaluated %d strings, want %s and %d", i, s, counter.asked, step.want, step.asked)
		}
	}
}

func TestMemo_OfOptionals(t *testing.T) {
	for text, want := range map[string][3]string{
		"optional.of(s).or(optional.of(t)).orValue('z')":             {`"a"`, "null", "null"},
		"optional.ofNonZeroValue(s).or(optional.of(t)).orValue('z')": {`"a"`, `"t"`, "null"},
		"os.or(optional.of(t)).orValue('z')":                         {`"o"`, `"t"`, "null"},
		"(s == 'a' ? os : optional.none()).orValue(t)":               {`"o"`, `"t"`, "null"},
	} {
		p := programFor(t, text, always)
		other := plan.StringValue("t")
		cols := rows(slices.Repeat([]vars{
			{"s": plan.StringValue("a"), "os": plan.StringValue("o"), "t": other}, {"t": other}, {},
		}, fewRows)...)
		for range 2 {
			out := p.Eval(cols, 3*fewRows, nil)
			for i := range 3 * fewRows {
				if got, w := result(out, i).String(), want[i%3]; got != w {
					t.Errorf("%s: row %d is %s, want %s", text, i, got, w)
				}
			}
		}
	}
}

// TestMemo_DistinguishesStrings: strings with similar or equal keys.
func TestMemo_DistinguishesStrings(t *testing.T) {
	var list []any
	for n := range 40 {
		list = append(list, strings.Repeat("a", n), strings.Repeat("\x00", n), strings.Repeat("a", n)+"b"+strings.Repeat("a", n))
	}
	cols := column(list...)
	p := programFor(t, "s.reverse() + '.'", always)
	for range 2 {
		out := p.Eval(cols, len(list), nil)
		for i, s := range list {
			if got, want := out.Str[i], s.(string)+"."; got != want {
				t.Errorf("row %d is %q, want %q", i, got, want)
			}
		}
	}
}

// TestMemo_CopiesStrings: the strings of a batch may be in memory that is overwritten later.
func TestMemo_CopiesStrings(t *testing.T) {
	for _, text := range []string{"s.matches('^a') ? s : s", "string(s.reverse().reverse())", "s.upperAscii().matches('^.') ? s : ''"} {
		p := programFor(t, text, always)
		mem := []byte("abcdefghij")
		cols := column("")
		cols[8].Str[0] = unsafe.String(&mem[0], len(mem))
		p.Eval(cols, 1, nil)
		copy(mem, "0123456789")
		again := column("abcdefghij", "0123456789")
		out := p.Eval(again, 2, nil)
		for i := range 2 {
			if out.Str[i] != again[8].Str[i] {
				t.Errorf("%s of %q is %q", text, again[8].Str[i], out.Str[i])
			}
		}
	}
}

func distinct(from, n int) []*vector.Vector {
	list := make([]any, n)
	for i := range list {
		list[i] = fmt.Sprint("name ", from+i)
	}
	return column(list...)
}

func TestMemo_IsBounded(t *testing.T) {
	p := program(t, "s.matches('7$')")
	m := memoOf(t, p)
	check := func(from, n int) {
		t.Helper()
		cols := distinct(from, n)
		out := p.Eval(cols, n, nil)
		for i := range n {
			if got, want := out.Bits.Get(i), strings.HasSuffix(cols[8].Str[i], "7"); got != want {
				t.Fatalf("%q is %v", cols[8].Str[i], got)
			}
		}
		if len(m.dict.entries) > maxEntries || len(m.flags) > maxEntries {
			t.Fatalf("%d entries", len(m.dict.entries))
		}
	}
	check(0, 2*maxEntries) // more than the limit
	check(0, fewRows)
	if m.dict.backoff.left <= 0 {
		t.Error("a dictionary of strings that never repeat does not pause")
	}
	for range 2 * minPause / 1000 {
		check(0, 1000)
	}
	if m.dict.backoff.left > 0 || len(m.dict.entries) != 1000+firstCode {
		t.Errorf("after its pause the dictionary has %d entries, and pauses for %d rows", len(m.dict.entries), m.dict.backoff.left)
	}
	check(10_000, maxEntries) // beside those above, more than fit
	for _, from := range []int{503, 0, 4} {
		check(from, 1000) // other codes for the same strings
	}
	if len(m.dict.entries) != 1503+firstCode {
		t.Errorf("a dictionary whose strings repeat has %d entries", len(m.dict.entries))
	}
	long := column(strings.Repeat("x", maxBytes+1), "b7")
	if out := p.Eval(long, 2, nil); out.Bits[0] != 0b10 || m.dict.bytes > maxBytes {
		t.Errorf("a long string gives %b and takes %d bytes", out.Bits[0], m.dict.bytes)
	}
}

// TestMemo_ResultsAreBounded: the result strings of a memo count towards the dictionary's
// limit, are copies, and are dropped with the entries.
func TestMemo_ResultsAreBounded(t *testing.T) {
	const text = "s.replace('a', '0123456789') + '!'"
	long := func(from, n int) []*vector.Vector {
		list := make([]any, n)
		for i := range list {
			list[i] = fmt.Sprint(from+i, strings.Repeat("a", 400))
		}
		return column(list...)
	}
	p := program(t, text)
	m := memoOf(t, p)
	kept := func() (bytes int) {
		for _, s := range m.strs {
			bytes += len(s)
		}
		return bytes
	}
	check := func(from, n int) {
		t.Helper()
		cols := long(from, n)
		out := p.Eval(cols, n, nil)
		for i := range n {
			if got, want := out.Str[i], strings.ReplaceAll(cols[8].Str[i], "a", "0123456789")+"!"; got != want {
				t.Fatalf("%q gives %q", cols[8].Str[i], got)
			}
		}
		if kept() > maxBytes || m.dict.bytes > maxBytes {
			t.Fatalf("%d bytes of results, %d of the dictionary", kept(), m.dict.bytes)
		}
	}
	check(0, 50)
	if kept() == 0 {
		t.Fatal("the memo has stored no result")
	}
	if body := m.body.out; unsafe.StringData(m.strs[firstCode]) == unsafe.StringData(body.Str[0]) {
		t.Error("the memo refers to a string of its body, which keeps a whole buffer alive")
	}
	check(0, 200) // more than the limit
	if !m.dict.full {
		t.Error("the dictionary is not full")
	}
	check(1000, 200)
	m.dict.full, m.dict.backoff.next = true, 1<<10
	check(0, 20)
	if m.dict.backoff.left <= 0 || m.strs != nil || m.column.Str != nil {
		t.Errorf("a memo of a paused dictionary stores %d bytes", kept())
	}
}

// TestMemo_RestoresItsColumn: the body reads entries in place of the column, and nodes after
// the memo read the column.
func TestMemo_RestoresItsColumn(t *testing.T) {
	p := programFor(t, "s.matches('a') ? s : t", always)
	var list []vars
	for _, s := range []string{"a", "a", "b", "ab"} {
		list = append(list, vars{"s": plan.StringValue(s), "t": plan.StringValue("t" + s)})
	}
	out := p.Eval(rows(list...), 4, nil)
	memoOf(t, p)
	for i, want := range []string{"a", "a", "tb", "ab"} {
		if got := result(out, i).String(); got != fmt.Sprintf("%q", want) {
			t.Errorf("row %d is %s, want %q", i, got, want)
		}
	}
}

// panicNode panics once.
type panicNode struct {
	node
	done bool
}

func (x *panicNode) eval(n int, need vector.Bitmap) {
	if !x.done {
		x.done = true
		panic("once")
	}
	x.node.eval(n, need)
}

// TestMemo_ForgetsAfterAPanic: a program may be used again after its caller recovered from a
// panic.
func TestMemo_ForgetsAfterAPanic(t *testing.T) {
	p := program(t, "s.matches('a+')")
	m := memoOf(t, p)
	m.body.steps[0] = &panicNode{node: m.body.steps[0]}
	cols := column("a", "b")
	func() {
		defer func() { _ = recover() }()
		p.Eval(cols, 2, nil)
	}()
	if out := p.Eval(cols, 2, nil); out.Bits[0] != 0b01 || out.Err != nil {
		t.Errorf("after a panic the results are %b", out.Bits[0])
	}
}
