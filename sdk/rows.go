package sdk

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/unskew/unskew/internal/wire"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

// Status is the status of a value.
type Status int32

// The statuses. Present and Defaulted rows have a value; Failed rows have one if the feature
// declares on_error: default; Stale rows may have one; all others are null.
const (
	Present       Status = Status(unskewv1.Status_STATUS_PRESENT)        // computed
	Empty         Status = Status(unskewv1.Status_STATUS_EMPTY)          // the entity has events, none for this feature
	UnknownEntity Status = Status(unskewv1.Status_STATUS_UNKNOWN_ENTITY) // no event of the entity is visible
	Defaulted     Status = Status(unskewv1.Status_STATUS_DEFAULTED)      // the declared default; see Feature.Reason
	Failed        Status = Status(unskewv1.Status_STATUS_ERROR)          // the expression failed
	Stale         Status = Status(unskewv1.Status_STATUS_STALE)          // staler than MaxStaleness; see Feature.Reason
	Lost          Status = Status(unskewv1.Status_STATUS_LOST)           // the store has lost the entity's state
)

// String returns the status's name in the contract, without the prefix.
func (s Status) String() string { return enumName(unskewv1.Status(s).String(), "STATUS_") }

func enumName(full, prefix string) string { return strings.TrimPrefix(full, prefix) }

// Rows is the answer to a read: a table of features.
type Rows struct {
	Fingerprint string      // of the service that answered
	RequestID   string      // of the request, if it had one or rows of it are in the served log; else ""
	AsOf        time.Time   // the moment all rows were read as of
	States      []State     // WithStates only: one for each view of the service
	Freshness   []Freshness // WithFreshness only: one for each view of the service
	staleness   *uint64
	service     string
	n           int
	features    []*Feature
}

// State describes the states of a view that the rows were computed from.
type State struct {
	View        string       // the view's role in the service
	Fingerprint string       // of the view
	Generation  uint64       // of its materialization
	Positions   []uint64     // in the source's log, for each row; if it has several shards, the sum of Shards
	Shards      [][]uint64   // positions in the shards of the log, for each row; nil if only the first has any
	Newest      []time.Time  // newest visible time applied, for each row
	Unknown     map[int]bool // rows whose entity has no state
}

// Freshness says how far a view was behind its source.
type Freshness struct {
	View       string    // the view's role in the service
	Generation uint64    // of its materialization
	Position   uint64    // how many records of the source's log are applied, at least; 0 without a stream
	Lag        uint64    // how many are not
	Complete   time.Time // events that were stored before are applied; zero if unknown
}

// Staleness returns the greatest staleness of the views that the features read: the age of the
// oldest event that may be missing. known is false if the server does not know it, or if the
// features read no view.
func (r *Rows) Staleness() (s time.Duration, known bool) {
	if r.staleness == nil {
		return 0, false
	}
	return time.Duration(min(*r.staleness, math.MaxInt64/1000)) * time.Microsecond, true
}

// newRows checks that the answer is a valid table.
func newRows(service string, m *unskewv1.GetFeaturesResponse) (*Rows, error) {
	r := &Rows{Fingerprint: m.GetFingerprint(), AsOf: time.UnixMicro(m.GetAsOfMicros()).UTC(), staleness: m.StalenessMicros, service: service, n: int(m.GetRows())}
	for _, o := range m.GetOutputs() {
		if wire.Rows(o.GetColumn()) != r.n || len(o.GetStatuses()) != r.n || len(o.GetReasons()) != 0 && len(o.GetReasons()) != r.n {
			return nil, fmt.Errorf("the server's answer for feature %s does not have the %d rows it announced", o.GetColumn().GetName(), r.n)
		}
		f := &Feature{wire: o, null: make([]bool, r.n)}
		for _, i := range o.GetColumn().GetNulls() {
			if int64(i) >= int64(r.n) {
				return nil, fmt.Errorf("the server's answer for feature %s has a null in row %d of %d", f.Name(), i, r.n)
			}
			f.null[i] = true
		}
		r.features = append(r.features, f)
	}
	for _, s := range m.GetStates() {
		per := len(s.GetShardPositions())
		if len(s.GetPositions()) != r.n || len(s.GetNewestMicros()) != r.n || per > 0 && per != r.n*int(s.GetShards()) {
			return nil, fmt.Errorf("the server's answer for the states of view %s does not have the %d rows it announced", s.GetView(), r.n)
		}
		r.States = append(r.States, newState(s))
	}
	for _, f := range m.GetFreshness() {
		x := Freshness{View: f.GetView(), Generation: f.GetGeneration(), Position: f.GetPosition(), Lag: f.GetLag()}
		if f.CompleteMicros != nil {
			x.Complete = time.UnixMicro(f.GetCompleteMicros()).UTC()
		}
		r.Freshness = append(r.Freshness, x)
	}
	return r, nil
}

func newState(s *unskewv1.ViewState) State {
	out := State{View: s.GetView(), Fingerprint: s.GetFingerprint(), Generation: s.GetGeneration(), Positions: s.GetPositions(),
		Newest: make([]time.Time, len(s.GetNewestMicros())), Unknown: map[int]bool{}}
	for i, us := range s.GetNewestMicros() {
		out.Newest[i] = time.UnixMicro(us).UTC()
	}
	if n := int(s.GetShards()); len(s.GetShardPositions()) > 0 {
		out.Shards = slices.Collect(slices.Chunk(s.GetShardPositions(), n))
	}
	for _, i := range s.GetUnknown() {
		out.Unknown[int(i)] = true
	}
	return out
}

// Len returns the number of rows.
func (r *Rows) Len() int { return r.n }

// Features returns the columns in the order of the answer.
func (r *Rows) Features() []*Feature { return r.features }

// Feature returns a column by name ("view.feature", or the name of a derived feature).
func (r *Rows) Feature(name string) (*Feature, error) {
	for _, f := range r.features {
		if f.Name() == name {
			return f, nil
		}
	}
	return nil, fmt.Errorf("the answer of service %s has no feature %q", r.service, name)
}

// Feature is one feature of all rows.
type Feature struct {
	wire *unskewv1.Output
	null []bool
}

// Name returns the feature's name in the service.
func (f *Feature) Name() string { return f.wire.GetColumn().GetName() }

// Type returns the type of the values as written in definitions, such as "list(string)".
func (f *Feature) Type() string { return f.wire.GetType() }

// Status returns the status of row i.
func (f *Feature) Status(i int) Status { return Status(f.wire.GetStatuses()[i]) }

// Reason returns the status that Defaulted replaced in row i, Empty or UnknownEntity, or the
// status that Stale replaced; 0 for other statuses.
func (f *Feature) Reason(i int) Status {
	if len(f.wire.GetReasons()) == 0 {
		return 0
	}
	return Status(f.wire.GetReasons()[i])
}

// Wire returns the column in its wire form.
func (f *Feature) Wire() *unskewv1.Column { return f.wire.GetColumn() }

// IsNull reports whether row i has no value.
func (f *Feature) IsNull(i int) bool { return f.null[i] }
