package kernel

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/vector"
)

// entities numbers entities by their keys, from 1 on; 0 means none. A key of one int is
// looked up as an int, every other key by its bytes. Encoded keys include their types, so no
// entity can have a key of each kind.
type entities struct {
	n       int32
	byInt   intTable
	byBytes map[string]int32
}

// noKey is the number of a row with a null key component.
const noKey = -1

func newEntities() entities {
	return entities{byBytes: map[string]int32{}}
}

func isInt(keys []*vector.Vector) bool { return len(keys) == 1 && keys[0].Type.Kind == plan.Int }

// number appends to dst the entity number of each of n rows of keys; noKey for a row without
// an entity. New entities get the next numbers.
func (x *entities) number(dst []int32, keys []*vector.Vector, n int) []int32 {
	if isInt(keys) && keys[0].Null == nil && keys[0].Err == nil {
		for _, k := range keys[0].Int[:n] {
			id := x.byInt.get(k)
			if id == 0 {
				x.n++
				id = x.n
				x.byInt.put(k, id)
			}
			dst = append(dst, id)
		}
		return dst
	}
	var key []byte
	for i := range n {
		var id int32
		id, key = x.find(keys, i, key)
		if id == 0 {
			x.n++
			id = x.n
			if isInt(keys) {
				x.byInt.put(keys[0].Int[i], id)
			} else {
				x.byBytes[string(key)] = id
			}
		}
		dst = append(dst, id)
	}
	return dst
}

// lookup appends to dst the entity number of each of n rows of keys: 0 for an unknown entity,
// noKey for a row without one. It is safe for concurrent use.
func (x *entities) lookup(dst []int32, keys []*vector.Vector, n int) []int32 {
	if isInt(keys) && keys[0].Null == nil && keys[0].Err == nil {
		return x.byInt.getAll(dst, keys[0].Int[:n])
	}
	var id int32
	var key []byte
	for i := range n {
		id, key = x.find(keys, i, key)
		dst = append(dst, id)
	}
	return dst
}

// find is the entity number of row i and, unless the key is an int, its bytes, which it
// writes to the memory of key.
func (x *entities) find(keys []*vector.Vector, i int, key []byte) (int32, []byte) {
	if isInt(keys) {
		if !keys[0].Valid(i) {
			return noKey, key
		}
		return x.byInt.get(keys[0].Int[i]), key
	}
	key, ok := entitykey.AppendRow(key[:0], keys, i)
	if !ok {
		return noKey, key
	}
	return x.byBytes[string(key)], key
}
