package servedset

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
)

// index is the rows that make the spine, by their requests.
type index struct {
	seeds    [2]maphash.Seed
	numbers  map[rowKey]int32
	rows     []bool    // whether a row is the first of its request and number
	outcomes []outcome // by row; nil without
	memory   int64
}

// rowKey identifies a row of a request: two hashes of both, so that rows of different requests have different ones.
type rowKey [2]uint64

type outcome struct {
	value plan.Value
	known plan.EventTime
	there bool
}

// rowBytes is about what a row takes in an index.
const rowBytes = 120

func newIndex(memory int64) *index {
	return &index{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, numbers: map[rowKey]int32{}, memory: memory}
}

func (x *index) key(requestID string, row int64) (k rowKey) {
	for i := range k {
		var h maphash.Hash
		h.SetSeed(x.seeds[i])
		_, _ = h.Write(binary.LittleEndian.AppendUint64(nil, uint64(row))) // never fails
		_, _ = h.WriteString(requestID)
		k[i] = h.Sum64()
	}
	return k
}

// add adds the next row.
func (x *index) add(requestID string, row int64) error {
	if x.memory > 0 && int64(len(x.rows)) >= x.memory/rowBytes {
		return fmt.Errorf("more than %d rows do not fit into %d MiB; take a shorter time with --from and --to, or allow more --memory", len(x.rows), x.memory>>20)
	}
	k := x.key(requestID, row)
	_, repeated := x.numbers[k]
	if !repeated {
		x.numbers[k] = int32(len(x.rows))
	}
	x.rows = append(x.rows, !repeated)
	return nil
}

// repeated is the number of rows whose request had been answered before.
func (x *index) repeated() int64 { return int64(len(x.rows) - len(x.numbers)) }

// first reports whether a row is the first answer to its request.
func (x *index) first(number int) bool { return x.rows[number] }

// join takes over an outcome if it is of one of the rows.
func (x *index) join(o Outcome) error {
	n, ok := x.numbers[x.key(o.RequestID, o.Row)]
	if !ok {
		return nil
	}
	if x.outcomes[n].there {
		return fmt.Errorf("there are two outcomes of row %d of request %s; keep one", o.Row, o.RequestID)
	}
	if o.Value.Kind() == plan.String {
		o.Value = plan.StringValue(strings.Clone(o.Value.Str())) // what the text is part of is read over
	}
	x.outcomes[n] = outcome{o.Value, o.Known, true}
	return nil
}
