package expr

import (
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel/vector"
)

// order is one of the four ordering operators.
type order struct {
	swap  bool // > and >= are < and <= with the operands exchanged
	equal bool // <= and >=
}

var comparisonRules = makeComparisonRules()

func makeComparisonRules() map[string]rule {
	type ids struct {
		kind           plan.Kind
		lt, le, gt, ge string
	}
	rules := map[string]rule{}
	for _, k := range []ids{
		{plan.Int, overloads.LessInt64, overloads.LessEqualsInt64, overloads.GreaterInt64, overloads.GreaterEqualsInt64},
		{plan.Uint, overloads.LessUint64, overloads.LessEqualsUint64, overloads.GreaterUint64, overloads.GreaterEqualsUint64},
		{plan.Double, overloads.LessDouble, overloads.LessEqualsDouble, overloads.GreaterDouble, overloads.GreaterEqualsDouble},
		{plan.String, overloads.LessString, overloads.LessEqualsString, overloads.GreaterString, overloads.GreaterEqualsString},
		{plan.Bytes, overloads.LessBytes, overloads.LessEqualsBytes, overloads.GreaterBytes, overloads.GreaterEqualsBytes},
		{plan.Timestamp, overloads.LessTimestamp, overloads.LessEqualsTimestamp, overloads.GreaterTimestamp, overloads.GreaterEqualsTimestamp},
		{plan.Duration, overloads.LessDuration, overloads.LessEqualsDuration, overloads.GreaterDuration, overloads.GreaterEqualsDuration},
	} {
		rules[k.lt] = orderRule(k.kind, order{})
		rules[k.le] = orderRule(k.kind, order{equal: true})
		rules[k.gt] = orderRule(k.kind, order{swap: true})
		rules[k.ge] = orderRule(k.kind, order{swap: true, equal: true})
	}
	return rules
}

func orderRule(k plan.Kind, op order) rule {
	return rule{[]plan.Kind{k, k}, func(_ *compiler, e *plan.Expr, args []*term) *term {
		if args[0].floored || args[1].floored {
			return nil
		}
		if n := orderWithConstant(e, k, op, args); n != nil {
			return &term{typ: e.Type, node: n}
		}
		return &term{typ: e.Type, node: &orderNode{binary{args[0].node, args[1].node}, k, op, newCol(e.Type)}}
	}}
}

type orderNode struct {
	binary
	kind plan.Kind
	op   order
	out  *col
}

func (x *orderNode) eval(b *batch, need vector.Bitmap) *col {
	l, r, o := x.l.eval(b, need), x.r.eval(b, need), x.out
	o.reset(b.n)
	o.strictBoth(l, r)
	if x.kind == plan.Double && r.Null != nil {
		o.forgiveNaN(l, r)
	}
	if x.op.swap {
		l, r = r, l
	}
	switch {
	case x.kind == plan.Double:
		orderLanes(o.Bits, l.Double[:b.n], r.Double, x.op.equal)
	case x.kind == plan.Uint:
		orderUints(o.Bits, l.Int[:b.n], r.Int, x.op.equal)
	case vector.Lane(l.Type) == plan.Int:
		orderLanes(o.Bits, l.Int[:b.n], r.Int, x.op.equal)
	default:
		orderLanes(o.Bits, l.Str[:b.n], r.Str, x.op.equal)
	}
	return o
}

// orderWithConstant is the node for a right operand that is a literal number, or nil.
func orderWithConstant(e *plan.Expr, k plan.Kind, op order, args []*term) node {
	lit := args[1].lit
	if lit == nil || lit.null || lit.err || k == plan.Uint || k == plan.String || k == plan.Bytes {
		return nil
	}
	return &orderConstNode{unary{args[0].node}, k == plan.Double, op, lit.val, newCol(e.Type)}
}

// orderConstNode compares numbers with one number.
type orderConstNode struct {
	unary
	double bool
	op     order
	val    plan.Value
	out    *col
}

func (x *orderConstNode) eval(b *batch, need vector.Bitmap) *col {
	a, o := x.arg.eval(b, need), x.out
	o.reset(b.n)
	o.strict(a)
	if x.double {
		orderConst(o.Bits, a.Double[:b.n], x.val.Double(), x.op)
	} else {
		orderConst(o.Bits, a.Int[:b.n], x.val.Int(), x.op)
	}
	return o
}

func orderConst[T int64 | float64](dst vector.Bitmap, a []T, k T, op order) {
	for w := range dst {
		part := a[w*64 : min(w*64+64, len(a))]
		switch op {
		case order{}:
			dst[w] = belowWord(part, k)
		case order{equal: true}:
			dst[w] = atMostWord(part, k)
		case order{swap: true}:
			dst[w] = aboveWord(part, k)
		default:
			dst[w] = atLeastWord(part, k)
		}
	}
}

func belowWord[T int64 | float64](a []T, k T) (bits uint64) {
	for i, x := range a {
		var bit uint64
		if x < k {
			bit = 1
		}
		bits |= bit << i
	}
	return bits
}

func atMostWord[T int64 | float64](a []T, k T) (bits uint64) {
	for i, x := range a {
		var bit uint64
		if x <= k {
			bit = 1
		}
		bits |= bit << i
	}
	return bits
}

func aboveWord[T int64 | float64](a []T, k T) (bits uint64) {
	for i, x := range a {
		var bit uint64
		if x > k {
			bit = 1
		}
		bits |= bit << i
	}
	return bits
}

func atLeastWord[T int64 | float64](a []T, k T) (bits uint64) {
	for i, x := range a {
		var bit uint64
		if x >= k {
			bit = 1
		}
		bits |= bit << i
	}
	return bits
}

// forgiveNaN clears the errors of rows where cel-go looks for NaN before it looks
// for null: `NaN < null` is false, although `null < NaN` is an error.
func (c *col) forgiveNaN(l, r *col) {
	for w, nulls := range r.Null {
		rows := nulls &^ (word(r.Err, w) | word(l.Err, w) | word(l.Null, w)) & tail(w, c.N)
		for i := w * 64; rows != 0; i, rows = i+1, rows>>1 {
			if rows&1 != 0 && l.Double[i] != l.Double[i] {
				c.Err.Clear(i)
			}
		}
	}
}

func orderLanes[T int64 | float64 | string](dst vector.Bitmap, a, b []T, equal bool) {
	b = b[:len(a)]
	for w := range dst {
		from, to := w*64, min(w*64+64, len(a))
		if equal {
			dst[w] = lessEqualWord(a[from:to], b[from:to])
		} else {
			dst[w] = lessWord(a[from:to], b[from:to])
		}
	}
}

func lessWord[T int64 | float64 | string](a, b []T) (bits uint64) {
	b = b[:len(a)]
	for i, x := range a {
		var bit uint64
		if x < b[i] {
			bit = 1
		}
		bits |= bit << i
	}
	return bits
}

func lessEqualWord[T int64 | float64 | string](a, b []T) (bits uint64) {
	b = b[:len(a)]
	for i, x := range a {
		var bit uint64
		if x <= b[i] {
			bit = 1
		}
		bits |= bit << i
	}
	return bits
}

func orderUints(dst vector.Bitmap, a, b []int64, equal bool) {
	for i, x := range a {
		if uint64(x) < uint64(b[i]) || equal && x == b[i] {
			dst.Set(i)
		}
	}
}

// equality compiles == and !=, which are defined on null.
func (c *compiler) equality(e *plan.Expr) *term {
	if len(e.Args) != 2 {
		return nil
	}
	not := e.Name == operators.NotEquals
	l, r := e.Args[0], e.Args[1]
	switch {
	case isNull(r):
		return c.nullTest(e, l, not)
	case isNull(l):
		return c.nullTest(e, r, not)
	case !l.Type.Kind.Scalar() || !l.Type.Equal(r.Type):
		return nil
	}
	args := c.operands(e.Args)
	if args == nil || args[0].floored || args[1].floored {
		return nil
	}
	return &term{typ: e.Type, node: &equalNode{binary{args[0].node, args[1].node}, not, newCol(e.Type)}}
}

type equalNode struct {
	binary
	not bool
	out *col
}

func (x *equalNode) eval(b *batch, need vector.Bitmap) *col {
	l, r, o := x.l.eval(b, need), x.r.eval(b, need), x.out
	o.reset(b.n)
	o.addErr(l.Err, r.Err)
	equalRows(o.Bits, l, r, b.n)
	if x.not {
		o.invert(o.Bits)
	}
	return o
}

// equalRows sets the rows where l and r are equal, two nulls among them.
func equalRows(dst vector.Bitmap, l, r *col, n int) {
	switch vector.Lane(l.Type) {
	case plan.Bool:
		for w := range dst {
			dst[w] = ^(l.Bits[w] ^ r.Bits[w]) & tail(w, n)
		}
	case plan.Int:
		equalLanes(dst, l.Int[:n], r.Int)
	case plan.Double:
		equalLanes(dst, l.Double[:n], r.Double)
	default:
		equalLanes(dst, l.Str[:n], r.Str)
	}
	if l.Null == nil && r.Null == nil {
		return
	}
	for w := range dst {
		ln, rn := word(l.Null, w), word(r.Null, w)
		dst[w] = dst[w]&^(ln|rn) | ln&rn
	}
}

func equalLanes[T int64 | float64 | string](dst vector.Bitmap, a, b []T) {
	b = b[:len(a)]
	for w := range dst {
		from, to := w*64, min(w*64+64, len(a))
		dst[w] = equalWord(a[from:to], b[from:to])
	}
}

func equalWord[T int64 | float64 | string](a, b []T) (bits uint64) {
	b = b[:len(a)]
	for i, x := range a {
		var bit uint64
		if x == b[i] {
			bit = 1
		}
		bits |= bit << i
	}
	return bits
}

// invert flips the rows of m.
func (c *col) invert(m vector.Bitmap) {
	for w := range m {
		m[w] = ^m[w] & tail(w, c.N)
	}
}

// nullTest compiles a comparison of e with the literal null.
func (c *compiler) nullTest(e, arg *plan.Expr, not bool) *term {
	if !native(arg.Type) {
		return nil
	}
	a := c.compile(arg)
	if a == nil || a.loose {
		return nil
	}
	return &term{typ: e.Type, node: &nullNode{unary{a.node}, not, newCol(e.Type)}}
}

type nullNode struct {
	unary
	not bool
	out *col
}

func (x *nullNode) eval(b *batch, need vector.Bitmap) *col {
	a, o := x.arg.eval(b, need), x.out
	o.reset(b.n)
	o.addErr(a.Err)
	// none is not null, and neither is an optional that holds null.
	if a.Null != nil && a.Type.Kind != plan.Optional {
		copy(o.Bits, a.Null)
	}
	if x.not {
		o.invert(o.Bits)
	}
	return o
}

// membership compiles `x in [a, b, c]`; other containers fall back.
func (c *compiler) membership(e *plan.Expr) *term {
	if len(e.Args) != 2 {
		return nil
	}
	x, list := e.Args[0], e.Args[1]
	if list.Kind != plan.ListLit || len(list.Optional) != 0 || !x.Type.Kind.Scalar() {
		return nil
	}
	for _, m := range list.Args {
		if !isNull(m) && !m.Type.Equal(x.Type) {
			return nil
		}
	}
	arg := c.compile(x)
	if arg == nil || arg.floored {
		return nil
	}
	n := &inNode{arg: arg.node, out: newCol(e.Type)}
	for _, m := range list.Args {
		t := c.member(m, x.Type)
		if t == nil || t.floored {
			return nil
		}
		n.add(t)
	}
	n.index()
	return &term{typ: e.Type, node: n}
}

func (c *compiler) member(m *plan.Expr, t plan.Type) *term {
	if isNull(m) {
		return nullTerm(t)
	}
	return c.compile(m)
}

// inNode tests membership in a list: a set of constants and any other members.
type inNode struct {
	arg     node
	consts  []*constNode
	null    bool // null is a member
	members []node
	ints    map[int64]struct{}
	short   []uint64 // the constants as packed strings, when all are short
	strs    map[string]struct{}
	eqMem   vector.Bitmap
	out     *col
}

func (x *inNode) children() []node { return append([]node{x.arg}, x.members...) }

func (x *inNode) add(t *term) {
	switch {
	case t.lit == nil || t.lit.err:
		x.members = append(x.members, t.node)
	case t.lit.null:
		x.null = true
	default:
		x.consts = append(x.consts, t.lit)
	}
}

// smallSet is the number of constants up to which comparing beats hashing.
const smallSet = 6

func (x *inNode) index() {
	if len(x.consts) <= smallSet {
		x.pack()
		return
	}
	switch vector.Lane(x.consts[0].mem.Type) {
	case plan.Int:
		x.ints = make(map[int64]struct{}, len(x.consts))
		for _, k := range x.consts {
			x.ints[k.val.Int()] = struct{}{}
		}
	case plan.String:
		x.strs = make(map[string]struct{}, len(x.consts))
		for _, k := range x.consts {
			x.strs[k.val.Str()] = struct{}{}
		}
	}
}

// pack packs the constants if they are strings and all of them short.
func (x *inNode) pack() {
	if len(x.consts) < 2 || vector.Lane(x.consts[0].mem.Type) != plan.String {
		return
	}
	for _, k := range x.consts {
		s, ok := packed(k.val.Str())
		if !ok {
			x.short = nil
			return
		}
		x.short = append(x.short, s)
	}
}

// packed is a string of up to 7 bytes as a number, with its length in the highest byte.
func packed(s string) (p uint64, ok bool) {
	if len(s) > 7 {
		return 0, false
	}
	p = uint64(len(s)) << 56
	for i := 0; i < len(s); i++ {
		p |= uint64(s[i]) << (8 * i)
	}
	return p, true
}

func (x *inNode) eval(b *batch, need vector.Bitmap) *col {
	a, o := x.arg.eval(b, need), x.out
	o.reset(b.n)
	o.addErr(a.Err)
	x.searchConsts(o, a)
	if a.Null != nil {
		for w := range o.Bits {
			o.Bits[w] &^= a.Null[w]
			if x.null {
				o.Bits[w] |= a.Null[w]
			}
		}
	}
	eq := sized(&x.eqMem, b.n)
	for _, m := range x.members {
		v := m.eval(b, need)
		o.addErr(v.Err)
		equalRows(eq, a, v, b.n)
		or(o.Bits, eq)
	}
	return o
}

func (x *inNode) searchConsts(o, a *col) {
	switch {
	case x.ints != nil:
		for i, v := range a.Int[:a.N] {
			if _, ok := x.ints[v]; ok {
				o.Bits.Set(i)
			}
		}
	case x.short != nil:
		searchShort(o.Bits, a.Str[:a.N], x.short)
	case x.strs != nil:
		for i, v := range a.Str[:a.N] {
			if _, ok := x.strs[v]; ok {
				o.Bits.Set(i)
			}
		}
	default:
		for _, k := range x.consts {
			searchConst(o.Bits, a, k.val)
		}
	}
}

// searchShort sets the rows that are among short strings.
func searchShort(dst vector.Bitmap, a []string, short []uint64) {
	for i, s := range a {
		p, ok := packed(s)
		if !ok {
			continue
		}
		for _, k := range short {
			if p == k {
				dst.Set(i)
				break
			}
		}
	}
}

func searchConst(dst vector.Bitmap, a *col, k plan.Value) {
	switch vector.Lane(a.Type) {
	case plan.Bool:
		for w := range dst {
			if k.Bool() {
				dst[w] |= a.Bits[w]
			} else {
				dst[w] |= ^a.Bits[w] & tail(w, a.N)
			}
		}
	case plan.Int:
		searchLane(dst, a.Int[:a.N], k.Int())
	case plan.Double:
		searchLane(dst, a.Double[:a.N], k.Double())
	default:
		searchLane(dst, a.Str[:a.N], k.Str())
	}
}

func searchLane[T int64 | float64 | string](dst vector.Bitmap, a []T, k T) {
	for w := range dst {
		var bits uint64
		for i, x := range a[w*64 : min(w*64+64, len(a))] {
			var bit uint64
			if x == k {
				bit = 1
			}
			bits |= bit << i
		}
		dst[w] |= bits
	}
}
