package relation

import "github.com/unskew/unskew/featuredefs/plan"

// Relation is a set of files (From) or a query (SQL).
type Relation struct {
	Owner string // for errors: "source clicks"
	From  string // path, pattern or URL; relative paths are relative to Options.BaseDir
	SQL   string
	CSV   plan.CSV // layout of CSV files
	// KeepBad passes rows with unreadable cells to the callback, listed in Batch.Bad.
	// Without it the first such row ends the scan with an error.
	KeepBad bool
	Paths   map[string][]string // see plan.Source
	// Pushed makes it an error that a struct of which fields are read has others, as it is in JSON.
	Pushed bool

	raw map[string]bool // string columns that accept any JSON value as its text
}

// SourceRelation returns the history of s.
func SourceRelation(s *plan.Source) Relation {
	return Relation{Owner: "source " + s.Name, From: s.From, SQL: s.SQL, CSV: s.CSV, KeepBad: s.SkipBadRows, Paths: s.Paths}
}

// SpineRelation returns the spine of a training set.
func SpineRelation(s plan.Spine) Relation {
	return Relation{Owner: "spine", From: s.From, SQL: s.SQL, CSV: s.CSV}
}

// IsText reports whether the relation is text files. Of these, all declared columns are
// always read, whichever the caller needs: a row with an unreadable cell is rejected as a
// whole, as it would be when pushed.
func (rel Relation) IsText() bool {
	f, ok := formatOf(rel.From)
	return rel.SQL == "" && ok && f != parquetFiles
}

// IsQuery reports whether DuckDB reads the relation, and needs memory of its own to do so.
func (rel Relation) IsQuery() bool { return rel.SQL != "" || isURL(rel.From) }
