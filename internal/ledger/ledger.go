// Package ledger records up to which time live state had the events of its source, while it was
// served, and says afterwards when serving could first see what was known at a time.
//
// It has no content of events. A view has two ledgers: of the records of the log that its states
// have, written beside the server, and of the files that its builds began with, written when a build
// becomes live.
package ledger

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sort"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Kind says what a ledger is about.
type Kind byte

// The kinds.
const (
	Log   Kind = 'l' // records of the log, by the time at which they were stored
	Files Kind = 'f' // rows of files, by their visible time
)

// Run says that at every time from From to To (both included) live state had everything up to Lag
// before that time. So at To it had everything before To-Lag.
type Run struct {
	From, To plan.EventTime
	Lag      plan.Micros
}

// complete is the time up to which state has everything at the end of the run.
func (r Run) complete() plan.EventTime { return r.To - plan.EventTime(r.Lag) }

// Times is the ledger of a kind of one view: the runs that servers have recorded. It is immutable.
type Times struct {
	kind Kind
	runs []Run            // by From
	had  []plan.EventTime // the latest time for which this or an earlier run is complete
}

// NewTimes makes a ledger of runs in any order, of one or several servers; nil if there are none.
func NewTimes(kind Kind, runs []Run) *Times {
	if len(runs) == 0 {
		return nil
	}
	t := &Times{kind: kind, runs: slices.Clone(runs)}
	slices.SortFunc(t.runs, func(a, b Run) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To), cmp.Compare(a.Lag, b.Lag))
	})
	had := plan.Always
	for _, r := range t.runs {
		had = max(had, r.complete())
		t.had = append(t.had, had)
	}
	return t
}

// Visible is when serving could first see what was known at v: the first recorded time at which
// state had everything up to and including v, and never before v. It does not decrease with v.
//
// What state had already when recording began counts as visible at v. After the end of the ledger
// of a log nothing says that it was visible later, so it is visible at v, but not before the end;
// rows of files were not visible until another build, so they are never.
func (t *Times) Visible(v plan.EventTime) plan.EventTime {
	if v < t.since() || v == plan.Never {
		return v
	}
	i := sort.Search(len(t.had), func(i int) bool { return t.had[i] > v })
	if i == len(t.had) {
		if t.kind == Files {
			return plan.Never
		}
		return max(v, t.End())
	}
	at := plan.Never
	for ; i < len(t.runs) && t.runs[i].From < at; i++ {
		if r := t.runs[i]; r.complete() > v {
			at = min(at, max(r.From, v+plan.EventTime(r.Lag)+1))
		}
	}
	return max(v, at)
}

// since is the time up to which state had everything when recording began.
func (t *Times) since() plan.EventTime { return t.runs[0].From - plan.EventTime(t.runs[0].Lag) }

// Begin is when recording began.
func (t *Times) Begin() plan.EventTime { return t.runs[0].From }

// End is the last recorded time.
func (t *Times) End() plan.EventTime {
	end := plan.Always
	for _, r := range t.runs {
		end = max(end, r.To)
	}
	return end
}

// Source is what the ledgers say about the events of a source.
type Source struct {
	Log, Files []*Times // of one or several views; what is visible to all of them counts
}

// Logged is when serving could see a record that the log stored at the given time.
func (s *Source) Logged(stored plan.EventTime) plan.EventTime { return latest(s.Log, stored) }

// InFiles is when serving could see a row of a file that is visible from v on.
func (s *Source) InFiles(v plan.EventTime) plan.EventTime { return latest(s.Files, v) }

// Loaded is InFiles; recorded is false if v is before the time from which there are records, or if no build has had it so far.
func (s *Source) Loaded(v plan.EventTime) (at plan.EventTime, recorded bool) {
	at = s.InFiles(v)
	for _, t := range s.Files {
		if v < t.since() {
			return at, false
		}
	}
	return at, len(s.Files) > 0 && at != plan.Never
}

func latest(of []*Times, v plan.EventTime) plan.EventTime {
	at := v
	for _, t := range of {
		at = max(at, t.Visible(v))
	}
	return at
}

// Bounds is the time for which there are records of every kind of event of the source: from the
// beginning of each ledger to the end of those of the log; to is Never if it has no log.
func (s *Source) Bounds() (from, to plan.EventTime) {
	from, to = plan.Always, plan.Never
	for _, t := range s.Log {
		from, to = max(from, t.Begin()), min(to, t.End())
	}
	for _, t := range s.Files {
		from = max(from, t.Begin())
	}
	return from, to
}

// Sum identifies the records.
func (s *Source) Sum() [sha256.Size]byte {
	var b []byte
	for _, t := range slices.Concat(s.Log, s.Files) {
		b = append(b, byte(t.kind))
		for _, r := range t.runs {
			for _, n := range []int64{int64(r.From), int64(r.To), int64(r.Lag)} {
				b = binary.BigEndian.AppendUint64(b, uint64(n))
			}
		}
	}
	return sha256.Sum256(b)
}
