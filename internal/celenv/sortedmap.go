package celenv

import (
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/unskew/unskew/featuredefs/plan"
)

// cel-go iterates maps in Go's random order, so `m.map(k, m[k])` would differ
// from run to run. Rebuild therefore wraps the map over which a comprehension ranges in
// this function, whose result iterates in key order. Users cannot write its name.
const (
	sortedMapName     = "@sortedMap"
	sortedMapOverload = "unskew_sorted_map"
)

func sortedMapFunction() cel.EnvOption {
	m := cel.MapType(cel.TypeParamType("K"), cel.TypeParamType("V"))
	return cel.Function(sortedMapName,
		cel.Overload(sortedMapOverload, []*cel.Type{m}, m,
			cel.UnaryBinding(func(v ref.Val) ref.Val {
				if m, ok := v.(traits.Mapper); ok {
					return newSortedMap(m)
				}
				return types.MaybeNoSuchOverloadErr(v)
			})))
}

// sortedMap is a map that iterates in the order of its keys.
type sortedMap struct {
	traits.Mapper
	keys []ref.Val
}

func newSortedMap(m traits.Mapper) ref.Val {
	if v, ok := m.(valueMap); ok {
		return v
	}
	keys := make([]ref.Val, 0, int(m.Size().(types.Int)))
	for it := m.Iterator(); it.HasNext() == types.True; {
		keys = append(keys, it.Next())
	}
	slices.SortFunc(keys, compareKeys)
	return &sortedMap{Mapper: m, keys: keys}
}

// compareKeys orders map keys (bool, int, uint, string) as plan.Compare does.
func compareKeys(a, b ref.Val) int {
	x, _ := scalarFromRef(a)
	y, _ := scalarFromRef(b)
	return plan.Compare(x, y)
}

// Iterator iterates over the keys in order.
func (m *sortedMap) Iterator() traits.Iterator {
	return types.NewRefValList(types.DefaultTypeAdapter, m.keys).Iterator()
}

// Fold visits the entries in order.
func (m *sortedMap) Fold(f traits.Folder) {
	for _, k := range m.keys {
		v, _ := m.Find(k)
		if !f.FoldEntry(k, v) {
			return
		}
	}
}
