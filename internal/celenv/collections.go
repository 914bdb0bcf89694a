package celenv

import (
	"reflect"
	"sort"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/unskew/unskew/featuredefs/plan"
)

// valueList and valueMap are CEL collections over a plan value. They convert only the elements
// that an expression reads, which are usually few. Rare operations convert all of them to
// cel-go's own collections.

type valueList struct {
	elems []plan.Value
	elem  plan.Type
}

var _ traits.Lister = valueList{}

func (l valueList) converted() traits.Lister {
	refs := make([]ref.Val, len(l.elems))
	for i, e := range l.elems {
		refs[i] = ToRef(e, l.elem)
	}
	return types.NewRefValList(types.DefaultTypeAdapter, refs)
}

// Size returns the number of elements.
func (l valueList) Size() ref.Val { return types.Int(len(l.elems)) }

// Type is CEL's list type.
func (l valueList) Type() ref.Type { return types.ListType }

// Get returns the element at an index, or an error.
func (l valueList) Get(index ref.Val) ref.Val {
	i, ok := index.(types.Int)
	if !ok {
		return l.converted().Get(index)
	}
	if i < 0 || int(i) >= len(l.elems) {
		return types.NewErr("index '%d' out of range in list size '%d'", i, len(l.elems))
	}
	return ToRef(l.elems[i], l.elem)
}

// Contains reports whether some element equals elem.
func (l valueList) Contains(elem ref.Val) ref.Val {
	for _, e := range l.elems {
		if elem.Equal(ToRef(e, l.elem)) == types.True {
			return types.True
		}
	}
	return types.False
}

// Fold visits the elements in order.
func (l valueList) Fold(f traits.Folder) {
	for i, e := range l.elems {
		if !f.FoldEntry(types.Int(i), ToRef(e, l.elem)) {
			return
		}
	}
}

// Iterator iterates over the elements.
func (l valueList) Iterator() traits.Iterator { return l.converted().Iterator() }

// Add concatenates.
func (l valueList) Add(other ref.Val) ref.Val { return l.converted().Add(other) }

// Equal compares element by element.
func (l valueList) Equal(other ref.Val) ref.Val { return l.converted().Equal(other) }

// ConvertToType converts to a CEL type.
func (l valueList) ConvertToType(t ref.Type) ref.Val { return l.converted().ConvertToType(t) }

// ConvertToNative converts to a Go type.
func (l valueList) ConvertToNative(t reflect.Type) (any, error) {
	return l.converted().ConvertToNative(t)
}

// Value is a Go slice of the elements.
func (l valueList) Value() any { return l.converted().Value() }

// IsZeroValue reports whether the list is empty.
func (l valueList) IsZeroValue() bool { return len(l.elems) == 0 }

type valueMap struct {
	entries   []plan.Value // key, value, … sorted by key
	key, elem plan.Type
}

var _ traits.Mapper = valueMap{}

func (m valueMap) converted() traits.Mapper {
	refs := make(map[ref.Val]ref.Val, len(m.entries)/2)
	for i := 0; i < len(m.entries); i += 2 {
		refs[ToRef(m.entries[i], m.key)] = ToRef(m.entries[i+1], m.elem)
	}
	return types.NewRefValMap(types.DefaultTypeAdapter, refs)
}

// Size is the number of entries.
func (m valueMap) Size() ref.Val { return types.Int(len(m.entries) / 2) }

// Type is CEL's map type.
func (m valueMap) Type() ref.Type { return types.MapType }

// Find returns the value of a key.
func (m valueMap) Find(key ref.Val) (ref.Val, bool) {
	k, ok := scalarFromRef(key)
	if !ok || k.Kind() != m.key.Kind {
		return m.converted().Find(key)
	}
	i, found := sort.Find(len(m.entries)/2, func(i int) int { return plan.Compare(k, m.entries[2*i]) })
	if !found {
		return nil, false
	}
	return ToRef(m.entries[2*i+1], m.elem), true
}

// Get returns the value of a key, or an error.
func (m valueMap) Get(key ref.Val) ref.Val {
	v, found := m.Find(key)
	if !found {
		return types.ValOrErr(key, "no such key: %v", key)
	}
	return v
}

// Contains reports whether there is a value for a key.
func (m valueMap) Contains(key ref.Val) ref.Val {
	_, found := m.Find(key)
	return types.Bool(found)
}

// keys lists the keys in order.
func (m valueMap) keys() []ref.Val {
	keys := make([]ref.Val, 0, len(m.entries)/2)
	for i := 0; i < len(m.entries); i += 2 {
		keys = append(keys, ToRef(m.entries[i], m.key))
	}
	return keys
}

// Iterator iterates over the keys in order.
func (m valueMap) Iterator() traits.Iterator {
	return types.NewRefValList(types.DefaultTypeAdapter, m.keys()).Iterator()
}

// Fold visits the entries in the order of their keys.
func (m valueMap) Fold(f traits.Folder) {
	for i := 0; i < len(m.entries); i += 2 {
		if !f.FoldEntry(ToRef(m.entries[i], m.key), ToRef(m.entries[i+1], m.elem)) {
			return
		}
	}
}

// Equal compares entry by entry.
func (m valueMap) Equal(other ref.Val) ref.Val { return m.converted().Equal(other) }

// ConvertToType converts to a CEL type.
func (m valueMap) ConvertToType(t ref.Type) ref.Val { return m.converted().ConvertToType(t) }

// ConvertToNative converts to a Go type.
func (m valueMap) ConvertToNative(t reflect.Type) (any, error) {
	return m.converted().ConvertToNative(t)
}

// Value is a Go map of the entries.
func (m valueMap) Value() any { return m.converted().Value() }

// IsZeroValue reports whether the map is empty.
func (m valueMap) IsZeroValue() bool { return len(m.entries) == 0 }
