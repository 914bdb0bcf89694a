package relation

import "github.com/unskew/unskew/featuredefs/plan"

// Relation is files (From) or a query (SQL).
type Relation struct {
	Owner string // for errors: "source clicks"
	From  string // path, pattern or URL; relative paths are relative to Options.BaseDir
	SQL   string
	CSV   plan.CSV // how the rows of CSV files lie
	// KeepBad hands rows with cells that cannot be read to the callback, which finds them
	// in Batch.Bad; without it the first such row ends the scan with an error.
	KeepBad bool

	raw map[string]bool // strings that take any value of JSON, as it is written
}

// SourceRelation is the history of s.
func SourceRelation(s *plan.Source) Relation {
	return Relation{Owner: "source " + s.Name, From: s.From, SQL: s.SQL, CSV: s.CSV, KeepBad: s.SkipBadRows}
}

// SpineRelation is the spine of a training set.
func SpineRelation(s plan.Spine) Relation {
	return Relation{Owner: "spine", From: s.From, SQL: s.SQL, CSV: s.CSV}
}

// IsText reports whether the relation is files of text. Of those all declared columns are
// read, whoever needs which: a row that has a cell which cannot be read is not a row, as it
// is none when it is pushed.
func (rel Relation) IsText() bool {
	f, ok := formatOf(rel.From)
	return rel.SQL == "" && ok && f != parquetFiles
}
