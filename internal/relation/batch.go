package relation

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/unskew/unskew/internal/vector"
)

// Batch is a run of consecutive rows of one file or query. The batch, its lanes and its
// strings are valid only during the call that receives them.
//
// Ordering batches by File, then First, gives the order of Scan, even when several workers
// read.
type Batch struct {
	*vector.Batch
	File  int       // index among the relation's paths in byte order; 0 for a query
	First int64     // number of the first row in its file, from 0
	Bad   []BadCell // by row and column; filled only with Relation.KeepBad

	where func(i int) string
}

// BadCell is a value that its column's declared type cannot hold. Its row has the error bit
// set in that column, or in every column if Column is -1.
type BadCell struct {
	Row    int    // in the batch
	Column int    // in the batch; -1: the whole row cannot be read
	Text   string // what the file contains there, possibly shortened
	Reason string // quotes the text
}

// InMemory is rows in memory as a batch, of which the first has a number. Errors name their owner.
func InMemory(b *vector.Batch, first int64, owner string) *Batch {
	return &Batch{Batch: b, First: first, where: func(i int) string { return fmt.Sprintf("%s, row %d", owner, first+int64(i)+1) }}
}

// Where returns the location of row i for error messages: the owner, the file, and the line
// or row in it, counted from 1.
func (b *Batch) Where(i int) string { return b.where(i) }

// badError returns an error for the first bad cell.
func (b *Batch) badError() error {
	bad := b.Bad[0]
	if bad.Column < 0 {
		return fmt.Errorf("%s: %s", b.Where(bad.Row), bad.Reason)
	}
	return fmt.Errorf("%s, column %q: %s", b.Where(bad.Row), b.Fields[bad.Column].Name, bad.Reason)
}

func (b *Batch) sortBad() {
	slices.SortFunc(b.Bad, func(x, y BadCell) int {
		return cmp.Or(cmp.Compare(x.Row, y.Row), cmp.Compare(x.Column, y.Column))
	})
}
