package offline

import (
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/relation"
)

// LeastMemory is the least bound that Config.Memory can keep: code, libraries and one row group of each
// file that is read or written take that much.
const LeastMemory = 256 << 20

// Shares says how a bound on the memory of a process is divided. docs/operations.md has the table.
// What is left after the fixed shares and the spine is for events: a quarter for results, the rest half for blocks
// and half for sweeping.
type Shares struct {
	Program  int64 // code, definitions, stacks, and what libraries allocate outside of the Go heap
	Queries  int64 // DuckDB's, if the project has sql: or reads from servers
	InFlight int64 // row groups and text that are decoded at once
	IDs      int64 // ids that may be repeated, and rows with repeated ids
	Report   int64 // counters of the report, once the events have been freed
	Writing  int64 // row groups that are being written, once the events have been freed
	Heap     int64 // limit of the Go heap: all but Program and Queries
}

// Divide divides a bound; of 0, which is none, all shares are 0.
func Divide(memory int64, queries bool) Shares {
	s := Shares{
		Program: min(128<<20, memory/2), InFlight: memory / 8, IDs: memory / 8, Report: memory / 16, Writing: memory / 4,
	}
	if queries {
		s.Queries = memory / 4
	}
	s.Heap = memory - s.Program - s.Queries
	return s
}

// HasQueries reports whether DuckDB runs a query for a training set.
func HasQueries(set *plan.TrainingSet) bool {
	if relation.SpineRelation(set.Spine).IsQuery() {
		return true
	}
	return slices.ContainsFunc(set.Service.Views, func(v plan.ViewRef) bool { return relation.SourceRelation(v.View.Source).IsQuery() })
}
