package ingest

import (
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/vector"
)

// Reason says why a row is bad.
type Reason uint8

// The reasons. NullKey is for callers: which columns are keys depends on the view.
const (
	NullTime   Reason = iota // no event time
	WrongTime                // event time outside the years 0001 to 9999
	NullKnown                // no known time, though the source has a column for it
	WrongKnown               // known time outside the years 0001 to 9999
	BadUTF8                  // a string that is not UTF-8
	WrongStamp               // another timestamp outside the years 0001 to 9999
	reasons
)

var reasonNames = [reasons]string{"null_event_time", "event_time_out_of_range", "null_known_time", "known_time_out_of_range", "invalid_utf8", "timestamp_out_of_range"}

// String is the reason as manifests and metrics name it.
func (r Reason) String() string { return reasonNames[r] }

var reasonTexts = [reasons]string{
	NullTime:   "the event time is null",
	WrongTime:  "the event time lies outside the years 0001 to 9999",
	NullKnown:  "the known time is null",
	WrongKnown: "the known time lies outside the years 0001 to 9999",
	BadUTF8:    "the string is not valid UTF-8",
	WrongStamp: "the timestamp lies outside the years 0001 to 9999",
}

// BadRow is a row that is no event, of a source that does not skip such rows.
type BadRow struct {
	Row    int // in the batch
	Column string
	Reason Reason
}

func (e *BadRow) Error() string {
	return fmt.Sprintf("row %d, %s", e.Row+1, e.What())
}

// What is the error without the row, for callers who know the place better.
func (e *BadRow) What() string {
	return e.Why() + "; correct it, or let the source say bad_rows: skip"
}

// Why is What without the advice, which is for history: a pushed row is answered for
// itself.
func (e *BadRow) Why() string {
	return fmt.Sprintf("column %q: %s", e.Column, reasonTexts[e.Reason])
}

// Counts says what became of rows.
type Counts struct {
	Rows    int64 // all, the skipped among them
	Skipped [reasons]int64
}

// Add adds d.
func (c *Counts) Add(d Counts) {
	c.Rows += d.Rows
	for i := range d.Skipped {
		c.Skipped[i] += d.Skipped[i]
	}
}

// ByReason is the skipped rows by name of the reason, without zeros.
func (c *Counts) ByReason() map[string]int64 {
	m := map[string]int64{}
	for i, n := range c.Skipped {
		if n > 0 {
			m[Reason(i).String()] = n
		}
	}
	return m
}

// Source makes events of one source's rows. It owns scratch memory and serves one
// goroutine at a time.
type Source struct {
	plan    *plan.Source
	row     knownRule
	columns []columnRule // columns with a known time of their own
	payload []int        // columns in order of their names
	fields  []plan.Field

	bad     []badRow
	events  kernel.Events
	time    []plan.EventTime
	known   []plan.EventTime
	ids     []string
	compact *vector.Batch
}

type columnRule struct {
	name string
	knownRule
	times []plan.EventTime
}

type badRow struct {
	row    int
	column string
	reason Reason
}

// NewSource compiles the known-time rules of s.
func NewSource(s *plan.Source) (*Source, error) {
	in := &Source{plan: s}
	if err := isTime(s, s.EventTime); err != nil {
		return nil, fmt.Errorf("source %s: event_time: %w", s.Name, err)
	}
	var err error
	if in.row, err = compileKnown(s, s.Known); err != nil {
		return nil, fmt.Errorf("source %s: known_at: %w", s.Name, err)
	}
	for i, c := range s.Columns {
		in.fields = append(in.fields, c.Field)
		in.payload = append(in.payload, i)
		if c.Known == nil {
			continue
		}
		rule, err := compileKnown(s, *c.Known)
		if err != nil {
			return nil, fmt.Errorf("source %s, column %s: known_at: %w", s.Name, c.Name, err)
		}
		in.columns = append(in.columns, columnRule{name: c.Name, knownRule: rule})
	}
	slices.SortFunc(in.payload, func(a, b int) int { return compareNames(s.Columns[a].Name, s.Columns[b].Name) })
	return in, nil
}

// isTime makes sure that a source has a column of timestamps.
func isTime(s *plan.Source, column string) error {
	c, ok := s.Column(column)
	if !ok {
		return fmt.Errorf("column %q is not among the source's columns", column)
	}
	if c.Type.Kind != plan.Timestamp {
		return fmt.Errorf("column %q is declared as %v; it must be a timestamp", column, c.Type)
	}
	return nil
}

// Fields is all columns of the source, in its order.
func (s *Source) Fields() []plan.Field { return s.fields }

// Needed is what must be read to make events that carry the given columns: these,
// the time, known-time and id columns, each once, in the source's order.
func (s *Source) Needed(columns ...string) []plan.Field {
	need := map[string]bool{s.plan.EventTime: true, s.plan.EventID: true, s.row.column: true}
	for _, c := range columns {
		need[c] = true
	}
	for _, c := range s.columns {
		if need[c.name] {
			need[c.column] = true
		}
	}
	var out []plan.Field
	for _, f := range s.fields {
		if need[f.Name] {
			out = append(out, f)
		}
	}
	return out
}

// Events makes the events of a batch of rows that has at least the columns Needed
// lists. appended, if given, is when each row was appended to the event log: no
// event is known before that. A bad row is a *BadRow error, or skipped and counted when
// the source says so. The events are valid until the next call and alias b.
//
// Negative zeros stay as they are here: what treats +0.0 and -0.0 as one value,
// distinct and top-k arguments, does so itself, and no key is a double.
func (s *Source) Events(b *vector.Batch, appended []plan.EventTime) (*kernel.Events, Counts, error) {
	counts := Counts{Rows: int64(b.N)}
	s.bad = s.bad[:0]
	s.readTimes(b, appended)
	s.checkText(b)
	for c := range s.columns {
		s.readColumnKnown(&s.columns[c], b)
	}
	b = s.checkStamps(b)
	s.readIDs(b)
	if len(s.bad) > 0 {
		slices.SortStableFunc(s.bad, func(a, b badRow) int { return a.row - b.row })
		if first := s.bad[0]; !s.plan.SkipBadRows {
			return nil, counts, &BadRow{first.row, first.column, first.reason}
		}
		b = s.skip(b, &counts)
	}
	s.events = kernel.Events{Batch: b, Time: s.time, ID: s.ids}
	if s.row.kind != plan.KnownAtEvent || appended != nil {
		s.events.Known = s.known
	}
	for _, c := range s.columns {
		if c.times == nil {
			continue
		}
		if s.events.ColumnKnown == nil {
			s.events.ColumnKnown = map[string][]plan.EventTime{}
		}
		s.events.ColumnKnown[c.name] = c.times
	}
	return &s.events, counts, nil
}

func (s *Source) reject(row int, column string, r Reason) {
	s.bad = append(s.bad, badRow{row, column, r})
}

// readTimes fills time and known and rejects rows without valid ones.
func (s *Source) readTimes(b *vector.Batch, appended []plan.EventTime) {
	s.time = slices.Grow(s.time[:0], b.N)[:b.N]
	s.known = slices.Grow(s.known[:0], b.N)[:b.N]
	col := b.Col(s.plan.EventTime)
	var declared *vector.Vector
	if s.row.column != "" {
		declared = b.Col(s.row.column)
	}
	for i := range b.N {
		t := plan.EventTime(col.Int[i])
		s.time[i], s.known[i] = t, t
		switch {
		case !col.Valid(i):
			s.reject(i, s.plan.EventTime, NullTime)
			continue
		case !t.Valid():
			s.reject(i, s.plan.EventTime, WrongTime)
			continue
		case declared != nil && !declared.Valid(i):
			s.reject(i, s.row.column, NullKnown)
			continue
		}
		k := s.row.at(t, declared, i)
		if !k.Valid() {
			s.reject(i, s.row.place(s.plan.EventTime), WrongKnown)
			continue
		}
		if appended != nil {
			k = max(k, appended[i])
		}
		s.known[i] = k
	}
}

// readColumnKnown fills the known times of a column, where it is in the batch. A
// null or infinite time is one that has not come yet.
func (s *Source) readColumnKnown(c *columnRule, b *vector.Batch) {
	if b.Col(c.name) == nil {
		c.times = nil
		return
	}
	var declared *vector.Vector
	if c.column != "" {
		declared = b.Col(c.column)
	}
	c.times = slices.Grow(c.times[:0], b.N)[:b.N]
	for i := range b.N {
		switch t := s.time[i]; {
		case declared != nil && (!declared.Valid(i) || plan.EventTime(declared.Int[i]) == plan.Never):
			c.times[i] = plan.Never
		case !t.Valid():
			c.times[i] = plan.Never // rejected already
		default:
			k := c.at(t, declared, i)
			if !k.Valid() {
				s.reject(i, c.place(c.name), WrongKnown)
			}
			c.times[i] = k
		}
	}
}

func (s *Source) checkText(b *vector.Batch) {
	for c, col := range b.Cols {
		if col.Type.Kind != plan.String {
			continue
		}
		for i, str := range col.Str[:b.N] {
			if !utf8.ValidString(str) && col.Valid(i) {
				s.reject(i, b.Fields[c].Name, BadUTF8)
			}
		}
	}
}

// checkStamps rejects rows with timestamps that are none, and returns b with null for
// the infinity of a column that says when another is known.
func (s *Source) checkStamps(b *vector.Batch) *vector.Batch {
	for c, col := range b.Cols {
		name := b.Fields[c].Name
		if col.Type.Kind != plan.Timestamp || name == s.plan.EventTime || name == s.row.column {
			continue
		}
		var never []int
		for i, t := range col.Int[:b.N] {
			switch {
			case plan.EventTime(t).Valid() || !col.Valid(i):
			case plan.EventTime(t) == plan.Never && s.tells(name):
				never = append(never, i)
			default:
				s.reject(i, name, WrongStamp)
			}
		}
		if never != nil {
			b = &vector.Batch{N: b.N, Fields: b.Fields, Cols: slices.Clone(b.Cols)}
			b.Cols[c] = withNulls(col, never)
		}
	}
	return b
}

// tells reports whether a column says when another one is known.
func (s *Source) tells(column string) bool {
	return slices.ContainsFunc(s.columns, func(c columnRule) bool { return c.column == column })
}

// withNulls is v with more rows null; it shares the values.
func withNulls(v *vector.Vector, rows []int) *vector.Vector {
	out := *v
	out.Null = vector.NewBitmap(v.N)
	copy(out.Null, v.Null)
	for _, i := range rows {
		out.Null.Set(i)
	}
	return &out
}

func (s *Source) readIDs(b *vector.Batch) {
	s.ids = nil
	if s.plan.EventID == "" {
		return
	}
	col := b.Col(s.plan.EventID)
	s.ids = make([]string, b.N)
	for i := range s.ids {
		s.ids[i] = EventID(col, i)
	}
}

// EventID is the event id in row i of an id column: a string or bytes as it is,
// anything else as people write it; "", and so no id, for null. It aliases col.
func EventID(col *vector.Vector, i int) string {
	switch {
	case !col.Valid(i):
		return ""
	case col.Str != nil:
		return col.Str[i]
	case col.Type.Kind == plan.Int:
		return strconv.FormatInt(col.Int[i], 10)
	}
	return col.Value(i).String()
}

// skip leaves out the bad rows and counts each once, by its first reason.
func (s *Source) skip(b *vector.Batch, counts *Counts) *vector.Batch {
	keep := make([]int, 0, b.N)
	next := 0
	for i := range b.N {
		if next == len(s.bad) || s.bad[next].row != i {
			keep = append(keep, i)
			continue
		}
		counts.Skipped[s.bad[next].reason]++
		for next < len(s.bad) && s.bad[next].row == i {
			next++
		}
	}
	s.compact = Take(s.compact, b, keep)
	s.time, s.known = take(s.time, keep), take(s.known, keep)
	if s.ids != nil {
		s.ids = take(s.ids, keep)
	}
	for c := range s.columns {
		if s.columns[c].times != nil {
			s.columns[c].times = take(s.columns[c].times, keep)
		}
	}
	return s.compact
}

// take moves the elements at the given ascending indexes to the front.
func take[E any](s []E, keep []int) []E {
	for to, from := range keep {
		s[to] = s[from]
	}
	return s[:len(keep)]
}
