package offline

import (
	"context"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/internal/vector"
)

// spine is what the replay needs of the rows to predict, in their order. Other columns
// are not kept in memory: they are read again when the output is written.
type spine struct {
	rel        relation.Relation
	fields     []plan.Field              // declared columns: as-of time, keys, request fields, label's known time
	tuples     [][]string                // the distinct tuples of key columns that views are read by
	entities   *kernel.Spine             // the entities of the tuples
	at         []plan.EventTime          // as-of times
	labelKnown []plan.EventTime          // Never where null; nil without such a column
	columns    map[string]*vector.Vector // the declared ones; those of keep hold values
	keep       []string
	held       *holdout // nil without one
	labels     *labels  // nil without a label, or with one of a type that no feature has
	service    *plan.Service
}

func newSpine(set *plan.TrainingSet) *spine {
	rel := relation.SpineRelation(set.Spine)
	rel.Owner = "spine of " + set.Name
	s := &spine{rel: rel, service: set.Service, columns: map[string]*vector.Vector{}}
	s.declare(plan.Field{Name: set.Spine.Time, Type: plan.T(plan.Timestamp)})
	for _, f := range set.Service.Keys {
		s.declare(f)
	}
	for _, f := range set.Service.Request {
		s.declare(f)
		s.keep = append(s.keep, f.Name)
	}
	if set.Spine.LabelKnownAt != "" {
		s.declare(plan.Field{Name: set.Spine.LabelKnownAt, Type: plan.T(plan.Timestamp)})
	}
	for i := range set.Service.Views {
		if keys := set.Service.Views[i].Keys; s.tuple(keys) < 0 {
			s.tuples = append(s.tuples, keys)
		}
	}
	s.entities = kernel.NewSpine(len(s.tuples))
	s.held = newHoldout(set, s.tuple)
	return s
}

// checkLabel checks that the label column exists; it may have any type.
func (s *spine) checkLabel(ctx context.Context, r *relation.Reader, set plan.Spine) error {
	if set.Label == "" {
		return nil
	}
	return r.CheckName(ctx, s.rel, set.Label)
}

// declare adds a column unless it is there: a key may also be a request field.
func (s *spine) declare(f plan.Field) {
	if _, ok := s.columns[f.Name]; ok {
		return
	}
	s.fields = append(s.fields, f)
	s.columns[f.Name] = &vector.Vector{Type: f.Type}
}

// load reads the declared columns and the label.
func (s *spine) load(ctx context.Context, r *relation.Reader, set plan.Spine, progress func(rows int64)) error {
	fields := s.fields
	label, err := s.labelField(ctx, r, set)
	if err != nil {
		return err
	}
	var reader *labelReader
	if label != nil {
		reader = newLabelReader(label.Type.Kind)
		if _, declared := s.columns[label.Name]; !declared {
			fields = append(slices.Clone(fields), *label)
		}
	}
	if set.LabelKnownAt != "" {
		s.labelKnown = []plan.EventTime{}
	}
	if err := s.reserve(ctx, r, reader); err != nil {
		return err
	}
	var at []plan.EventTime
	keys := make([][]*vector.Vector, len(s.tuples))
	for i := range keys {
		keys[i] = make([]*vector.Vector, len(s.tuples[i]))
	}
	err = r.Scan(ctx, s.rel, fields, func(b *relation.Batch) error {
		if err := s.accept(b, set.Time); err != nil {
			return err
		}
		at = at[:0]
		for _, t := range b.Col(set.Time).Int[:b.N] {
			at = append(at, plan.EventTime(t))
		}
		for _, name := range s.keep {
			appendRows(s.columns[name], b.Col(name))
		}
		if set.LabelKnownAt != "" {
			s.addLabelKnown(b.Col(set.LabelKnownAt))
		}
		if reader != nil {
			reader.add(b.Col(label.Name))
		}
		for i, names := range s.tuples {
			for c, name := range names {
				keys[i][c] = b.Col(name)
			}
		}
		s.entities.Add(keys, at)
		if s.held != nil {
			s.held.see(s.entities, keys)
		}
		progress(int64(s.rows()))
		return nil
	})
	if reader != nil {
		s.labels = reader.labels()
	}
	s.at = s.entities.At()
	return err
}

// reserve allocates room for the rows if their number is known before they are read.
func (s *spine) reserve(ctx context.Context, r *relation.Reader, labels *labelReader) error {
	n, err := r.StoredCount(ctx, s.rel)
	if err != nil {
		return err
	}
	s.entities.Reserve(int(n))
	if labels != nil {
		labels.of = make([]uint8, 0, n)
	}
	return nil
}

// addLabelKnown appends when labels were known.
func (s *spine) addLabelKnown(known *vector.Vector) {
	for i := range known.N {
		at := plan.Never
		if t := plan.EventTime(known.Int[i]); known.Valid(i) && t.Valid() {
			at = t
		}
		s.labelKnown = append(s.labelKnown, at)
	}
}

// labelField is the label with its type in the data; nil without a label, or if no feature
// can have that type.
func (s *spine) labelField(ctx context.Context, r *relation.Reader, set plan.Spine) (*plan.Field, error) {
	if set.Label == "" {
		return nil, nil
	}
	if err := s.checkLabel(ctx, r, set); err != nil {
		return nil, err
	}
	if c, ok := s.columns[set.Label]; ok {
		return &plan.Field{Name: set.Label, Type: c.Type}, nil
	}
	columns, err := r.Columns(ctx, s.rel)
	if err != nil {
		return nil, err
	}
	for _, c := range columns {
		if c.Name == set.Label && c.Unusable == "" && slices.Contains(plan.ColumnKinds, c.Type.Kind) {
			return &c.Field, nil
		}
	}
	return nil, nil
}

// accept refuses a batch with a row for which nothing can be computed, or that a server
// would refuse as a request.
func (s *spine) accept(b *relation.Batch, time string) error {
	times := b.Col(time)
	for i := range b.N {
		if !times.Valid(i) || !plan.EventTime(times.Int[i]).Valid() {
			return fmt.Errorf("%s, column %q: the as-of time is null or lies outside the years 0001 to 9999; nothing can be computed for such a row", b.Where(i), time)
		}
	}
	if row, err := s.refuse(b.Batch); err != nil {
		return fmt.Errorf("%s, %w", b.Where(row), err)
	}
	return nil
}

// refuse finds the first row with a key or a request field that a server refuses, so that
// a model is not trained on rows that can never be served.
func (s *spine) refuse(b *vector.Batch) (row int, err error) {
	row = b.N
	check := func(f plan.Field, tooLong func(bytes int) string) {
		col := b.Col(f.Name)
		for i := range row {
			if !col.Valid(i) {
				continue
			}
			if what := unservable(col, i, tooLong); what != "" {
				row, err = i, fmt.Errorf("column %q: %s, which a server refuses", f.Name, what)
				return
			}
		}
	}
	for _, f := range s.service.Keys {
		check(f, func(int) string { return "" }) // a key as a whole has its own limit
	}
	for _, f := range s.service.Request {
		check(f, limits.RequestText)
	}
	return row, err
}

// unservable says what is wrong with row i of a key or a request field, "" for nothing.
func unservable(v *vector.Vector, i int, tooLong func(bytes int) string) string {
	switch k := v.Type.Kind; {
	case k == plan.Timestamp && !plan.EventTime(v.Int[i]).Valid():
		return "the timestamp lies outside the years 0001 to 9999"
	case k == plan.String && !utf8.ValidString(v.Str[i]):
		return "the string is not valid UTF-8"
	case k == plan.String || k == plan.Bytes:
		return tooLong(len(v.Str[i]))
	}
	return ""
}

func (s *spine) rows() int { return s.entities.Rows() }

// tuple is the number of a tuple of key columns, -1 for none.
func (s *spine) tuple(keys []string) int {
	return slices.IndexFunc(s.tuples, func(t []string) bool { return slices.Equal(t, keys) })
}

// request is the request fields of the given rows.
func (s *spine) request(rows []int32) *vector.Batch {
	b := &vector.Batch{N: len(rows), Fields: s.service.Request}
	for _, f := range s.service.Request {
		b.Cols = append(b.Cols, pickRows(s.columns[f.Name], rows))
	}
	return b
}
