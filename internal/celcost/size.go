package celcost

import (
	"math"
	"math/bits"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Size bounds the size of a value. The size of an optional is that of its content.
type Size struct {
	items uint64 // elements of a list, entries of a map
	nodes uint64 // number of values: this one and all in it
	text  uint64 // bytes of all texts in the value
	// key and elem bound each key and each element or value; nil: there is none.
	key, elem *Size
	links     uint64 // number of concatenations of a list; reading an element follows them
	// pattern is the cost of the text as a regular expression; nil: unknown.
	pattern *pattern
}

var scalar = Size{nodes: 1}

func textOf(bytes uint64) Size { return Size{nodes: 1, text: bytes} }

// SizeOfType bounds an input of type t.
func SizeOfType(t plan.Type) Size {
	switch t.Kind {
	case plan.String, plan.Bytes:
		return textOf(MaxText)
	case plan.Optional:
		return SizeOfType(*t.Elem)
	case plan.List:
		return ListSize(maxItems, SizeOfType(*t.Elem))
	case plan.Map:
		return MapSize(SizeOfType(*t.Key), SizeOfType(*t.Elem))
	}
	return scalar
}

// ListSize bounds a list of n elements from an aggregate.
func ListSize(n uint64, elem Size) Size {
	return Size{items: n, nodes: add(1, n, together(n, elem.inside())), text: together(n, elem.text), elem: &elem}
}

// MapSize bounds a map from .by.
func MapSize(key, elem Size) Size {
	nodes, text := add(key.nodes, elem.nodes), add(together(maxItems, key.text), together(maxItems, elem.text))
	return Size{items: maxItems, nodes: add(1, mul(maxItems, nodes)), text: text, key: &key, elem: &elem}
}

// together bounds the text of n elements, or the number of values in them, given the bound of
// one. It assumes that not all values of a column have the largest length, but that an
// expression that makes longer values does so for every row.
func together(n, one uint64) uint64 {
	if one <= 2*MaxText {
		return min(mul(n, one), maxListText)
	}
	return mul(n, one)
}

// SizeOf is the size of a value.
func SizeOf(v plan.Value) Size {
	switch v.Kind() {
	case plan.String, plan.Bytes:
		size := textOf(uint64(len(v.Str())))
		size.pattern = &pattern{text: v.Str()}
		return size
	case plan.List:
		return listOf(sizesOf(v.List()))
	case plan.Map:
		return mapOf(sizesOf(v.List()))
	case plan.Optional:
		if len(v.List()) > 0 {
			return SizeOf(v.List()[0])
		}
	}
	return scalar
}

func sizesOf(values []plan.Value) []Size {
	out := make([]Size, len(values))
	for i, v := range values {
		out[i] = SizeOf(v)
	}
	return out
}

func listOf(elems []Size) Size {
	out := Size{items: uint64(len(elems)), nodes: 1}
	for i, e := range elems {
		out.nodes, out.text = add(out.nodes, e.nodes), add(out.text, e.text)
		if i > 0 {
			e = JoinSizes(*out.elem, e)
		}
		out.elem = &e
	}
	return out
}

// mapOf is the size of a map, given alternating keys and values.
func mapOf(entries []Size) Size {
	var keys, elems []Size
	for i := 0; i+1 < len(entries); i += 2 {
		keys, elems = append(keys, entries[i]), append(elems, entries[i+1])
	}
	k, v := listOf(keys), listOf(elems)
	return Size{items: k.items, nodes: add(k.nodes, v.inside()), text: add(k.text, v.text), key: k.elem, elem: v.elem}
}

// JoinSizes bounds a value that has size a or b.
func JoinSizes(a, b Size) Size {
	return Size{
		items: max(a.items, b.items), nodes: max(a.nodes, b.nodes), text: max(a.text, b.text),
		key: joined(a.key, b.key), elem: joined(a.elem, b.elem), links: max(a.links, b.links), pattern: either(a, b),
	}
}

func joined(a, b *Size) *Size {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return JoinSizes(*a, *b).ref()
}

func (s Size) ref() *Size { return &s }

// element bounds each element of a list, each value of a map, and the content of an optional.
func (s Size) element() Size {
	if s.elem == nil {
		return scalar
	}
	return *s.elem
}

// single reports whether the value is a scalar without text, so that its size is constant.
func (s Size) single() bool { return s.nodes <= 1 && s.text == 0 }

// empty is the smallest size of a value bounded by s.
func (s Size) empty() Size {
	return Size{nodes: 1, key: s.key, elem: s.elem, pattern: s.pattern}
}

// variables are the sizes of the variables of a loop over s.
func (s Size) variables() variables {
	if s.key != nil {
		return variables{*s.key, s.element()}
	}
	return variables{s.element(), s.element()}
}

// heaviest is the largest number of elements that can have the largest size at once. In a map,
// all text may be in the keys, or all in the values.
func (s Size) heaviest() uint64 {
	k := s.shares(s.element())
	if s.key != nil {
		k = max(k, s.shares(*s.key))
	}
	return min(k, s.items)
}

// shares is the largest number of values of size one in s.
func (s Size) shares(one Size) uint64 {
	k := uint64(0)
	if n := one.inside(); n > 0 {
		k = add(k, s.nodes/n, 1)
	}
	if one.text > 0 {
		k = add(k, s.text/one.text, 1)
	}
	return k
}

// inside is the number of values in s, without s itself.
func (s Size) inside() uint64 { return max(s.nodes, 1) - 1 }

// add and mul saturate at the largest number, which is Unknown.
func add(terms ...uint64) uint64 {
	sum := uint64(0)
	for _, t := range terms {
		var carry uint64
		if sum, carry = bits.Add64(sum, t, 0); carry != 0 {
			return math.MaxUint64
		}
	}
	return sum
}

func mul(factors ...uint64) uint64 {
	product := uint64(1)
	for _, f := range factors {
		if f == 0 {
			return 0
		}
	}
	for _, f := range factors {
		var over uint64
		if over, product = bits.Mul64(product, f); over != 0 {
			return math.MaxUint64
		}
	}
	return product
}
