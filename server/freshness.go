package server

import (
	"context"
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/freshness"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/wire"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

// statusStale replaces the statuses of an output that is staler than the request accepts. The
// kernel does not know it, because training sets are never stale.
const statusStale = kernel.Failed + 1

// statusCount is one more than the greatest status.
const statusCount = kernel.Lost + 1

// demand is what a request says about freshness.
type demand struct {
	most   plan.Micros // staleness that the request accepts; 0: any
	status bool        // values that are staler have the status STALE, and are no error
	report bool        // the answer has the freshness of every view
}

// demandOf validates what a request says about freshness.
func (s *Server) demandOf(most uint64, then unskewv1.OnStale, report bool) (demand, error) {
	d := demand{most: plan.Micros(min(most, math.MaxInt64)), status: then == unskewv1.OnStale_ON_STALE_STATUS, report: report}
	switch {
	case then < unskewv1.OnStale_ON_STALE_UNSPECIFIED || then > unskewv1.OnStale_ON_STALE_STATUS:
		return d, invalid("on_stale is %d; it is ON_STALE_ERROR or ON_STALE_STATUS", then)
	case d.most == 0 && then != unskewv1.OnStale_ON_STALE_UNSPECIFIED:
		return d, invalid("on_stale needs max_staleness, the staleness that the request accepts")
	case s.cfg.Freshness == nil && d.most > 0:
		return d, precondition("this server does not know how stale its views are; leave out max_staleness")
	}
	return d, nil
}

// viewFreshness is how far the states of a view were behind its source when they were fetched.
type viewFreshness struct {
	freshness.Mark
	staleness plan.Micros // at the time of the read
	known     bool        // whether staleness is
}

// fetchFresh fetches the states of a query, after a look at the sources if the request needs to
// know more than the last one has found. It fills in how fresh the states are. With keep, what was
// kept of states stands in for them.
func (s *Server) fetchFresh(ctx context.Context, svc *service, q *query, keep bool) (states []fetched, now plan.EventTime, err error) {
	for try := 0; ; try++ {
		marks := s.marks(ctx, svc, q)
		at := plan.Never
		if keep {
			at = s.cfg.Clock()
		}
		if states, err = svc.fetch(ctx, q, s.cfg.States, at); err != nil {
			return nil, 0, err
		}
		now = s.cfg.Clock()
		if q.judge(states, marks, now) || s.cfg.Freshness == nil || !q.asks() || try == switches {
			return states, now, nil
		}
		// A view was promoted since the last look.
		if err := s.cfg.Freshness.Refresh(ctx, now); err != nil {
			return states, now, ctx.Err()
		}
	}
}

// switches bounds how often a read starts over because views were promoted meanwhile.
const switches = 3

// asks reports whether the request depends on freshness.
func (q *query) asks() bool { return q.most > 0 || q.report }

// marks returns what is known about views before their states are fetched. It looks again if one
// of them would be too stale by what is known.
func (s *Server) marks(ctx context.Context, svc *service, q *query) freshness.Marks {
	if s.cfg.Freshness == nil {
		return nil
	}
	marks := s.cfg.Freshness.Marks()
	if !q.asks() {
		return marks
	}
	// Half of the accepted staleness is left for the read itself. The rest is reused by
	// other requests, so that views which lag do not cause a look for each request.
	most := q.most / 2
	if q.most == 0 {
		most = math.MaxInt64
	}
	now := s.cfg.Clock()
	for _, ref := range svc.plan.Views {
		if age, known := marks[ref.View.Fingerprint].Staleness(now); !known || age > most {
			// If it fails, what was known before is still true.
			_ = s.cfg.Freshness.Refresh(ctx, max(now-plan.EventTime(most), plan.MinTime))
			return s.cfg.Freshness.Marks()
		}
	}
	return marks
}

// judge fills in the freshness of fetched states. It returns false if a mark is of another
// generation than the states.
func (q *query) judge(states []fetched, marks freshness.Marks, now plan.EventTime) (all bool) {
	q.fresh, all = q.fresh[:0], true
	for i := range states {
		m, ok := marks.Of(states[i].Generation)
		if !ok {
			m = freshness.Mark{Generation: states[i].Generation, Position: states[i].Generation.Positions.Vector().Sum(), Complete: plan.Always}
			all = false
		}
		f := viewFreshness{Mark: m}
		f.staleness, f.known = m.Staleness(now)
		q.fresh = append(q.fresh, f)
	}
	return all
}

// markStale finds the outputs of a query that are staler than the request accepts. With them, the
// answer is an error or has the status STALE.
func (s *service) markStale(q *query) error {
	q.stale = nil
	if q.most == 0 {
		return nil
	}
	for _, o := range q.outputs {
		for _, v := range s.behind[o] {
			f := &q.fresh[v]
			if f.known && f.staleness <= q.most {
				continue
			}
			if !q.status {
				return s.tooStale(v, f, q.most)
			}
			if q.stale == nil {
				q.stale = make([]bool, len(s.outputs))
			}
			q.stale[o] = true
		}
	}
	return nil
}

func (s *service) tooStale(view int, f *viewFreshness, most plan.Micros) error {
	v := s.plan.Views[view].View
	why := fmt.Sprintf("%d records wait in the log of source %s", f.Lag, v.Source.Name)
	switch {
	case !f.known:
		return precondition("it is not known how stale view %s is, and the request accepts at most %v; try again, accept more, or ask for the status STALE with on_stale", v.Name, asDuration(most))
	case !v.Source.Stream:
		why = fmt.Sprintf("it was materialized as of %v", f.Generation.Materialized)
	case f.Lag == 0:
		why = fmt.Sprintf("the last comparison with the log of source %s is as old", v.Source.Name)
	}
	return precondition("view %s is %v stale (%s), and the request accepts at most %v; try again, accept more, or ask for the status STALE with on_stale",
		v.Name, asDuration(f.staleness), why, asDuration(most))
}

func asDuration(m plan.Micros) time.Duration {
	return time.Duration(min(m, math.MaxInt64/1000)) * time.Microsecond
}

// staleness returns the greatest staleness of the views behind the answered outputs; known is false
// if one is not known or there are none.
func (s *service) staleness(q *query) (most plan.Micros, known bool) {
	for _, o := range q.outputs {
		for _, v := range s.behind[o] {
			f := &q.fresh[v]
			if !f.known {
				return 0, false
			}
			most, known = max(most, f.staleness), true
		}
	}
	return most, known
}

// appendFreshness appends the fields of GetFeaturesResponse about freshness.
func (s *service) appendFreshness(dst []byte, q *query) []byte {
	if q.report {
		for v := range q.fresh {
			var at int
			dst, at = wire.OpenMessage(dst, answerFreshness)
			dst = wire.CloseMessage(q.fresh[v].appendTo(dst, s.plan.Views[v].As), at)
		}
	}
	if most, known := s.staleness(q); known {
		dst = protowire.AppendVarint(protowire.AppendTag(dst, answerStaleness, protowire.VarintType), uint64(most))
	}
	return dst
}

// The fields of ViewFreshness in the contract.
const (
	freshView       = 1
	freshGeneration = 2
	freshPosition   = 3
	freshLag        = 4
	freshComplete   = 5
)

func (f *viewFreshness) appendTo(dst []byte, view string) []byte {
	dst = protowire.AppendString(protowire.AppendTag(dst, freshView, protowire.BytesType), view)
	for _, x := range []struct {
		number protowire.Number
		value  uint64
	}{{freshGeneration, f.Generation.Number}, {freshPosition, f.Position}, {freshLag, f.Lag}} {
		if x.value != 0 {
			dst = protowire.AppendVarint(protowire.AppendTag(dst, x.number, protowire.VarintType), x.value)
		}
	}
	if f.known {
		dst = protowire.AppendVarint(protowire.AppendTag(dst, freshComplete, protowire.VarintType), uint64(f.Complete))
	}
	return dst
}

// appendFreshnessJSON appends the members of GetFeaturesResponse about freshness.
func (s *service) appendFreshnessJSON(dst []byte, q *query) []byte {
	if q.report && len(q.fresh) > 0 {
		before := `,"freshness":[`
		for v := range q.fresh {
			f := &q.fresh[v]
			dst = wire.AppendJSONString(append(append(dst, before...), `{"view":`...), s.plan.Views[v].As)
			dst = fmt.Appendf(dst, `,"generation":"%d","position":"%d","lag":"%d"`, f.Generation.Number, f.Position, f.Lag)
			if f.known {
				dst = fmt.Appendf(dst, `,"completeMicros":"%d"`, f.Complete)
			}
			dst, before = append(dst, '}'), ","
		}
		dst = append(dst, ']')
	}
	if most, known := s.staleness(q); known {
		dst = fmt.Appendf(dst, `,"stalenessMicros":"%d"`, most)
	}
	return dst
}

// appendFreshnessOfRows appends the members of a row-shaped answer about freshness.
func (s *service) appendFreshnessOfRows(dst []byte, q *query) []byte {
	if most, known := s.staleness(q); known {
		dst = wire.AppendJSONString(append(dst, `,"staleness":`...), asDuration(most).String())
	}
	if !q.report {
		return dst
	}
	dst = append(dst, `,"freshness":{`...)
	for v := range q.fresh {
		if v > 0 {
			dst = append(dst, ',')
		}
		f := &q.fresh[v]
		dst = wire.AppendJSONString(dst, s.plan.Views[v].As)
		dst = fmt.Appendf(dst, `:{"generation":%d,"position":%d,"lag":%d`, f.Generation.Number, f.Position, f.Lag)
		if f.known {
			dst = wire.AppendJSONString(append(dst, `,"complete":`...), f.Complete.String())
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}
