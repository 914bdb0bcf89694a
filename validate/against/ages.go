package against

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/parquetfile/arrowfile"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/materializer/offline"
)

// Which ages of values are looked for, and in what.
const (
	agedRows    = 400 // rows with differences in which ages are looked for
	agedTimes   = 40  // of each, the newest times at which its events became known
	agesFound   = 8   // that are tried at most, those that explain most rows
	leastShare  = 40  // an age is tried if it explains one row in so many, and leastRows
	leastRows   = 5
	greatestAge = 2 * 366 * plan.EventTime(plan.Day) // of a value
)

// span is ages of a value, both ends included.
type span struct{ from, to plan.Micros }

// findAges adds to Lags the ages of values that explain most rows: a value stays as it is from one event to the next, so each value that was ours once
// has a span of ages, and an age at which a system was behind is in those of many rows.
func (r *run) findAges(ctx context.Context) error {
	rows := r.someRows()
	if len(rows) == 0 {
		return nil
	}
	times, err := r.knownTimes(ctx, rows)
	if err != nil {
		return err
	}
	spans, err := r.spans(ctx, rows, times)
	if err != nil {
		return err
	}
	tried := slices.Concat(ages, r.Lags)
	for range agesFound {
		best, n := commonAge(spans, tried)
		if n < leastRows || n*leastShare < len(rows) {
			break
		}
		if !slices.Contains(tried, best) {
			tried = append(tried, best)
			r.found = append(r.found, best)
		}
		spans = slices.DeleteFunc(spans, func(of []span) bool { return covers(of, best) })
	}
	return nil
}

// someRows are rows with a value that rounding does not explain, spread over the file.
func (r *run) someRows() (rows []*difference) {
	for _, d := range r.differing {
		if slices.ContainsFunc(d.cells, func(c cell) bool { return c.cause == "" }) {
			rows = append(rows, d)
		}
	}
	slices.SortFunc(rows, func(a, b *difference) int { return cmp.Compare(spread(a.row), spread(b.row)) })
	return rows[:min(len(rows), agedRows)]
}

// knownTimes are the newest times, at most agedTimes of each row, at which an event of its entities became known before it, the newest first.
func (r *run) knownTimes(ctx context.Context, rows []*difference) ([][]plan.EventTime, error) {
	out := make([][]plan.EventTime, len(rows))
	for i := range r.Service.Views {
		ref := &r.Service.Views[i]
		byKey := map[string][]int{}
		for n, d := range rows {
			if key := r.keyOf(ref, d); key != nil {
				byKey[string(key)] = append(byKey[string(key)], n)
			}
		}
		view, err := kernel.NewView(ref.View)
		if err != nil {
			return nil, err
		}
		var mu sync.Mutex
		h := offline.ViewHistory(r.Reader, r.Log, nil, ref.View)
		h.Until = nil // to the end of the log
		_, err = h.ReadBy(ctx, max(1, r.Threads), func(_ int, ev *kernel.Events) error {
			cols := view.KeyColumns(ev, nil)
			var key []byte
			for i := range ev.Batch.N {
				var whole bool
				if key, whole = entitykey.AppendRow(key[:0], cols, i); !whole || byKey[string(key)] == nil {
					continue
				}
				mu.Lock()
				for _, n := range byKey[string(key)] {
					if at := ev.Visible(i); at < rows[n].at {
						out[n] = keepNewest(append(out[n], at))
					}
				}
				mu.Unlock()
			}
			return ctx.Err()
		})
		if err != nil {
			return nil, err
		}
	}
	for n := range out {
		out[n] = newestFirst(out[n])
	}
	return out, nil
}

// keyOf is the key of the entity of a view in a row; nil if it has none.
func (r *run) keyOf(ref *plan.ViewRef, d *difference) []byte {
	var key []plan.Value
	for _, name := range ref.Keys {
		i := slices.IndexFunc(r.Service.Keys, func(f plan.Field) bool { return f.Name == name })
		if i < 0 || d.keys[i].IsNull() {
			return nil
		}
		key = append(key, d.keys[i])
	}
	return entitykey.Append(nil, key...)
}

// keepNewest bounds a list of times.
func keepNewest(times []plan.EventTime) []plan.EventTime {
	if len(times) < 4*agedTimes {
		return times
	}
	return newestFirst(times)
}

func newestFirst(times []plan.EventTime) []plan.EventTime {
	slices.SortFunc(times, func(a, b plan.EventTime) int { return cmp.Compare(b, a) })
	times = slices.Compact(times)
	return times[:min(len(times), agedTimes)]
}

// aged is the spine with rows as of the times at which their events became known.
const aged = "aged.parquet"

// spans computes at which ages each row had one of its foreign values.
func (r *run) spans(ctx context.Context, rows []*difference, times [][]plan.EventTime) ([][]span, error) {
	if !slices.ContainsFunc(times, func(of []plan.EventTime) bool { return len(of) > 0 }) {
		return nil, nil // no entity had an event
	}
	fields := []plan.Field{{Name: rowColumn, Type: plan.T(plan.Int)}, {Name: variantColumn, Type: plan.T(plan.Int)}, {Name: timeColumn, Type: plan.T(plan.Timestamp)}}
	w, err := arrowfile.CreateRowFile(r.path(aged), append(append(fields, r.Service.Keys...), r.request...))
	if err != nil {
		return nil, err
	}
	for n, d := range rows {
		for k, t := range times[n] {
			// As of the time itself the event is not seen, and right after it is: the values of both spans that it divides.
			for side, at := range []plan.EventTime{t, t + 1} {
				row := append([]plan.Value{plan.IntValue(int64(n)), plan.IntValue(int64(2*k + side)), plan.TimestampValue(at)}, d.keys...)
				if err := w.Add(append(row, d.request...)); err != nil {
					return nil, err
				}
			}
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	out := make([][]span, len(rows))
	columns := fields[:2]
	err = r.train(ctx, r.Service, aged, "aged", false, columns, func(b *relation.Batch) error {
		for i := range b.N {
			n, v := b.Col(rowColumn).Int[i], int(b.Col(variantColumn).Int[i])
			d, t := rows[n], times[n]
			if !r.hasOne(d, b, i) {
				continue
			}
			// The value after event k holds until the event after it, and that before it since the event before it.
			k, from, to := v/2, plan.EventTime(0), plan.EventTime(0)
			if v%2 == 1 {
				if from, to = 1, d.at-t[k]-1; k > 0 {
					from = d.at - t[k-1]
				}
			} else {
				if from, to = d.at-t[k], greatestAge; k+1 < len(t) {
					to = d.at - t[k+1] - 1
				}
			}
			if from <= to {
				out[n] = append(out[n], span{plan.Micros(from), plan.Micros(to)})
			}
		}
		return ctx.Err()
	})
	return slices.DeleteFunc(out, func(of []span) bool { return of == nil }), err
}

// hasOne reports whether row i of a batch has one of the foreign values of a row that are still to be explained.
func (r *run) hasOne(d *difference, b *relation.Batch, i int) bool {
	return slices.ContainsFunc(d.cells, func(c cell) bool {
		ours := b.Col(r.features[c.feature].Name).Value(i)
		return c.cause == "" && (equal(ours, c.theirs) || rounded(ours, c.theirs) != "")
	})
}

func covers(of []span, age plan.Micros) bool {
	return slices.ContainsFunc(of, func(s span) bool { return s.from <= age && age <= s.to })
}

// commonAge is the age that is in the spans of most rows, and of how many. Of several, one of preferred is taken, or else the roundest.
func commonAge(rows [][]span, preferred []plan.Micros) (plan.Micros, int) {
	type edge struct {
		at plan.Micros
		by int
	}
	var edges []edge
	for _, of := range rows {
		for _, s := range merged(of) {
			edges = append(edges, edge{s.from, 1}, edge{s.to + 1, -1})
		}
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.by, b.by)) })
	var best span
	most, now := 0, 0
	for i, e := range edges {
		if now += e.by; now > most {
			most, best = now, span{e.at, edges[i+1].at - 1}
		}
	}
	for _, age := range preferred {
		if n := count(rows, age); n >= most {
			return age, n
		}
	}
	return roundest(best), most
}

func count(rows [][]span, age plan.Micros) (n int) {
	for _, of := range rows {
		if covers(of, age) {
			n++
		}
	}
	return n
}

// merged are spans without those that overlap, in order.
func merged(of []span) (out []span) {
	slices.SortFunc(of, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	for _, s := range of {
		if n := len(out); n > 0 && s.from <= out[n-1].to+1 {
			out[n-1].to = max(out[n-1].to, s.to)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// roundest is the age in a span that people would have chosen: a multiple of the longest unit that has one there.
func roundest(s span) plan.Micros {
	for _, u := range []plan.Micros{plan.Micros(plan.Day), plan.Micros(plan.Hour), 15 * plan.Micros(plan.Minute), plan.Micros(plan.Minute), plan.Micros(plan.Second)} {
		if n := (s.from + u - 1) / u * u; n <= s.to && n > 0 {
			return n
		}
	}
	return s.from
}
