package perturb

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/internal/vector"
)

// spine is some rows of a training set's spine, copied to a file.
type spine struct {
	path string
	rows []int64 // their numbers in the spine, ascending
	at   []plan.EventTime
	keys map[string][]*vector.Vector // key columns by their names
}

// readSpine copies the given rows, all columns.
func (r *run) readSpine(ctx context.Context, rows []int64) (*spine, error) {
	s := &spine{rows: rows}
	w := &writer{path: filepath.Join(r.dir, "spine.parquet")}
	row, next := int64(0), 0
	err := r.Reader.Records(ctx, relation.SpineRelation(r.Set.Spine), r.declared(), w.begin, func(rec arrow.RecordBatch) error {
		for ; next < len(rows) && rows[next] < row+rec.NumRows(); next++ {
			i := int(rows[next] - row)
			for c := range int(rec.NumCols()) {
				if err := w.array(c, rec.Column(c), i, i+1); err != nil {
					return err
				}
			}
			if err := w.rowDone(); err != nil {
				return err
			}
		}
		row += rec.NumRows()
		return nil
	})
	if err := errors.Join(err, w.end()); err != nil {
		return nil, err
	}
	s.path = w.path
	return s, r.readKeys(ctx, s)
}

// declared are the columns of the spine that the training set declares.
func (r *run) declared() []plan.Field {
	fields := []plan.Field{{Name: r.Set.Spine.Time, Type: plan.T(plan.Timestamp)}}
	seen := map[string]bool{r.Set.Spine.Time: true}
	for _, list := range [][]plan.Field{r.Set.Service.Keys, r.Set.Service.Request} {
		for _, f := range list {
			if !seen[f.Name] {
				seen[f.Name] = true
				fields = append(fields, f)
			}
		}
	}
	return fields
}

// readKeys reads the times and keys of the copied rows.
func (r *run) readKeys(ctx context.Context, s *spine) error {
	s.keys = map[string][]*vector.Vector{}
	rel := relation.Relation{Owner: "copied spine", From: s.path}
	return r.Reader.Scan(ctx, rel, r.declared(), func(b *relation.Batch) error {
		for _, t := range b.Col(r.Set.Spine.Time).Int[:b.N] {
			s.at = append(s.at, plan.EventTime(t))
		}
		for _, f := range r.Set.Service.Keys {
			col := vector.New(f.Type, b.N)
			for i := range b.N {
				v := b.Col(f.Name).Value(i)
				if v.Kind() == plan.String {
					v = plan.StringValue(strings.Clone(v.Str()))
				}
				col.Set(i, v)
			}
			s.keys[f.Name] = append(s.keys[f.Name], col)
		}
		return nil
	})
}

// lastSeen is the latest as-of time of each entity, by the given key columns.
func (s *spine) lastSeen(keys []string) map[string]plan.EventTime {
	out := map[string]plan.EventTime{}
	row := 0
	for batch := range s.keys[keys[0]] {
		var cols []*vector.Vector
		for _, k := range keys {
			cols = append(cols, s.keys[k][batch])
		}
		for i := range cols[0].N {
			if key, ok := entitykey.AppendRow(nil, cols, i); ok {
				if t, seen := out[string(key)]; !seen || t < s.at[row] {
					out[string(key)] = s.at[row]
				}
			}
			row++
		}
	}
	return out
}

// values are the columns of a training set, with each value as a text that determines all its
// bits.
type values struct {
	names []string
	texts [][]string
	rows  int
}

func readValues(ctx context.Context, r *relation.Reader, path string) (*values, error) {
	v := &values{}
	err := r.Records(ctx, relation.Relation{Owner: "training set", From: path}, nil, func(s *arrow.Schema) error {
		for _, f := range s.Fields() {
			v.names = append(v.names, f.Name)
		}
		v.texts = make([][]string, len(v.names))
		return nil
	}, func(rec arrow.RecordBatch) error {
		for c := range v.texts {
			col := rec.Column(c)
			for i := range col.Len() {
				v.texts[c] = append(v.texts[c], col.ValueStr(i))
			}
		}
		v.rows += int(rec.NumRows())
		return nil
	})
	return v, err
}

// definition is the feature of a column of values, and its position.
func (r *run) definition(column string) (string, plan.Pos) {
	svc := r.Set.Service
	for i, o := range svc.Outputs() {
		if column != o.Name && !strings.HasPrefix(column, o.Name+".") {
			continue
		}
		if d := i - len(svc.Features); d >= 0 {
			return o.Name, svc.Derived[d].Pos
		}
		f := svc.Features[i]
		return o.Name, svc.Views[f.Ref].View.Features[f.Feature].Pos
	}
	return column, r.Set.Pos
}
