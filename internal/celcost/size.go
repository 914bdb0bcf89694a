package celcost

import (
	"math"
	"math/bits"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Size bounds a value. An optional has the size of what it holds.
type Size struct {
	items uint64 // elements of a list, entries of a map
	nodes uint64 // the value and all values in it
	text  uint64 // bytes of the text that the value is or that is in it
	// key and elem bound each key and each element or value; nil: there is none.
	key, elem *Size
	links     uint64 // of a list: the lists that it was joined of, each a step on the way to an element
	// pattern is what the text costs as a regular expression; nil: it may be any.
	pattern *pattern
}

var scalar = Size{nodes: 1}

func textOf(bytes uint64) Size { return Size{nodes: 1, text: bytes} }

// SizeOfType bounds an input of type t that nothing else is known of.
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

// ListSize bounds the lists of n elements that an aggregate makes.
func ListSize(n uint64, elem Size) Size {
	return Size{items: n, nodes: add(1, n, together(n, elem.inside())), text: together(n, elem.text), elem: &elem}
}

// MapSize bounds the maps that .by makes.
func MapSize(key, elem Size) Size {
	nodes, text := add(key.nodes, elem.nodes), add(together(maxItems, key.text), together(maxItems, elem.text))
	return Size{items: maxItems, nodes: add(1, mul(maxItems, nodes)), text: text, key: &key, elem: &elem}
}

// together is the text of n elements, or the number of values in them, which are parts of
// texts. Not all of them are as long as a column can be, but what is longer than a column
// was made by an expression, of any column.
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

// mapOf is a map of keys and values that take turns.
func mapOf(entries []Size) Size {
	var keys, elems []Size
	for i := 0; i+1 < len(entries); i += 2 {
		keys, elems = append(keys, entries[i]), append(elems, entries[i+1])
	}
	k, v := listOf(keys), listOf(elems)
	return Size{items: k.items, nodes: add(k.nodes, v.inside()), text: add(k.text, v.text), key: k.elem, elem: v.elem}
}

// JoinSizes bounds what is one or the other.
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

// element bounds each element of a list or value of a map, and what an optional holds.
func (s Size) element() Size {
	if s.elem == nil {
		return scalar
	}
	return *s.elem
}

// single reports a value without anything in it, whose size is always the same.
func (s Size) single() bool { return s.nodes <= 1 && s.text == 0 }

// empty is the least that s can be.
func (s Size) empty() Size {
	return Size{nodes: 1, key: s.key, elem: s.elem, pattern: s.pattern}
}

// variables are what the variables of a loop over s can be.
func (s Size) variables() variables {
	if s.key != nil {
		return variables{*s.key, s.element()}
	}
	return variables{s.element(), s.element()}
}

// heaviest is how many elements at most can be as large as an element can be. All that
// is in a map may be in its keys, or all in its values.
func (s Size) heaviest() uint64 {
	k := s.shares(s.element())
	if s.key != nil {
		k = max(k, s.shares(*s.key))
	}
	return min(k, s.items)
}

// shares is how many of what is as large as one there can be in s.
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

// inside is the number of values in s.
func (s Size) inside() uint64 { return max(s.nodes, 1) - 1 }

// add and mul stop at the largest number, which is no bound.
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
