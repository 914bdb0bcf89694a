package celenv_test

import (
	"testing"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
)

func same(a, b ref.Val) bool {
	return types.IsError(a) && types.IsError(b) || a.Equal(b) == types.True && a.Type() == b.Type()
}

// TestLists_AreCELs: a plan list behaves as cel-go's own list of its elements.
func TestLists_AreCELs(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		elem := plan.T(rapid.SampledFrom([]plan.Kind{plan.Int, plan.String, plan.Bool}).Draw(rt, "elem"))
		v := anyValue(rt, plan.ListOf(elem))
		var refs []ref.Val
		for _, e := range v.List() {
			refs = append(refs, celenv.ToRef(e, elem))
		}
		ours := celenv.ToRef(v, plan.ListOf(elem)).(traits.Lister)
		theirs := types.NewRefValList(types.DefaultTypeAdapter, refs)
		index := types.Int(rapid.IntRange(-1, 4).Draw(rt, "index"))
		probe := celenv.ToRef(anyValue(rt, elem), elem)
		for _, pair := range [][2]ref.Val{
			{ours, theirs}, {theirs, ours}, {ours.Size(), theirs.Size()}, {ours.Get(index), theirs.Get(index)},
			{ours.Get(types.Double(0)), theirs.Get(types.Double(0))}, {ours.Contains(probe), theirs.Contains(probe)},
			{ours.Contains(types.NullValue), theirs.Contains(types.NullValue)}, {ours.Add(theirs), theirs.Add(ours)},
			{ours.ConvertToType(types.TypeType), theirs.ConvertToType(types.TypeType)},
		} {
			if !same(pair[0], pair[1]) {
				rt.Fatalf("%v: %v, cel-go says %v", v, pair[0], pair[1])
			}
		}
	})
}

// TestMaps_AreCELs: a plan map behaves as cel-go's own map of its entries.
func TestMaps_AreCELs(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		key := plan.T(rapid.SampledFrom([]plan.Kind{plan.Int, plan.Uint, plan.String, plan.Bool}).Draw(rt, "key"))
		typ := plan.MapOf(key, plan.T(plan.Int))
		v := anyValue(rt, typ)
		refs := map[ref.Val]ref.Val{}
		probes := []ref.Val{celenv.ToRef(anyValue(rt, key), key), types.Double(0), types.Int(0), types.NullValue}
		for i := 0; i < len(v.List()); i += 2 {
			k := celenv.ToRef(v.List()[i], key)
			refs[k] = celenv.ToRef(v.List()[i+1], plan.T(plan.Int))
			probes = append(probes, k)
		}
		ours := celenv.ToRef(v, typ).(traits.Mapper)
		theirs := types.NewRefValMap(types.DefaultTypeAdapter, refs)
		if !same(ours, theirs) || !same(theirs, ours) || !same(ours.Size(), theirs.Size()) {
			rt.Fatalf("%v differs from cel-go's", v)
		}
		for _, k := range probes {
			if !same(ours.Get(k), theirs.Get(k)) || !same(ours.Contains(k), theirs.Contains(k)) {
				rt.Fatalf("%v[%v] is %v, cel-go says %v", v, k, ours.Get(k), theirs.Get(k))
			}
		}
	})
}
