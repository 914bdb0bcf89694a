//go:build duckdb_arrow

package relation

import (
	"context"
	"hash/maphash"
	"math/bits"
	"os"
	"runtime"
	"slices"
	"sync"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// mostIDs limits the memory of the hashes that Repeated holds, unless Options do; more values
// take several passes over the column.
const mostIDs = 512 << 20

// hashRoom is what a hash takes in the lists that it is appended to, while they grow.
const hashRoom = 16

// Repeated calls f with every value of a string, bytes or int column that occurs in more
// than one row. A value may be passed more than once, and very rarely a value that does not
// repeat is passed. Nulls and unreadable values are ignored. Calls do not overlap.
func (r *Reader) Repeated(ctx context.Context, rel Relation, column plan.Field, f func(*vector.Vector) error) error {
	t, err := r.open(ctx, &rel)
	if err != nil {
		return err
	}
	n, err := estimateRows(ctx, t)
	if err != nil {
		return err
	}
	p := &repeats{table: t, column: column, seed: maphash.MakeSeed(), workers: runtime.GOMAXPROCS(0), inFlight: r.inFlight}
	p.passes = int(max(1, min((n*hashRoom+r.ids-1)/r.ids, hashBuckets)))
	for p.pass = range p.passes {
		if err := p.find(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// estimateRows estimates an upper bound of a table's rows. Rows of text files are not counted,
// since that would take as long as reading them.
func estimateRows(ctx context.Context, t table) (n int64, err error) {
	text, ok := t.(*textTable)
	if !ok {
		return t.count(ctx)
	}
	for _, path := range text.paths.files {
		info, err := os.Stat(path)
		if err != nil {
			return 0, text.failed(path, withoutPath(err))
		}
		n += info.Size() / 4
	}
	return n, nil
}

// hashBuckets is the number of buckets that the first bits of a hash select, a power of
// two.
const hashBuckets = 1024

func bucketOf(h uint64) int { return int(h >> (64 - 10)) }

// repeats finds the repeated values whose hashes fall in the buckets of one pass.
type repeats struct {
	table        table
	column       plan.Field
	seed         maphash.Seed
	workers      int
	inFlight     int64 // see run
	passes, pass int
}

// find looks for hashes that occur twice and then, if there are any, for their values.
func (p *repeats) find(ctx context.Context, f func(*vector.Vector) error) error {
	hashes := make([][hashBuckets][]uint64, p.workers)
	err := p.each(ctx, func(worker int, v *vector.Vector) error {
		mine := &hashes[worker]
		p.rows(v, func(_ int, h uint64) { mine[bucketOf(h)] = append(mine[bucketOf(h)], h) })
		return nil
	})
	if err != nil {
		return err
	}
	suspects := make([][]uint64, hashBuckets)
	none := true
	for b := range hashBuckets {
		if err := ctx.Err(); err != nil {
			return err
		}
		suspects[b] = occurTwice(hashes, b)
		none = none && len(suspects[b]) == 0
	}
	if none {
		return nil
	}
	var mu sync.Mutex
	return p.each(ctx, func(_ int, v *vector.Vector) error {
		var found []int
		p.rows(v, func(i int, h uint64) {
			if _, ok := slices.BinarySearch(suspects[bucketOf(h)], h); ok {
				found = append(found, i)
			}
		})
		if len(found) == 0 {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		return f(pick(v, found))
	})
}

// each reads the column.
func (p *repeats) each(ctx context.Context, f func(worker int, v *vector.Vector) error) error {
	s, err := p.table.bind(ctx, []plan.Field{p.column})
	if err != nil {
		return err
	}
	return run(ctx, s, p.workers, p.inFlight, func(worker int, b *Batch) error { return f(worker, b.Cols[0]) })
}

// rows calls f with the hashes of v that belong to the pass. No hash is 0.
func (p *repeats) rows(v *vector.Vector, f func(i int, h uint64)) {
	for i := range v.N {
		if !v.Valid(i) {
			continue
		}
		var h uint64
		if v.Str != nil {
			h = maphash.String(p.seed, v.Str[i])
		} else {
			h = maphash.Comparable(p.seed, v.Int[i])
		}
		if p.passes == 1 || bucketOf(h)%p.passes == p.pass {
			f(i, max(h, 1))
		}
	}
}

// occurTwice lists the hashes of a bucket that occur more than once, in order, and drops all of them.
func occurTwice(hashes [][hashBuckets][]uint64, bucket int) []uint64 {
	n := 0
	for w := range hashes {
		n += len(hashes[w][bucket])
	}
	seen := make([]uint64, 1<<bits.Len(uint(2*n)))
	mask := uint64(len(seen) - 1)
	var twice []uint64
	for w := range hashes {
		for _, h := range hashes[w][bucket] {
			at := h & mask
			for seen[at] != 0 && seen[at] != h {
				at = (at + 1) & mask
			}
			if seen[at] == h {
				twice = append(twice, h)
			}
			seen[at] = h
		}
		hashes[w][bucket] = nil
	}
	slices.Sort(twice)
	return slices.Clone(slices.Compact(twice))
}

// pick copies the rows of v with the given indexes; strings share v's memory.
func pick(v *vector.Vector, rows []int) *vector.Vector {
	out := vector.New(v.Type, len(rows))
	for to, from := range rows {
		if v.Str != nil {
			out.Str[to] = v.Str[from]
		} else {
			out.Int[to] = v.Int[from]
		}
	}
	return out
}
