package servedset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/parquetfile"
	"github.com/unskew/unskew/internal/parquetfile/arrowfile"
	"github.com/unskew/unskew/internal/servedlog"
	"github.com/unskew/unskew/internal/vector"
	"github.com/unskew/unskew/materializer/offline"
)

// Config says which rows of a served log make a spine.
type Config struct {
	Service *plan.Service
	Dir     string // of the served log
	// From and To bound the times of the reads: From <= read_at < To.
	From, To plan.EventTime
	Outcomes Outcomes   // nil: the spine has no label
	Label    plan.Field // of the outcomes; its name is that of the spine's column
	// Unlabelled keeps rows without an outcome, with a null label.
	Unlabelled bool
	Memory     int64 // bytes for the rows' ids and outcomes; 0: no bound
	Folder     string
	Progress   func(rows int64) // hears of rows as they are written
}

// Outcomes calls f with what came of rows of requests, each at most once.
type Outcomes func(ctx context.Context, f func(Outcome) error) error

// Outcome is what came of a row of a request.
type Outcome struct {
	RequestID string
	Row       int64
	Value     plan.Value
	Known     plan.EventTime // Never: not known
}

// Names of columns that every spine has. No key, request field or output is called "request".
const (
	idColumn   = "request.id"
	rowColumn  = "request.row"
	timeColumn = "request.as_of"
	knownAt    = ".known_at" // after the name of the label
)

// Files in Config.Folder.
const (
	spineFile  = "served.parquet"
	valuesFile = "values.parquet"
)

// Set is a spine and the values that were served for its rows. It implements offline.Served.
type Set struct {
	Spine    plan.Spine
	Rows     int64
	manifest offline.ServedManifest
	outputs  []plan.Output
	values   *parquetfile.Reader
	groups   []int // rows of the row groups of values
	file     *os.File
}

// Make writes a spine to the folder. The set reads files there until it is closed.
func Make(ctx context.Context, c Config) (*Set, error) {
	m := &maker{Config: c, set: &Set{outputs: c.Service.Outputs()}, index: newIndex(c.Memory)}
	m.set.manifest = offline.ServedManifest{Service: c.Service.Name, Fingerprints: map[string]int64{}, Outputs: map[string]int64{}}
	if c.From != plan.Always {
		m.set.manifest.From = c.From.String()
	}
	if c.To != plan.Never {
		m.set.manifest.To = c.To.String()
	}
	for _, step := range []func(context.Context) error{m.find, m.join, m.write, m.open} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("served rows of %s: %w", c.Service.Name, err), m.set.Close())
		}
	}
	return m.set, nil
}

// Manifest implements offline.Served.
func (s *Set) Manifest() *offline.ServedManifest { return &s.manifest }

// Close closes the files.
func (s *Set) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// maker makes a set.
type maker struct {
	Config
	set   *Set
	paths []string // of segments with rows
	index *index
}

// eachSegment calls f with the segments that may have rows.
func (m *maker) eachSegment(ctx context.Context, paths []string, f func(path string, s *servedlog.Segment) error) error {
	for _, path := range paths {
		s, err := servedlog.Open(path)
		if err == nil {
			err = errors.Join(f(path, s), s.Close())
		}
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// find finds the rows, each once: a client that repeats a call has two answers to one request.
func (m *maker) find(ctx context.Context) error {
	files, err := servedlog.List(m.Dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.Service != m.Service.Name {
			continue
		}
		err := m.eachSegment(ctx, []string{f.Path}, func(path string, s *servedlog.Segment) error {
			if s.Last < m.From || s.First >= m.To {
				return nil
			}
			m.paths = append(m.paths, path)
			for g := range s.Groups() {
				b, err := s.Sources(g)
				if err != nil {
					return err
				}
				if err := m.eachRow(b, func(row int) error { return m.index.add(b.RequestID.Str[row], b.Row.Int[row]) }); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // else it was removed because of its age
			return err
		}
	}
	if len(m.index.rows) == 0 {
		return fmt.Errorf("none in that time is in %s; servers record them with served_log: {rate: 1%%} in unskew.yaml or serve --served-log 1%%, a minute later at most", m.Dir)
	}
	m.set.manifest.Repeated = m.index.repeated()
	return nil
}

// eachRow calls f with the rows of a batch that were read in the time.
func (m *maker) eachRow(b *servedlog.Batch, f func(row int) error) error {
	for i := range b.N {
		if at := plan.EventTime(b.ReadAt.Int[i]); at < m.From || at >= m.To {
			continue
		}
		if err := f(i); err != nil {
			return err
		}
	}
	return nil
}

// join finds the outcomes of the rows.
func (m *maker) join(ctx context.Context) error {
	if m.Outcomes == nil {
		return nil
	}
	m.index.outcomes = make([]outcome, len(m.index.rows))
	return m.Outcomes(ctx, m.index.join)
}

// fields are the columns of the spine.
func (m *maker) fields() ([]plan.Field, error) {
	fields := []plan.Field{{Name: idColumn, Type: plan.T(plan.String)}, {Name: rowColumn, Type: plan.T(plan.Int)}, {Name: timeColumn, Type: plan.T(plan.Timestamp)}}
	fields = append(fields, m.Service.Keys...)
	fields = append(fields, m.requestOnly()...)
	if m.Outcomes == nil {
		return fields, nil
	}
	if slices.ContainsFunc(fields, func(f plan.Field) bool { return f.Name == m.Label.Name }) {
		return nil, fmt.Errorf("the outcome %q has the name of a key or a request field", m.Label.Name)
	}
	return append(fields, m.Label, plan.Field{Name: m.Label.Name + knownAt, Type: plan.T(plan.Timestamp)}), nil
}

// requestOnly are the request fields that are no keys.
func (m *maker) requestOnly() []plan.Field {
	return slices.DeleteFunc(slices.Clone(m.Service.Request), func(f plan.Field) bool {
		return slices.ContainsFunc(m.Service.Keys, func(k plan.Field) bool { return k.Name == f.Name })
	})
}

// write writes the spine and the values.
func (m *maker) write(ctx context.Context) (err error) {
	fields, err := m.fields()
	if err != nil {
		return err
	}
	w := &writer{maker: m}
	if w.spine, err = arrowfile.CreateRowFile(filepath.Join(m.Folder, spineFile), fields); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.spine.Close()) }()
	if w.values, err = arrowfile.CreateRowFile(filepath.Join(m.Folder, valuesFile), valueFields(m.set.outputs)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.values.Close()) }()
	number := 0
	err = m.eachSegment(ctx, m.paths, func(_ string, s *servedlog.Segment) error {
		from := m.shapeOf(s)
		for g := range s.Groups() {
			b, err := s.Group(g)
			if err != nil {
				return err
			}
			err = m.eachRow(b, func(row int) error {
				number++
				return w.row(from, b, row, number-1)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	switch {
	case m.set.Rows > 0:
	case m.set.manifest.OtherFields > 0:
		return errors.New("all of them were served by versions with other keys or request fields")
	default:
		return fmt.Errorf("none of %d has an outcome %q yet", len(m.index.rows), m.Label.Name)
	}
	m.set.Spine = plan.Spine{From: filepath.Join(m.Folder, spineFile), Time: timeColumn}
	if m.Outcomes != nil {
		m.set.Spine.Label, m.set.Spine.LabelKnownAt = m.Label.Name, m.Label.Name+knownAt
	}
	return nil
}

// open opens the file of values.
func (m *maker) open(context.Context) (err error) {
	s := m.set
	if s.file, err = os.Open(filepath.Join(m.Folder, valuesFile)); err != nil {
		return err
	}
	info, err := s.file.Stat()
	if err == nil {
		s.values, err = parquetfile.NewReader(s.file, info.Size(), valueFields(s.outputs))
	}
	for left := s.Rows; left > 0; left -= arrowfile.RowFileGroup {
		s.groups = append(s.groups, int(min(left, arrowfile.RowFileGroup)))
	}
	return err
}

// shape is how the rows of a segment relate to the service as it is now.
type shape struct {
	fingerprint   string
	hashed        bool
	other         bool // it has other keys or request fields
	keys, request []int
	outputs       []int // by output of the service: its column, -1 if it was not served
}

func (m *maker) shapeOf(s *servedlog.Segment) *shape {
	sh := &shape{fingerprint: s.Fingerprint, hashed: s.KeysHashed}
	find := func(in []plan.Field, f plan.Field, hashed bool) int {
		i := slices.IndexFunc(in, func(x plan.Field) bool { return x.Name == f.Name && (hashed || x.Type.Equal(f.Type)) })
		sh.other = sh.other || i < 0
		return i
	}
	for _, k := range m.Service.Keys {
		sh.keys = append(sh.keys, find(s.Keys, k, s.KeysHashed))
	}
	for _, f := range m.requestOnly() {
		sh.request = append(sh.request, find(s.Request, f, false))
	}
	for _, o := range m.set.outputs {
		i := slices.IndexFunc(s.Outputs, func(f plan.Field) bool { return f.Name == o.Name && f.Type.Equal(o.Type) })
		if i >= 0 && s.Meanings[i] != o.Fingerprint.String() && (s.Meanings[i] != "" || s.Fingerprint != m.Service.Fingerprint.String()) {
			i = -1 // the feature had another meaning
		}
		sh.outputs = append(sh.outputs, i)
	}
	return sh
}

// valueFields are the columns of the file of values.
func valueFields(outputs []plan.Output) []plan.Field {
	var fields []plan.Field
	for _, o := range outputs {
		fields = append(fields, plan.Field{Name: o.Name, Type: o.Type}, plan.Field{Name: o.Name + ".status", Type: plan.T(plan.Int)}, plan.Field{Name: o.Name + ".reason", Type: plan.T(plan.Int)})
	}
	return fields
}

// statuses are the kernel's by name.
var statuses = func() map[string]kernel.Status {
	out := map[string]kernel.Status{}
	for s := kernel.Present; s <= kernel.Lost; s++ {
		out[s.String()] = s
	}
	return out
}()

// stale is the status of a value that was served although it was old; its reason is the status that it has otherwise.
const stale = "STALE"

// statusOf returns the status and the reason of a served value; 0 if it was not served.
func statusOf(c *servedlog.OutputColumns, row int) (status, reason kernel.Status) {
	if !c.Status.Valid(row) {
		return 0, 0
	}
	if c.Reason.Valid(row) {
		reason = statuses[c.Reason.Str[row]]
	}
	if c.Status.Str[row] == stale {
		return reason, 0
	}
	return statuses[c.Status.Str[row]], reason
}

// writer collects rows and writes them as row groups.
type writer struct {
	*maker
	spine, values *arrowfile.RowFile
}

// row adds a row of a segment, the one with the given number among all.
func (w *writer) row(from *shape, b *servedlog.Batch, i, number int) error {
	if !w.index.first(number) {
		return nil
	}
	if from.other {
		w.set.manifest.OtherFields++
		return nil
	}
	var label outcome
	if w.Outcomes != nil {
		if label = w.index.outcomes[number]; !label.there {
			w.set.manifest.Unlabelled++
			if !w.Unlabelled {
				return nil
			}
		}
	}
	row := []plan.Value{b.RequestID.Value(i), b.Row.Value(i), b.AsOf.Value(i)}
	for _, k := range from.keys {
		if from.hashed {
			row = append(row, plan.NullValue())
		} else {
			row = append(row, b.Keys[k].Value(i))
		}
	}
	for _, f := range from.request {
		row = append(row, b.Request[f].Value(i))
	}
	if w.Outcomes != nil {
		row = append(row, label.value, timeOrNull(label))
	}
	if err := errors.Join(w.spine.Add(row), w.addValues(from, b, i)); err != nil {
		return err
	}
	w.set.Rows++
	w.set.manifest.Fingerprints[from.fingerprint]++
	if w.Progress != nil {
		w.Progress(1)
	}
	return nil
}

func timeOrNull(o outcome) plan.Value {
	if !o.there || o.known == plan.Never {
		return plan.NullValue()
	}
	return plan.TimestampValue(o.known)
}

func (w *writer) addValues(from *shape, b *servedlog.Batch, i int) error {
	var row []plan.Value
	for o, column := range from.outputs {
		var status, reason kernel.Status
		value := plan.NullValue()
		if column >= 0 {
			if status, reason = statusOf(&b.Outputs[column], i); status != 0 {
				value = b.Outputs[column].Value.Value(i)
			}
		}
		if status != 0 {
			w.set.manifest.Outputs[w.set.outputs[o].Name]++
		} else if from.hashed {
			return fmt.Errorf("entity keys are hashed in the served log, so %s, which request %s was not answered with, cannot be computed; train without it, or from a later time", w.set.outputs[o].Name, b.RequestID.Str[i])
		}
		row = append(row, value, plan.IntValue(int64(status)), plan.IntValue(int64(reason)))
	}
	return w.values.Add(row)
}

// NewReader implements offline.Served.
func (s *Set) NewReader() offline.ServedReader { return &reader{set: s} }

// reader keeps the row groups of the rows that it had last.
type reader struct {
	set    *Set
	groups map[int]*vector.Batch
	rows   []place
	out    []kernel.FeatureColumn
}

// place is where the values of a row are.
type place struct {
	batch *vector.Batch
	row   int
}

// Replace implements offline.ServedReader.
func (r *reader) Replace(rows []int32, out []kernel.FeatureColumn) ([]kernel.FeatureColumn, error) {
	if err := r.find(rows); err != nil {
		return nil, err
	}
	r.out = append(r.out[:0], out...)
	for o := range out {
		if slices.ContainsFunc(r.rows, func(p place) bool { return p.status(o) != 0 }) {
			r.out[o] = r.merged(o, &out[o])
		}
	}
	return r.out, nil
}

func (p place) status(output int) kernel.Status {
	return kernel.Status(p.batch.Cols[3*output+1].Int[p.row])
}

// merged is an output with the values that were served and, where there is none, those of c.
func (r *reader) merged(output int, c *kernel.FeatureColumn) kernel.FeatureColumn {
	n := len(r.rows)
	to := kernel.FeatureColumn{Vec: vector.New(c.Vec.Type, n), Status: make([]kernel.Status, n), Reason: make([]kernel.Status, n)}
	for i, p := range r.rows {
		to.Status[i] = p.status(output)
		if to.Status[i] == 0 {
			to.Vec.Set(i, c.Vec.Value(i))
			to.Status[i], to.Reason[i] = c.Status[i], c.Reason[i]
		} else {
			to.Vec.Set(i, p.batch.Cols[3*output].Value(p.row))
			to.Reason[i] = kernel.Status(p.batch.Cols[3*output+2].Int[p.row])
		}
		switch to.Status[i] {
		case kernel.Present:
		case kernel.Failed, kernel.Lost:
			to.Errors++
			fallthrough
		default:
			to.Absent++
		}
	}
	return to
}

// find reads the row groups of rows.
func (r *reader) find(rows []int32) (err error) {
	r.rows = r.rows[:0]
	groups := map[int]*vector.Batch{}
	for _, row := range rows {
		g := int(row) / arrowfile.RowFileGroup
		b := groups[g]
		if b == nil {
			if b = r.groups[g]; b == nil {
				if b, err = r.set.values.Group(g, r.set.groups[g], mostValues, nil); err != nil {
					return err
				}
			}
			groups[g] = b
		}
		r.rows = append(r.rows, place{b, int(row) % arrowfile.RowFileGroup})
	}
	r.groups = groups
	return nil
}

// mostValues bounds the elements of lists in a row group of a file that this process has written.
const mostValues = 1 << 31
