package against

import (
	"context"
	"fmt"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/parquetfile/arrowfile"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/internal/vector"
)

// Cause is the mistake of the other system that explains a difference.
type Cause string

// The causes, in the order in which they are tried; docs/parity.md describes them.
const (
	Precision Cause = "precision"
	Late      Cause = "late"
	Outcome   Cause = "outcome"
	Lag       Cause = "lag"
	Clock     Cause = "clock"
	Duplicate Cause = "duplicate"
	Order     Cause = "order"
	Default   Cause = "default"
	Unknown   Cause = "unknown"
)

// variant is another time as of which a value may be.
type variant struct {
	cause Cause
	time  func(t plan.EventTime) plan.EventTime
}

// ages are how much older values are tried to be, and periods those at the multiples of which jobs run.
var (
	ages = []plan.Micros{plan.Micros(plan.Second), 5 * plan.Micros(plan.Second), 15 * plan.Micros(plan.Second), plan.Micros(plan.Minute), 5 * plan.Micros(plan.Minute), 15 * plan.Micros(plan.Minute), 30 * plan.Micros(plan.Minute),
		plan.Micros(plan.Hour), 2 * plan.Micros(plan.Hour), 3 * plan.Micros(plan.Hour), 6 * plan.Micros(plan.Hour), 12 * plan.Micros(plan.Hour), plan.Micros(plan.Day), 2 * plan.Micros(plan.Day), 3 * plan.Micros(plan.Day),
		7 * plan.Micros(plan.Day), 14 * plan.Micros(plan.Day), 30 * plan.Micros(plan.Day)}
	periods = []plan.Micros{plan.Micros(plan.Minute), 5 * plan.Micros(plan.Minute), 15 * plan.Micros(plan.Minute), 30 * plan.Micros(plan.Minute), plan.Micros(plan.Hour), 6 * plan.Micros(plan.Hour), 12 * plan.Micros(plan.Hour), plan.Micros(plan.Day)}
)

// furthestZone is how far times in another zone are ahead.
const furthestZone = 14

// variants lists what is tried, the same time first.
func (r *run) variants() []variant {
	out := []variant{{"", func(t plan.EventTime) plan.EventTime { return t }}}
	for _, age := range slices.Concat(ages, r.Lags, r.found) {
		out = append(out, variant{Lag, func(t plan.EventTime) plan.EventTime { return t - plan.EventTime(age) }})
	}
	for _, p := range periods {
		out = append(out, variant{Lag, func(t plan.EventTime) plan.EventTime {
			return t - into(t, p)
		}})
	}
	for _, ahead := range []plan.Micros{1, plan.Micros(plan.Second), plan.Micros(plan.Minute)} {
		out = append(out, variant{Clock, func(t plan.EventTime) plan.EventTime { return t + plan.EventTime(ahead) }})
	}
	for h := range plan.EventTime(furthestZone) {
		out = append(out, variant{Clock, func(t plan.EventTime) plan.EventTime { return t + (h+1)*plan.EventTime(plan.Hour) }})
	}
	return out
}

// hypotheses is the spine with the rows to explain as of all variants of their times.
const hypotheses = "hypotheses.parquet"

// explainAll tries all causes for the rows that are kept.
func (r *run) explainAll(ctx context.Context) error {
	r.thin()
	if len(r.differing) == 0 {
		return nil
	}
	slices.SortFunc(r.differing, func(a, b *difference) int { return int(a.row - b.row) })
	for _, d := range r.differing {
		for i := range d.cells {
			c := &d.cells[i]
			if as := rounded(c.ours, c.theirs); as != "" {
				c.cause, c.as = Precision, "it is "+as
			}
		}
	}
	if err := r.findAges(ctx); err != nil {
		return err
	}
	variants := r.variants()
	if err := r.writeHypotheses(variants); err != nil {
		return err
	}
	var all []hypothesis
	for _, m := range r.mistakes() {
		e := &evidence{run: r, variants: variants, first: len(all)}
		for i := range variants {
			all = append(all, hypothesis{&variants[i], m})
		}
		if err := r.tryAll(ctx, m, e); err != nil {
			return err
		}
	}
	r.choose(all)
	for _, d := range r.differing {
		for i := range d.cells {
			c := &d.cells[i]
			if c.cause == "" {
				c.cause = Unknown
				if nothing(c.theirs) && (c.ours.IsNull() || c.status != "PRESENT" || nothing(c.ours)) {
					c.cause, c.as = Default, "one has a value where the other says that there is none"
				}
			}
			r.report.explained(d, c, r.features)
		}
	}
	return nil
}

// hypothesis is a mistake that the other system may make.
type hypothesis struct {
	*variant
	mistaken
}

// choose gives each value the hypothesis that explains most values, of those that explain it: a system has few mistakes, and makes each of
// them often, while a value that is explained by accident is so by many hypotheses. This is the greedy way to cover a set (Chvatal, 1979).
func (r *run) choose(all []hypothesis) {
	type open struct {
		d *difference
		c *cell
	}
	var left []open
	for _, d := range r.differing {
		for i := range d.cells {
			if c := &d.cells[i]; c.cause == "" && c.explains != nil {
				left = append(left, open{d, c})
			}
		}
	}
	counts := make([]int, len(all))
	count := func(x open, by int) {
		for h := range all {
			if x.c.explains.Get(h) && all[h].cause(&r.features[x.c.feature], x.d.at) != "" {
				counts[h] += by
			}
		}
	}
	for _, x := range left {
		count(x, 1)
	}
	for {
		best := 0
		for h := range all {
			if counts[h] > counts[best] {
				best = h // of equals the first: variants are in the order in which they are likely
			}
		}
		if counts[best] == 0 {
			return
		}
		h := &all[best]
		left = slices.DeleteFunc(left, func(x open) bool {
			f := &r.features[x.c.feature]
			if !x.c.explains.Get(best) || h.cause(f, x.d.at) == "" {
				return false
			}
			x.c.cause, x.c.as, x.c.age = h.cause(f, x.d.at), h.text(f, x.d.at), x.d.at-h.time(x.d.at)
			count(x, -1)
			return true
		})
	}
}

// cause is what a hypothesis means for a feature at a time; "" if it is none.
func (h *hypothesis) cause(f *feature, at plan.EventTime) Cause {
	same := h.time(at) == at
	switch {
	case h.repeated && same:
		return Duplicate
	case h.turned && same:
		return Order
	case h.repeated, h.turned, same && !h.final:
		return ""
	case same && f.late:
		return Outcome
	case same, h.final && h.inclusive(at):
		return Late
	case h.variant.cause == Clock && h.final:
		return ""
	}
	return h.variant.cause
}

// inclusive reports whether an event at the time itself counts, as it does in joins by event time, and nothing else is another.
func (h *hypothesis) inclusive(at plan.EventTime) bool { return h.time(at) == at+1 }

// text says what a value is if a hypothesis is true.
func (h *hypothesis) text(f *feature, at plan.EventTime) string {
	t := h.time(at)
	early := ""
	if h.final {
		early = "with events that were not known yet"
	}
	switch h.cause(f, at) {
	case Duplicate:
		return "it counts events as often as they were delivered"
	case Order:
		return "it is that with the other one of events of the same time"
	case Late:
		if h.inclusive(at) {
			early += ", and with events of the very time"
		}
		return "it is that " + early
	case Outcome:
		return "it is that " + early + ", or with outcomes of these"
	case Clock:
		return fmt.Sprintf("it is that as of %s, %s later", t, spanText(plan.Micros(t-at)))
	}
	text := fmt.Sprintf("it is that as of %s, %s earlier", t, spanText(plan.Micros(at-t)))
	if h.final {
		text += ", " + early
	}
	return text
}

// writeHypotheses writes each row to explain as of all variants of its time.
func (r *run) writeHypotheses(variants []variant) error {
	fields := []plan.Field{{Name: rowColumn, Type: plan.T(plan.Int)}, {Name: variantColumn, Type: plan.T(plan.Int)}, {Name: timeColumn, Type: plan.T(plan.Timestamp)}}
	w, err := arrowfile.CreateRowFile(r.path(hypotheses), append(append(fields, r.Service.Keys...), r.request...))
	if err != nil {
		return err
	}
	for n, d := range r.differing {
		for v := range variants {
			t := variants[v].time(d.at)
			if !t.Valid() {
				continue
			}
			row := append([]plan.Value{plan.IntValue(int64(n)), plan.IntValue(int64(v)), plan.TimestampValue(t)}, d.keys...)
			if err := w.Add(append(row, d.request...)); err != nil {
				return err
			}
		}
	}
	return w.Close()
}

// evidence compares foreign values with those of one try.
type evidence struct {
	*run
	variants []variant
	first    int // number of the first of its hypotheses
}

func (r *run) tryAll(ctx context.Context, m mistaken, e *evidence) error {
	columns := []plan.Field{{Name: rowColumn, Type: plan.T(plan.Int)}, {Name: variantColumn, Type: plan.T(plan.Int)}}
	return r.train(ctx, m.service, hypotheses, fmt.Sprint("try", e.first), m.final, columns, func(b *relation.Batch) error {
		for i := range b.N {
			e.row(b, i)
		}
		return ctx.Err()
	})
}

// row sees the values of a row as of one variant of its time.
func (e *evidence) row(b *relation.Batch, i int) {
	d, v := e.differing[b.Col(rowColumn).Int[i]], int(b.Col(variantColumn).Int[i])
	for n := range d.cells {
		c := &d.cells[n]
		if c.cause != "" {
			continue
		}
		if ours := b.Col(e.features[c.feature].Name).Value(i); !equal(ours, c.theirs) && rounded(ours, c.theirs) == "" {
			continue
		}
		if c.explains == nil {
			c.explains = vector.NewBitmap(maxTries * len(e.variants))
		}
		c.explains.Set(e.first + v)
	}
}
