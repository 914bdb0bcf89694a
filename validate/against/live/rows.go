package live

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/nearest"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/internal/vector"
	"github.com/unskew/unskew/materializer/offline"
)

// SpineRows are the first rows of a spine, at most n, with the keys of a service and, if the spine has all of them, its request fields.
func SpineRows(ctx context.Context, reader *relation.Reader, spine relation.Relation, s *plan.Service, n int) (rows []Row, err error) {
	columns, err := reader.Columns(ctx, spine)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, c := range columns {
		names = append(names, c.Name)
	}
	for _, k := range s.Keys {
		if !slices.Contains(names, k.Name) {
			return nil, fmt.Errorf("%s has no column %q, a key of service %s%s", spine.Owner, k.Name, s.Name, nearest.Hint(k.Name, names))
		}
	}
	fields := slices.Clone(s.Keys)
	request := !slices.ContainsFunc(s.Request, func(f plan.Field) bool { return !slices.Contains(names, f.Name) })
	for _, f := range s.Request {
		if request && !slices.ContainsFunc(fields, func(x plan.Field) bool { return x.Name == f.Name }) {
			fields = append(fields, f)
		}
	}
	enough := errors.New("enough rows")
	err = reader.Scan(ctx, spine, fields, func(b *relation.Batch) error {
		for i := range b.N {
			var r Row
			for _, k := range s.Keys {
				r.Keys = append(r.Keys, owned(b.Col(k.Name).Value(i)))
			}
			for _, f := range s.Request {
				if request {
					r.Request = append(r.Request, owned(b.Col(f.Name).Value(i)))
				}
			}
			if rows = append(rows, r); len(rows) == n {
				return enough
			}
		}
		return nil
	})
	if errors.Is(err, enough) {
		err = nil
	}
	if err == nil && len(rows) == 0 {
		err = fmt.Errorf("%s has no row", spine.Owner)
	}
	return rows, err
}

// owned is a value that does not share memory with a batch.
func owned(v plan.Value) plan.Value {
	if v.Kind() == plan.String {
		return plan.StringValue(strings.Clone(v.Str()))
	}
	return v
}

// entity is a key with the time of its newest event.
type entity struct {
	key  []plan.Value
	text string // the key, encoded
	at   plan.EventTime
}

// NewestRows are rows of the entities with the newest events, at most n. A row of a service with several entities has the first of each, then the second, and so on.
func NewestRows(ctx context.Context, reader *relation.Reader, log eventlog.Log, s *plan.Service, n int) ([]Row, error) {
	if len(s.Request) > 0 {
		var names []string
		for _, f := range s.Request {
			names = append(names, f.Name)
		}
		return nil, fmt.Errorf("service %s takes the request fields %s, which no event has: give rows with --spine", s.Name, strings.Join(names, ", "))
	}
	rows := make([]Row, n)
	for i := range rows {
		rows[i].Keys = make([]plan.Value, len(s.Keys))
		for k := range s.Keys {
			rows[i].Keys[k] = plan.NullValue()
		}
	}
	most, filled := 0, map[string]bool{}
	for i := range s.Views {
		ref := &s.Views[i]
		if !slices.ContainsFunc(ref.Keys, func(k string) bool { return !filled[k] }) {
			continue
		}
		found, err := newest(ctx, reader, log, ref.View, n)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			continue
		}
		most = max(most, len(found))
		for r := range rows {
			for k, name := range ref.Keys {
				if at := slices.IndexFunc(s.Keys, func(f plan.Field) bool { return f.Name == name }); !filled[name] {
					rows[r].Keys[at] = found[r%len(found)].key[k]
				}
			}
		}
		for _, name := range ref.Keys {
			filled[name] = true
		}
	}
	if most == 0 {
		return nil, fmt.Errorf("no source of service %s has an event, so nobody is to be asked for; give rows with --spine", s.Name)
	}
	return rows[:most], nil
}

// newest are the entities of a view with the newest events, at most n, the newest first.
func newest(ctx context.Context, reader *relation.Reader, log eventlog.Log, v *plan.View, n int) ([]entity, error) {
	view, err := kernel.NewView(v)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	found := map[string]*entity{}
	h := offline.ViewHistory(reader, log, nil, v)
	h.Until = nil // to the end of the log
	_, err = h.ReadBy(ctx, 1, func(_ int, ev *kernel.Events) error {
		mu.Lock()
		defer mu.Unlock()
		cols := view.KeyColumns(ev, nil)
		var key []byte
		for i := range ev.Batch.N {
			var whole bool
			if key, whole = entitykey.AppendRow(key[:0], cols, i); !whole {
				continue
			}
			e := found[string(key)]
			if e == nil {
				e = &entity{key: valuesOf(cols, i), text: string(key), at: plan.Always}
				found[e.text] = e
			}
			e.at = max(e.at, ev.Time[i])
		}
		if len(found) > 8*n {
			for _, e := range ordered(found)[n:] {
				delete(found, e.text)
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	all := ordered(found)
	return all[:min(n, len(all))], nil
}

func valuesOf(cols []*vector.Vector, i int) (key []plan.Value) {
	for _, c := range cols {
		key = append(key, owned(c.Value(i)))
	}
	return key
}

// ordered are entities, those with the newest events first.
func ordered(found map[string]*entity) []entity {
	var all []entity
	for _, e := range found {
		all = append(all, *e)
	}
	slices.SortFunc(all, func(a, b entity) int { return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(a.text, b.text)) })
	return all
}
