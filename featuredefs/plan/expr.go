package plan

import "slices"

// ExprKind says which fields of an Expr are meaningful.
type ExprKind uint8

// The kinds of expression nodes. Their numbers enter fingerprints and never change.
const (
	Literal       ExprKind = 1 // Lit
	Column        ExprKind = 2 // Name: a column of the source (row expressions)
	Aggregate     ExprKind = 3 // Index into View.Aggregates (outer expressions)
	FeatureRef    ExprKind = 4 // Index into View.Features, in a service into Service.Features; Name as written
	Request       ExprKind = 5 // Name: a request field (derived features)
	Now           ExprKind = 6 // T
	Local         ExprKind = 7 // Name: a variable bound by an enclosing Comprehension
	Call          ExprKind = 8 // Name: CEL function or operator; Overloads; Args (Member: Args[0] is the receiver)
	Select        ExprKind = 9 // Args[0].Name, or has(Args[0].Name) with TestOnly (maps only)
	ListLit       ExprKind = 10
	MapLit        ExprKind = 11 // Args: key, value, key, value, …
	Comprehension ExprKind = 12 // Comp
)

// Expr is a node of a checked CEL expression, already macro-expanded, not
// optimised. It keeps everything needed to rebuild the CEL tree (names,
// overload ids, types) and nothing of the source text but the position.
type Expr struct {
	Kind      ExprKind
	Type      Type
	Lit       Value
	Name      string
	Index     int
	Overloads []string // overload ids as the checker resolved them; several: dispatch at run time
	Member    bool
	TestOnly  bool
	Args      []*Expr
	Optional  []int // ListLit: indexes of optional elements; MapLit: of optional entries
	Comp      *Comp
	Pos       Pos
}

// Comp is CEL's fold: accu := Init; for each element of Range, while Cond: accu = Step; then Result.
type Comp struct {
	IterVar, IterVar2, AccuVar      string
	Range, Init, Cond, Step, Result *Expr
}

// Pos is where a node stands in the definitions, 1-based; not part of the identity.
type Pos struct {
	File      string
	Line, Col int
}

// Children calls f on every direct child in evaluation order.
func (e *Expr) Children(f func(*Expr)) {
	for _, a := range e.Args {
		f(a)
	}
	if c := e.Comp; c != nil {
		for _, x := range []*Expr{c.Range, c.Init, c.Cond, c.Step, c.Result} {
			f(x)
		}
	}
}

// Walk calls f on e and every node below it, parents first.
func (e *Expr) Walk(f func(*Expr)) {
	if e == nil {
		return
	}
	f(e)
	e.Children(func(c *Expr) { c.Walk(f) })
}

// Columns are the columns of the source that the view reads, each once, in order.
func (v *View) Columns() []string {
	names := slices.Clone(v.KeyColumns)
	for i := range v.Slots {
		s := &v.Slots[i]
		names = append(names, Columns(s.Arg, s.By, s.Group, s.Filter)...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Columns lists the distinct source columns the expressions read, in order of
// first use; nil expressions read none.
func Columns(exprs ...*Expr) []string {
	var names []string
	seen := map[string]bool{}
	for _, e := range exprs {
		e.Walk(func(n *Expr) {
			if n.Kind == Column && !seen[n.Name] {
				seen[n.Name] = true
				names = append(names, n.Name)
			}
		})
	}
	return names
}
