package ledger

import (
	"math/bits"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
)

const (
	// fine is the lag below which runs are not told apart.
	fine = plan.Second / 2
	// maxGap is how far two observations may be apart and still be of one run.
	maxGap = 10 * plan.Second
	// maxRun is how long a run may be, so that a minute of great lag does not stand for a week.
	maxRun = plan.Day
	// maxPending is how many runs of a view that do not grow any more may wait to be stored; of more, neighbours are joined.
	maxPending = 16
)

// track makes runs of what is observed of a view.
type track struct {
	at, complete plan.EventTime // the last observation; at is Always if there was none
	runs         []Run          // not stored as they are now; the last one may still grow
}

// observe adds that states which are read at the given time or later have everything before complete.
func (t *track) observe(at, complete plan.EventTime) {
	own := plan.Micros(at - complete)
	switch since := plan.Micros(at - t.at); {
	case t.at == plan.Always || since > maxGap || since < -maxGap || complete < t.complete:
		t.runs = append(t.runs, Run{at, at, own})
	case since <= 0: // the clock was set back a little
		return
	default:
		t.extend(Run{t.at + 1, at, plan.Micros(at - t.complete)}, own)
	}
	t.at, t.complete = at, complete
	if last := len(t.runs) - 1; last > maxPending {
		t.runs = append(join(t.runs[:last]), t.runs[last])
	}
}

// extend adds the time since the last observation, in which states had at least what they had then;
// now, at its end, they lag behind by own.
func (t *track) extend(since Run, own plan.Micros) {
	last := &t.runs[len(t.runs)-1]
	better := band(own) < band(since.Lag)
	switch {
	case band(since.Lag) == band(last.Lag) && plan.Micros(since.To-last.From) <= maxRun:
		last.To, last.Lag = since.To, max(last.Lag, since.Lag)
	case better && since.From == since.To: // no two runs begin at one time
	default:
		t.runs = append(t.runs, since)
	}
	if better {
		t.runs = append(t.runs, Run{since.To, since.To, own})
	}
}

// band is the magnitude of a lag: a band ends at four times the lag at which it begins.
func band(lag plan.Micros) int { return (bits.Len64(uint64(max(0, lag)/fine)) + 1) / 2 }

// join makes one run of every two.
func join(runs []Run) []Run {
	var out []Run
	for pair := range slices.Chunk(runs, 2) {
		r := pair[0]
		for _, next := range pair[1:] {
			if next.From < r.From { // the clock was set back
				r, next = next, r
			}
			// Between the two, states had what they had at the end of the first.
			r = Run{r.From, max(r.To, next.To), max(r.Lag, next.Lag, plan.Micros(next.From-r.complete()))}
		}
		out = append(out, r)
	}
	return out
}
