package plan

import "math"

// SlotKey is the canonical encoding of what s accumulates about events of src.
// Slots with equal keys have equal partials, so a view needs only one of them.
func SlotKey(src *Source, s *Slot) string {
	e := &encoder{view: &View{Source: src}}
	e.slot(s)
	return string(e.b)
}

// ExprKey is the canonical encoding of a row expression over src. Expressions with
// equal keys have equal values.
func ExprKey(src *Source, x *Expr) string {
	e := &encoder{view: &View{Source: src}}
	e.expr(x)
	return string(e.b)
}

func (e *encoder) slot(s *Slot) {
	e.str(string(s.Func))
	for _, x := range []*Expr{s.Arg, s.By, s.Group, s.Filter} {
		e.flag(x != nil)
		if x != nil {
			e.expr(x)
		}
	}
	e.num(int64(s.N))
	e.num(int64(math.Float64bits(s.Quantile)))
	e.typ(s.Type)
}
