package ingest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/vector"
)

// Reason says why a row is bad.
type Reason uint8

// The reasons.
const (
	NullTime   Reason = iota // no event time
	WrongTime                // event time outside the years 0001 to 9999
	NullKnown                // no known time, though the source has a column for it
	WrongKnown               // known time outside the years 0001 to 9999
	BadUTF8                  // a string that is not UTF-8
	WrongStamp               // another timestamp outside the years 0001 to 9999
	NoID                     // no event id, though the source has a column for it
	LongKey                  // the key of a view that is longer than keys may be
	LongID                   // an event id that is longer than ids may be
	LongText                 // a text or bytes longer than values may be
	LostRecord               // of a record of the log that stands for one that was lost
	EarlyTime                // event time before the source's min_time
	ScaledTime               // of a pushed row: a time in 1970 that looks like seconds or milliseconds
	LongEvent                // of a pushed row: all of it is longer than events may be
	Unreadable               // a value that the type of its column cannot hold
	reasons
)

var reasonNames = [reasons]string{"null_event_time", "event_time_out_of_range", "null_known_time", "known_time_out_of_range", "invalid_utf8", "timestamp_out_of_range", "no_event_id",
	"key_too_long", "event_id_too_long", "value_too_long", "lost_record", "event_time_before_min_time", "time_in_1970", "event_too_long", "unreadable_value"}

// String is the reason as manifests and metrics name it.
func (r Reason) String() string { return reasonNames[r] }

var reasonTexts = [reasons]string{
	NullTime:   "the event time is null",
	WrongTime:  "the event time lies outside the years 0001 to 9999",
	NullKnown:  "the known time is null",
	WrongKnown: "the known time lies outside the years 0001 to 9999",
	BadUTF8:    "the string is not valid UTF-8",
	WrongStamp: "the timestamp lies outside the years 0001 to 9999",
	LostRecord: "the log has lost the record (see unskew log repair)",
	NoID:       "the event id is null or empty",
	Unreadable: "the type of the column cannot hold the value",
}

// Limited reports whether the row is bad because of a limit or a missing id. A definition can
// add either after the row was logged: a view with other keys, a min_time, an event_id. Logged
// rows that violate it are left out, as are those of lost records. Any other bad row in the log means that the source was
// changed incompatibly.
func (e *BadRow) Limited() bool { return e.Reason >= NoID && e.Reason <= EarlyTime }

// BadRow is a row that is not an event. It is an error unless the source skips bad rows.
type BadRow struct {
	Row    int // in the batch
	Column string
	Reason Reason
	Text   string // what is wrong, with the limit where there is one
}

func (e *BadRow) Error() string {
	return fmt.Sprintf("row %d, %s", e.Row+1, e.What())
}

// What is Error without the row number, for callers that name file and line.
func (e *BadRow) What() string {
	return e.Why() + "; correct it, or declare bad_rows: skip for the source"
}

// Why is What without the advice, which does not apply to pushed rows: each of them gets its own
// answer.
func (e *BadRow) Why() string {
	if e.Column == "" {
		return e.Text
	}
	return fmt.Sprintf("column %q: %s", e.Column, e.Text)
}

// Counts counts the rows that were read, and those that were skipped by reason.
type Counts struct {
	Rows    int64 // including the skipped ones
	Skipped [reasons]int64
}

// Add adds d.
func (c *Counts) Add(d Counts) {
	c.Rows += d.Rows
	for i := range d.Skipped {
		c.Skipped[i] += d.Skipped[i]
	}
}

// ByReason returns the numbers of skipped rows by the name of the reason, without zeros.
func (c *Counts) ByReason() map[string]int64 {
	m := map[string]int64{}
	for i, n := range c.Skipped {
		if n > 0 {
			m[Reason(i).String()] = n
		}
	}
	return m
}

// Source converts rows of one source to events. It owns scratch memory, so only one goroutine at
// a time may use it.
type Source struct {
	plan    *plan.Source
	row     knownRule
	columns []columnRule // late columns
	payload []int        // columns in order of their names
	fields  []plan.Field
	keys    [][]string // of views, those that can be too long

	lost    []int         // rows of lostOf without an event, as their records were lost
	lostOf  *vector.Batch // that Rows returned last
	bad     []BadRow
	key     []byte
	made    kernel.Events
	time    []plan.EventTime
	known   []plan.EventTime
	ids     []string
	compact *vector.Batch
}

// NewSource compiles the known-time rules of s.
func NewSource(s *plan.Source) (*Source, error) {
	in := &Source{plan: s}
	if err := checkTimeColumn(s, s.EventTime); err != nil {
		return nil, fmt.Errorf("source %s: event_time: %w", s.Name, err)
	}
	var err error
	if in.row, err = compileKnown(s, s.Known); err != nil {
		return nil, fmt.Errorf("source %s: known_at: %w", s.Name, err)
	}
	for i, c := range s.Columns {
		in.fields = append(in.fields, c.Field)
		in.payload = append(in.payload, i)
	}
	if in.columns, err = lateRules(s); err != nil {
		return nil, fmt.Errorf("source %s, %w", s.Name, err)
	}
	in.keys = longKeys(s)
	slices.SortFunc(in.payload, func(a, b int) int { return strings.Compare(s.Columns[a].Name, s.Columns[b].Name) })
	return in, nil
}

// checkTimeColumn returns an error unless the source has the column and its type is timestamp.
func checkTimeColumn(s *plan.Source, column string) error {
	c, ok := s.Column(column)
	if !ok {
		return fmt.Errorf("column %q is not among the source's columns", column)
	}
	if c.Type.Kind != plan.Timestamp {
		return fmt.Errorf("column %q is declared as %v; it must be a timestamp", column, c.Type)
	}
	return nil
}

// Fields returns all columns of the source, in its order.
func (s *Source) Fields() []plan.Field { return s.fields }

// Needed lists what must be read for events with the given columns: these, the columns of event
// time, known times and id, and the text columns of keys, because a key that is too long makes a
// row bad. Each column is listed once, in the source's order.
func (s *Source) Needed(columns ...string) []plan.Field {
	need := map[string]bool{s.plan.EventTime: true, s.plan.EventID: true, s.row.column: true}
	for _, key := range s.keys {
		for _, c := range key {
			need[c] = true
		}
	}
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

// Events converts a batch of rows with at least the columns that Needed lists. from, if not nil,
// says when the rows arrived. A bad row is a *BadRow error, or is skipped and counted if the
// source says so. The events alias b and are valid until the next call.
//
// Negative zeros stay as they are: distinct and top-k aggregates, which treat +0.0 and -0.0 as
// one value, handle them, and no key is a double.
func (s *Source) Events(b *vector.Batch, from *Arrivals) (*kernel.Events, Counts, error) {
	return s.events(b, from, func(BadRow) bool { return s.plan.SkipBadRows })
}

// EventsOf makes events of records, as whoever applies them does, with the records of their rows: what is set aside has no event.
func (s *Source) EventsOf(records []eventlog.Record) (*kernel.Events, []eventlog.Record, error) {
	rows, arrivals, err := s.Read(records)
	if err != nil {
		return nil, nil, err
	}
	ev, _, bad, err := s.Logged(rows, arrivals)
	if err != nil || len(bad) == 0 {
		return ev, records, err
	}
	out := map[int]bool{}
	for _, b := range bad {
		out[b.Row] = true
	}
	var kept []eventlog.Record
	for i, r := range records {
		if !out[i] {
			kept = append(kept, r)
		}
	}
	return ev, kept, nil
}

// Logged is Events for rows of the event log. Rows that violate a limit which was declared after
// they were logged are left out, counted and returned in order, even if the source does not skip
// bad rows.
func (s *Source) Logged(b *vector.Batch, from *Arrivals) (*kernel.Events, Counts, []BadRow, error) {
	ev, counts, err := s.events(b, from, func(bad BadRow) bool { return s.plan.SkipBadRows || bad.Limited() })
	return ev, counts, s.bad, err
}

// events leaves out the bad rows for which skip is true. Any other bad row is an error.
func (s *Source) events(b *vector.Batch, from *Arrivals, skip func(BadRow) bool) (*kernel.Events, Counts, error) {
	counts := Counts{Rows: int64(b.N)}
	b = s.checkRows(b, from)
	if len(s.bad) > 0 {
		if i := slices.IndexFunc(s.bad, func(bad BadRow) bool { return !skip(bad) }); i >= 0 {
			return nil, counts, &s.bad[i]
		}
		b, from = s.skip(b, from, &counts)
	}
	s.made = kernel.Events{Batch: b, Time: s.time, ID: s.ids}
	if from != nil {
		s.made.Filling, s.made.KnownBefore = from.Filling, from.KnownBefore
	}
	if s.row.kind != plan.KnownAtEvent || from != nil {
		s.made.Known = s.known
	}
	for _, c := range s.columns {
		if c.times == nil {
			continue
		}
		if s.made.ColumnKnown == nil {
			s.made.ColumnKnown = map[string][]plan.EventTime{}
		}
		s.made.ColumnKnown[c.name] = c.times
	}
	return &s.made, counts, nil
}

// checkRows reads times and ids of the rows of b and sets s.bad to the bad rows in order, with
// one finding each. It returns b with nulls for values that are not known yet.
func (s *Source) checkRows(b *vector.Batch, from *Arrivals) *vector.Batch {
	s.bad = nil
	if s.lostOf == b {
		for _, row := range s.lost {
			s.reject(row, "", LostRecord)
		}
	}
	s.checkReadable(b)
	s.readTimes(b, from)
	b = s.hideUnknown(b)
	s.checkText(b)
	for c := range s.columns {
		s.readColumnKnown(&s.columns[c], b, from)
	}
	s.checkStamps(b)
	s.readIDs(b)
	s.checkKeys(b)
	s.keepFirstFindings()
	return b
}

// keepFirstFindings sorts the findings by row and keeps the first one of each row.
func (s *Source) keepFirstFindings() {
	slices.SortStableFunc(s.bad, func(a, b BadRow) int { return a.Row - b.Row })
	s.bad = slices.CompactFunc(s.bad, func(a, b BadRow) bool { return a.Row == b.Row })
}

func (s *Source) reject(row int, column string, r Reason) {
	s.rejectAs(row, column, r, reasonTexts[r])
}

func (s *Source) rejectAs(row int, column string, r Reason, text string) {
	s.bad = append(s.bad, BadRow{row, column, r, text})
}

// readTimes sets s.time and s.known and rejects rows without valid times.
func (s *Source) readTimes(b *vector.Batch, from *Arrivals) {
	s.time = slices.Grow(s.time[:0], b.N)[:b.N]
	s.known = slices.Grow(s.known[:0], b.N)[:b.N]
	col := b.Col(s.plan.EventTime)
	var declared *vector.Vector
	if s.row.column != "" {
		declared = b.Col(s.row.column)
	}
	if s.row.kind == plan.KnownAtEvent && from == nil && s.plan.MinTime == nil && col.Null == nil && col.Err == nil {
		s.readPlainTimes(col.Int[:b.N])
		return
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
		case s.plan.MinTime != nil && t < *s.plan.MinTime:
			s.rejectAs(i, s.plan.EventTime, EarlyTime, fmt.Sprintf("the event time %v lies before %v, the min_time of source %s", t, *s.plan.MinTime, s.plan.Name))
			continue
		case declared != nil && !declared.Valid(i):
			s.reject(i, s.row.column, NullKnown)
			continue
		}
		k := s.row.at(t, declared, i)
		if !k.Valid() {
			s.reject(i, s.row.reportedColumn(s.plan.EventTime), WrongKnown)
			continue
		}
		if from != nil {
			k = max(k, from.Row[i])
		}
		s.known[i] = k
	}
}

// readPlainTimes is readTimes for rows that are known at their event time.
func (s *Source) readPlainTimes(times []int64) {
	for i, x := range times {
		t := plan.EventTime(x)
		if s.time[i] = t; !t.Valid() {
			s.reject(i, s.plan.EventTime, WrongTime)
		}
	}
}

// checkReadable rejects rows with values that could not be read.
func (s *Source) checkReadable(b *vector.Batch) {
	for c, col := range b.Cols {
		if col.Err == nil {
			continue
		}
		for i := range b.N {
			if col.IsErr(i) {
				s.reject(i, b.Fields[c].Name, Unreadable)
			}
		}
	}
}

// checkText rejects texts that are not UTF-8, and values that are too long.
func (s *Source) checkText(b *vector.Batch) {
	for c, col := range b.Cols {
		if col.Str == nil {
			continue
		}
		text := col.Type.Kind == plan.String && !col.UTF8
		for i, str := range col.Str[:b.N] {
			switch {
			case len(str) > limits.TextBytes && col.Valid(i):
				s.rejectAs(i, b.Fields[c].Name, LongText, limits.Text(len(str)))
			case text && !utf8.ValidString(str) && col.Valid(i):
				s.reject(i, b.Fields[c].Name, BadUTF8)
			}
		}
	}
}

// longKeys lists the keys of the source's views that have a component of variable length.
func longKeys(s *plan.Source) [][]string {
	return slices.DeleteFunc(slices.Clone(s.Keys), func(key []string) bool {
		return !slices.ContainsFunc(key, func(column string) bool {
			c, ok := s.Column(column)
			return ok && (c.Type.Kind == plan.String || c.Type.Kind == plan.Bytes)
		})
	})
}

// checkKeys rejects rows with a key that is too long.
func (s *Source) checkKeys(b *vector.Batch) {
	for _, key := range s.keys {
		cols := make([]*vector.Vector, len(key))
		for c, name := range key {
			cols[c] = b.Col(name)
		}
		for i := range b.N {
			if !mayBeLong(cols, i) {
				continue
			}
			encoded, ok := entitykey.AppendRow(s.key[:0], cols, i)
			s.key = encoded
			if text := limits.Key(len(encoded)); ok && text != "" {
				s.rejectAs(i, key[longest(cols, i)], LongKey, text)
			}
		}
	}
}

// longest returns the component of row i's key that has the most bytes.
func longest(cols []*vector.Vector, i int) int {
	at, most := 0, -1
	for c, col := range cols {
		if col.Str != nil && len(col.Str[i]) > most {
			at, most = c, len(col.Str[i])
		}
	}
	return at
}

// mayBeLong reports whether the encoded key of row i may exceed the limit. It is an upper bound:
// each byte of a component takes at most two.
func mayBeLong(cols []*vector.Vector, i int) bool {
	n := 0
	for _, c := range cols {
		n += 9
		if c.Str != nil {
			n += 2 * len(c.Str[i])
		}
	}
	return n > limits.KeyBytes
}

// checkStamps rejects rows with timestamps outside the years 0001 to 9999.
func (s *Source) checkStamps(b *vector.Batch) {
	for c, col := range b.Cols {
		name := b.Fields[c].Name
		if col.Type.Kind != plan.Timestamp || name == s.plan.EventTime || name == s.row.column {
			continue
		}
		for i, t := range col.Int[:b.N] {
			if !plan.EventTime(t).Valid() && col.Valid(i) {
				s.reject(i, name, WrongStamp)
			}
		}
	}
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
		switch n := len(s.ids[i]); {
		case n == 0:
			s.reject(i, s.plan.EventID, NoID)
		case n > limits.IDBytes:
			s.rejectAs(i, s.plan.EventID, LongID, limits.ID(n))
		}
	}
}

// EventID returns the event id in row i of an id column: strings and bytes unchanged, other
// types as text, "" for null. It aliases col.
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

// skip leaves out the bad rows and counts each by its reason.
func (s *Source) skip(b *vector.Batch, from *Arrivals, counts *Counts) (*vector.Batch, *Arrivals) {
	keep := make([]int, 0, b.N)
	next := 0
	for i := range b.N {
		if next < len(s.bad) && s.bad[next].Row == i {
			counts.Skipped[s.bad[next].Reason]++
			next++
			continue
		}
		keep = append(keep, i)
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
	if from != nil && from.Filling != nil {
		from = &Arrivals{Filling: TakeBits(from.Filling, keep), KnownBefore: TakeEach(from.KnownBefore, keep)}
	}
	return s.compact, from
}

// take moves the elements at the given ascending indexes to the front.
func take[E any](s []E, keep []int) []E {
	for to, from := range keep {
		s[to] = s[from]
	}
	return s[:len(keep)]
}
