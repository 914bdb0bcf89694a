package recompute

import (
	"context"
	"fmt"
	"runtime"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/nearest"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/internal/vector"
)

// Config says what is computed again, and from what.
type Config struct {
	Service *plan.Service
	Units   []Unit
	// From and To bound the times of the reads: From <= read_at < To.
	From, To plan.EventTime
	// Builds are the live builds of the views of the service, by fingerprint. A view without one has no entry.
	Builds  map[plan.Fingerprint]Build
	Log     eventlog.Log // nil: there is none
	History History
	// Narrow, if set, gives what the events of some entities are read from, instead of Log and History.
	Narrow Narrow
	// Take, if set, reports whether a row with some keys is taken.
	Take func(keys []*vector.Vector, row int) bool
	// OneIn takes only the rows of one in so many entities; 0: all. With Fewer, it is raised if their events do not fit into
	// memory, where otherwise rows are taken in several passes.
	OneIn   int
	Fewer   bool
	Threads int   // 0: one for each core
	Memory  int64 // bytes for events and results, from which rows are taken in several passes; 0: 1 GiB
	// By is a key or a request field of the service by whose values the report counts; "": none.
	By string
	// Checkpoint, if set, keeps what is done, and what it has kept is not done again. It is removed when everything is. Not with Fewer.
	Checkpoint *Checkpoint
	// Progress, if set, hears what is done. Calls do not overlap.
	Progress func(Progress)
}

// Progress is how far a run has come.
type Progress struct {
	Phase string // "rows", "events", "compare" or "explain"
	Done  int64  // rows or events
}

// Build is a build of a view's state and what is known of it.
type Build struct {
	registry.Generation
	// InputsChanged says that the history is not, or may not be, the one that it was built from.
	InputsChanged bool
	// Aside has the keys of entities that were set aside, so that their values are errors.
	Aside map[string]bool
}

// History calls f with events of the source of some views, which have one source: with the columns that the views read and the
// others that deliveries need, resolved as for training (docs/semantics.md §2). f is called by so many workers, numbered from 0,
// concurrently, with batches that are valid during the call.
type History func(ctx context.Context, views []*plan.View, r Range, workers int, f func(worker int, ev *kernel.Events) error) error

// Narrow gives what the events of some entities are read from, for each of the views of a service in their order.
type Narrow func(ctx context.Context, of []Entities) (*Narrowed, error)

// Entities are those of a view, by the hashes of their keys (servedlog.Hash). An entity may be there several times.
type Entities struct {
	View   *plan.View
	Hashes []uint64
}

// Narrowed is the log and the history of some entities. It may have events of others.
type Narrowed struct {
	Log     eventlog.Log
	Ends    map[string]logpos.Vector // of the logs of the sources that have one
	History History
	Bytes   int // that it takes in memory
}

// Range is a part of a history: the rows of files that are visible before To, and the log up to Until.
type Range struct {
	To    plan.EventTime // Never: all rows
	Until logpos.Vector
}

// Cause is why a value differs. Their order is that in which they are decided.
type Cause string

// The causes; docs/parity.md describes them.
const (
	Version   Cause = "version"
	Lost      Cause = "lost"
	Default   Cause = "default"
	Source    Cause = "source"
	Duplicate Cause = "duplicate"
	Clock     Cause = "clock"
	Lag       Cause = "lag"
	Late      Cause = "late"
	Outcome   Cause = "outcome"
	Unknown   Cause = "unknown"
	Compute   Cause = "compute"
)

// Reason is why a value was not compared.
type Reason string

// The reasons.
const (
	compared     Reason = ""
	otherFields  Reason = "other_fields" // the version that served has other keys, request fields or outputs
	keysHashed   Reason = "keys_hashed"
	otherBuild   Reason = "other_build"
	trimmed      Reason = "trimmed"
	noFiles      Reason = "no_files"
	setAside     Reason = "set_aside"
	manyOrders   Reason = "many_orders"
	otherVersion Reason = "other_version"
)

const (
	defaultMemory = 1 << 30
	maxPasses     = 1 << 12
)

func (c *Config) complete() {
	if c.Threads <= 0 {
		c.Threads = runtime.GOMAXPROCS(0)
	}
	if c.Memory <= 0 {
		c.Memory = defaultMemory
	}
	c.OneIn = max(c.OneIn, 1)
	if c.Progress == nil {
		c.Progress = func(Progress) {}
	}
}

// checkBy checks that By is a key or a request field.
func (c *Config) checkBy() error {
	var names []string
	for _, f := range slices.Concat(c.Service.Keys, c.Service.Request) {
		names = append(names, f.Name)
	}
	if c.By == "" || slices.Contains(names, c.By) {
		return nil
	}
	return fmt.Errorf("service %s has no key or request field %q%s", c.Service.Name, c.By, nearest.Hint(c.By, names))
}
