package server

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/access"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/servedlog"
)

// requestIDHeader is where a request may have an id, and where the answer has it if rows of it are in the
// served log.
const requestIDHeader = "X-Request-Id"

// requestIDBytes is the longest id of a request that is taken.
const requestIDBytes = 128

// requestID is the id of a request: the caller's, or a new one if the caller has sent none or one that is no
// plain text.
func (v *visit) requestID() string {
	if sent := v.header[requestIDHeader]; len(sent) == 1 && plainText(sent[0]) {
		return sent[0]
	}
	return rand.Text()
}

// plainText reports whether a text can be the id of a request: printable ASCII without spaces.
func plainText(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) > 0 && len(s) <= requestIDBytes
}

// sample chooses the rows of a query that the served log records.
func (s *service) sample(q *query) {
	q.sampled = q.sampled[:0]
	if s.served == nil {
		return
	}
	for row := range q.n {
		if s.served.Samples(q.keys, row) {
			q.sampled = append(q.sampled, row)
		}
	}
}

// record writes the rows of an answer that were chosen to the served log. now is the time of the read.
func (r *reader) record(ctx context.Context, q *query, a *answer, now plan.EventTime) {
	if len(q.sampled) == 0 {
		return
	}
	v, to := visitOf(ctx), &r.served
	to.RequestID, to.Caller = v.requestID(), ""
	if c := access.From(ctx); c != nil {
		to.Caller = c.Name
	}
	to.ReadAt, to.AsOf, to.Latency = now, a.asOf, time.Since(v.began)
	recorded := false
	for _, row := range q.sampled {
		r.fill(to, q, a, row)
		recorded = r.service.served.Write(to) || recorded
	}
	if recorded {
		v.answer.Header()[requestIDHeader] = []string{to.RequestID}
	}
}

// fill sets what one row of an answer has for itself.
func (r *reader) fill(to *servedlog.Row, q *query, a *answer, row int) {
	to.Number = row
	to.Keys, to.Request, to.Views = to.Keys[:0], to.Request[:0], to.Views[:0]
	for _, key := range q.keys {
		to.Keys = append(to.Keys, key.Value(row))
	}
	for _, f := range r.service.fieldsOnly {
		to.Request = append(to.Request, q.request.Cols[f].Value(row))
	}
	if to.Outputs == nil {
		to.Outputs = make([]servedlog.Output, len(a.cols))
	}
	clear(to.Outputs)
	for _, o := range q.outputs {
		to.Outputs[o] = outputOf(a.cols[o], a.places[o].Of(row), q.stale != nil && q.stale[o])
	}
	for i, v := range a.views {
		to.Views = append(to.Views, v.served(row, &q.fresh[i]))
	}
}

// outputOf is a value with its status and reason as an answer has them.
func outputOf(col *kernel.FeatureColumn, at int, stale bool) servedlog.Output {
	out := servedlog.Output{Value: col.Vec.Value(at), Status: col.Status[at].String()}
	switch {
	case stale:
		out.Status, out.Reason = statusName(statusStale), out.Status
	case col.Status[at] == kernel.Defaulted:
		out.Reason = col.Reason[at].String()
	}
	return out
}

// served describes what the values of a row were computed from.
func (v *viewReader) served(row int, f *viewFreshness) servedlog.View {
	known, positions, newest := v.stateOf(v.places.Of(row), v.Generation.Positions.Vector())
	return servedlog.View{
		Fingerprint: v.fingerprint, Generation: v.Generation.Number, Build: v.Generation.Build,
		Known: known, Newest: newest, Positions: positions, Staleness: asDuration(f.staleness), StalenessKnown: f.known,
	}
}
