package against

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/nearest"
	"github.com/unskew/unskew/internal/parquetfile/arrowfile"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/internal/vector"
)

// Config says what is compared.
type Config struct {
	Reader   *relation.Reader
	Log      eventlog.Log // events pushed to the stream sources; nil: none
	Service  *plan.Service
	Relation relation.Relation // the foreign values
	Time     string            // its column with the times as of which they are
	// Columns names the columns of the relation for keys, request fields and features that are called otherwise there.
	Columns map[string]string
	// Explain is how many rows with differences are explained; 0: all.
	Explain int
	// Lags are further ages of values that are tried.
	Lags    []plan.Micros
	Memory  int64 // of the process; 0: no bound
	Threads int   // 0: one for each core
	Engine  plan.Engine
	Version string
	// Progress, if set, hears of a phase and how many rows of it are done.
	Progress func(phase string, rows int64)
}

// Names of columns that the comparison adds. No key, request field or output is called "request".
const (
	rowColumn     = "request.row"
	timeColumn    = "request.time"
	variantColumn = "request.variant"
	theirs        = "request.theirs." // before the number of the output
)

// run is a comparison.
type run struct {
	Config
	dir       string
	features  []feature // that are compared
	request   []plan.Field
	missing   map[string]bool   // request fields that the relation does not have
	from      map[string]string // columns of the relation by name here
	types     map[string]plan.Type
	report    *Report
	differing []*difference
	found     []plan.Micros // ages of values that the differences tell
}

// feature is an output that is compared.
type feature struct {
	plan.Output
	index  int // among the outputs
	column string
	theirs plan.Type
	late   bool // it reads late columns
}

// Run compares. Nothing of the project changes.
func Run(ctx context.Context, c Config) (*Report, error) {
	if c.Progress == nil {
		c.Progress = func(string, int64) {}
	}
	dir, err := os.MkdirTemp("", "unskew-against-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	r := &run{Config: c, dir: dir, missing: map[string]bool{}, from: map[string]string{}, types: map[string]plan.Type{},
		report: &Report{Service: c.Service.Name, Fingerprint: c.Service.Fingerprint.String(), Causes: map[Cause]int64{}, NotThere: []string{}, NotCompared: map[string]string{}}}
	for _, step := range []func(context.Context) error{r.bind, r.copy, r.compare, r.explainAll} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	r.report.finish()
	return r.report, nil
}

// bind finds the columns of the relation.
func (r *run) bind(ctx context.Context) error {
	columns, err := r.Reader.Columns(ctx, r.Relation)
	if err != nil {
		return err
	}
	var names []string
	of := map[string]relation.Column{}
	for _, c := range columns {
		names = append(names, c.Name)
		of[c.Name] = c
	}
	if err := r.checkGiven(names); err != nil {
		return err
	}
	if err := r.bindKeys(names, of); err != nil {
		return err
	}
	r.bindFeatures(names, of)
	if len(r.features) == 0 {
		return fmt.Errorf("%s has a column of no feature of service %s, which are %s; name them with --column FEATURE=COLUMN. Its columns are %s",
			r.Relation.Owner, r.Service.Name, strings.Join(r.outputs(), ", "), strings.Join(names, ", "))
	}
	return nil
}

func (r *run) outputs() (names []string) {
	for _, o := range r.Service.Outputs() {
		names = append(names, o.Name)
	}
	return names
}

// checkGiven refuses names in Columns that mean nothing.
func (r *run) checkGiven(names []string) error {
	ours := r.outputs()
	for _, f := range slices.Concat(r.Service.Keys, r.Service.Request) {
		ours = append(ours, f.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Columns)) {
		if !slices.Contains(ours, name) {
			return fmt.Errorf("service %s has no key, request field or feature %q%s", r.Service.Name, name, nearest.Hint(name, ours))
		}
		if column := r.Columns[name]; !slices.Contains(names, column) {
			return fmt.Errorf("%s has no column %q%s", r.Relation.Owner, column, nearest.Hint(column, names))
		}
	}
	if !slices.Contains(names, r.Time) {
		return fmt.Errorf("%s has no column %q, the time of the values%s", r.Relation.Owner, r.Time, nearest.Hint(r.Time, names))
	}
	return nil
}

func (r *run) bindKeys(names []string, of map[string]relation.Column) error {
	for _, k := range r.Service.Keys {
		column := r.column(k.Name)
		if !slices.Contains(names, column) {
			return fmt.Errorf("%s has no column %q, a key of service %s%s; if it is called otherwise there: --column %s=COLUMN", r.Relation.Owner, column, r.Service.Name, nearest.Hint(column, names), k.Name)
		}
		r.from[k.Name] = column
	}
	for _, f := range r.Service.Request {
		if r.from[f.Name] != "" {
			continue // a key, too
		}
		r.request = append(r.request, f)
		if column := r.column(f.Name); slices.Contains(names, column) && of[column].Unusable == "" {
			r.from[f.Name] = column
		} else {
			r.missing[f.Name] = true
		}
	}
	return nil
}

func (r *run) column(name string) string {
	if given := r.Columns[name]; given != "" {
		return given
	}
	return name
}

// bindFeatures finds the columns of features: named by the caller, called like the feature, like view__feature, or like the feature
// without its view if there is one of that name.
func (r *run) bindFeatures(names []string, of map[string]relation.Column) {
	short := map[string]int{}
	for _, o := range r.Service.Outputs() {
		short[o.Name[strings.LastIndexByte(o.Name, '.')+1:]]++
	}
	taken := map[string]bool{r.Time: true}
	for _, column := range r.from {
		taken[column] = true
	}
	for i, o := range r.Service.Outputs() {
		if why := r.cannot(i, o); why != "" {
			r.report.NotCompared[o.Name] = why
			continue
		}
		candidates := []string{r.Columns[o.Name], o.Name, strings.Replace(o.Name, ".", "__", 1)}
		if last := o.Name[strings.LastIndexByte(o.Name, '.')+1:]; short[last] == 1 {
			candidates = append(candidates, last)
		}
		n := slices.IndexFunc(candidates, func(c string) bool { return c != "" && slices.Contains(names, c) && !taken[c] })
		if n < 0 {
			r.report.NotThere = append(r.report.NotThere, o.Name)
			continue
		}
		c := of[candidates[n]]
		if c.Unusable != "" || !comparable(o.Type.Unwrap().Kind, c.Type.Kind) {
			r.report.NotCompared[o.Name] = fmt.Sprintf("the feature is %s, the column %q holds %v", o.Type.WithArticle(), c.Name, c.Type)
			continue
		}
		f := feature{Output: o, index: i, column: c.Name, theirs: c.Type, late: r.readsLate(i)}
		if c.Type.Kind == plan.Null {
			f.theirs = plan.T(plan.String) // it is null in every row
		}
		r.features = append(r.features, f)
	}
}

// cannot is why an output cannot be compared, "" if it can.
func (r *run) cannot(i int, o plan.Output) string {
	if k := o.Type.Unwrap().Kind; !k.Scalar() || k == plan.Uint {
		return fmt.Sprintf("values of type %v are not compared", o.Type)
	}
	for _, field := range r.reads(i) {
		if r.missing[field] {
			return fmt.Sprintf("it reads the request field %s, which %s does not have", field, r.Relation.Owner)
		}
	}
	return ""
}

// reads lists the request fields that an output reads.
func (r *run) reads(output int) (fields []string) {
	d := output - len(r.Service.Features)
	if d < 0 {
		return nil
	}
	r.Service.Derived[d].Expr.Walk(func(e *plan.Expr) {
		switch e.Kind {
		case plan.Request:
			fields = append(fields, e.Name)
		case plan.FeatureRef:
			fields = append(fields, r.reads(e.Index)...)
		}
	})
	return fields
}

// readsLate reports whether an output reads a column that is known later than its row.
func (r *run) readsLate(output int) (late bool) {
	if d := output - len(r.Service.Features); d >= 0 {
		r.Service.Derived[d].Expr.Walk(func(e *plan.Expr) {
			late = late || e.Kind == plan.FeatureRef && r.readsLate(e.Index)
		})
		return late
	}
	f := r.Service.Features[output]
	v := r.Service.Views[f.Ref].View
	return viewReadsLate(v, f.Feature)
}

func viewReadsLate(v *plan.View, feature int) (late bool) {
	v.Features[feature].Expr.Walk(func(e *plan.Expr) {
		switch e.Kind {
		case plan.Aggregate:
			late = late || len(v.Slots[v.Aggregates[e.Index].Slot].KnownColumns) > 0
		case plan.FeatureRef:
			late = late || viewReadsLate(v, e.Index)
		}
	})
	return late
}

// comparable reports whether values of two types can be equal. A column of which no value tells the type is null everywhere.
func comparable(ours, theirs plan.Kind) bool {
	number := func(k plan.Kind) bool { return k == plan.Int || k == plan.Double || k == plan.Bool }
	return ours == theirs || number(ours) && number(theirs) || theirs == plan.Null || ours == plan.Duration && theirs == plan.Int
}

// copy writes the keys, request fields, times and foreign values to a spine of known names and types.
func (r *run) copy(ctx context.Context) error {
	var read, write []plan.Field
	add := func(column string, t plan.Type, name string) {
		if !slices.ContainsFunc(read, func(f plan.Field) bool { return f.Name == column }) {
			read = append(read, plan.Field{Name: column, Type: t})
		}
		write = append(write, plan.Field{Name: name, Type: t})
	}
	var columns []string // of read, by written column after the row number
	for _, k := range r.Service.Keys {
		add(r.from[k.Name], k.Type, k.Name)
		columns = append(columns, r.from[k.Name])
	}
	for _, f := range r.request {
		if r.missing[f.Name] {
			write = append(write, f)
			columns = append(columns, "")
			continue
		}
		add(r.from[f.Name], f.Type, f.Name)
		columns = append(columns, r.from[f.Name])
	}
	add(r.Time, plan.T(plan.Timestamp), timeColumn)
	columns = append(columns, r.Time)
	for i, f := range r.features {
		add(f.column, f.theirs, fmt.Sprint(theirs, i))
		columns = append(columns, f.column)
	}
	w, err := arrowfile.CreateRowFile(r.path("theirs.parquet"), append([]plan.Field{{Name: rowColumn, Type: plan.T(plan.Int)}}, write...))
	if err != nil {
		return err
	}
	err = r.Reader.Scan(ctx, r.Relation, read, func(b *relation.Batch) error {
		cols := make([]*vector.Vector, len(columns))
		for i, name := range columns {
			if name != "" {
				cols[i] = b.Col(name)
			}
		}
		for i := range b.N {
			row := []plan.Value{plan.IntValue(r.report.Rows)}
			for _, c := range cols {
				v := plan.NullValue()
				if c != nil {
					v = owned(c.Value(i))
				}
				row = append(row, v)
			}
			r.report.Rows++
			if err := w.Add(row); err != nil {
				return err
			}
		}
		r.Progress("read", r.report.Rows)
		return nil
	})
	if err = errors.Join(err, w.Close()); err == nil && r.report.Rows == 0 {
		err = fmt.Errorf("%s has no row", r.Relation.Owner)
	}
	return err
}

func (r *run) path(name string) string { return filepath.Join(r.dir, name) }

// owned is a value that does not share memory with a batch.
func owned(v plan.Value) plan.Value {
	if v.Kind() == plan.String {
		return plan.StringValue(strings.Clone(v.Str()))
	}
	return v
}
