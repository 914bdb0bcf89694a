package relation

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/unskew/unskew/internal/vector"
)

// Batch is consecutive rows of one file, or of a query. The batch, its lanes and its
// strings are only valid during the call that gets it.
//
// Batches order by File and then by First as Scan yields them, whoever reads them.
type Batch struct {
	*vector.Batch
	File  int       // index in the byte order of the relation's paths; 0 of a query
	First int64     // the number of the first row in its file, counted from 0
	Bad   []BadCell // by row and column; only with Relation.KeepBad

	where func(i int) string
}

// BadCell is a value that the type declared for its column cannot hold. In the batch
// its row has the error bit set in that column, or in every column if Column is -1.
type BadCell struct {
	Row    int    // in the batch
	Column int    // in the batch; -1: the whole row cannot be read
	Text   string // what the file holds there, perhaps shortened
	Reason string // quotes the text
}

// Where says where row i of the batch is: the owner, the file, and the line or the row
// in it, counted from 1. It is for errors.
func (b *Batch) Where(i int) string { return b.where(i) }

// badError is the error about the first bad cell.
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
