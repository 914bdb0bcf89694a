package servedlog

import (
	"bytes"
	"fmt"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/vector"
)

// Row is one row of an answer.
type Row struct {
	RequestID string
	Number    int            // of the row in the request, from 0 on
	Caller    string         // "" if callers are not authenticated
	ReadAt    plan.EventTime // when the states were read
	AsOf      plan.EventTime // T
	Latency   time.Duration  // from the arrival of the request until the values were encoded
	Keys      []plan.Value   // in the order of the service
	Request   []plan.Value   // the request fields that are no keys, in the order of the service
	Outputs   []Output       // all of the service
	Views     []View

	encoded []byte
}

// Output is a value of an answer. Status and Reason are as in the answer, by name. An output that the request did not ask for has no
// status; Reason is of DEFAULTED and STALE values.
type Output struct {
	Value          plan.Value
	Status, Reason string
}

// View is what the values of a view were computed from.
type View struct {
	Fingerprint string
	Generation  uint64
	Build       uint64
	Known       bool           // the entity had a state
	Newest      plan.EventTime // the newest visible time of the state, if Known
	Positions   logpos.Vector  // of the log, up to which events were applied
	// Staleness is of the view when it was read, if it was known.
	Staleness      time.Duration
	StalenessKnown bool
}

// layout is the columns of a segment.
type layout struct {
	keys, request, outputs []plan.Field
	meanings               []string // fingerprints of the outputs; nil of segments from before they were recorded
	views                  []string // roles
}

// layoutOf returns the columns for a service. Keys that are replaced by HMACs are texts.
func layoutOf(p *plan.Service, hashed bool) layout {
	var l layout
	names := map[string]bool{}
	for _, f := range p.Keys {
		names[f.Name] = true
		if hashed {
			f.Type = plan.T(plan.String)
		}
		l.keys = append(l.keys, f)
	}
	for _, f := range p.Request {
		if !names[f.Name] {
			l.request = append(l.request, f)
		}
	}
	for _, o := range p.Outputs() {
		l.outputs = append(l.outputs, plan.Field{Name: o.Name, Type: o.Type})
		l.meanings = append(l.meanings, o.Fingerprint.String())
	}
	for _, v := range p.Views {
		l.views = append(l.views, v.As)
	}
	return l
}

// Columns that every segment has. No key, request field, output or role is called "request".
var header = []plan.Field{
	{Name: "request.id", Type: plan.T(plan.String)},
	{Name: "request.row", Type: plan.T(plan.Int)},
	{Name: "request.service", Type: plan.T(plan.String)},
	{Name: "request.fingerprint", Type: plan.T(plan.String)},
	{Name: "request.caller", Type: plan.T(plan.String)},
	{Name: "request.read_at", Type: plan.T(plan.Timestamp)},
	{Name: "request.as_of", Type: plan.T(plan.Timestamp)},
	{Name: "request.latency", Type: plan.T(plan.Duration)},
}

// Suffixes of columns.
const (
	statusSuffix = ".status"
	reasonSuffix = ".reason"
)

// stateColumns are the columns of a view, after its role.
var stateColumns = []plan.Field{
	{Name: ".state.fingerprint", Type: plan.T(plan.String)},
	{Name: ".state.generation", Type: plan.T(plan.Int)},
	{Name: ".state.build", Type: plan.T(plan.Uint)},
	{Name: ".state.known", Type: plan.T(plan.Bool)},
	{Name: ".state.newest", Type: plan.T(plan.Timestamp)},
	{Name: ".state.positions", Type: plan.ListOf(plan.T(plan.Uint))},
	{Name: ".state.staleness", Type: plan.T(plan.Duration)},
}

// fields returns all columns.
func (l *layout) fields() []plan.Field {
	fields := append([]plan.Field{}, header...)
	fields = append(append(fields, l.keys...), l.request...)
	for _, o := range l.outputs {
		fields = append(fields, o, plan.Field{Name: o.Name + statusSuffix, Type: plan.T(plan.String)}, plan.Field{Name: o.Name + reasonSuffix, Type: plan.T(plan.String)})
	}
	for _, role := range l.views {
		for _, f := range stateColumns {
			fields = append(fields, plan.Field{Name: role + f.Name, Type: f.Type})
		}
	}
	return fields
}

// textOrNull is null for an empty text.
func textOrNull(s string) plan.Value {
	if s == "" {
		return plan.NullValue()
	}
	return plan.StringValue(s)
}

// append appends the values of the columns in their order, in canonical form.
func (s *Stream) append(dst []byte, r *Row) []byte {
	for _, v := range [...]plan.Value{
		plan.StringValue(r.RequestID), plan.IntValue(int64(r.Number)), plan.StringValue(s.service), plan.StringValue(s.fingerprint), textOrNull(r.Caller),
		plan.TimestampValue(r.ReadAt), plan.TimestampValue(r.AsOf), plan.DurationValue(r.Latency),
	} {
		dst = plan.AppendCanonical(dst, v)
	}
	for _, v := range r.Keys {
		dst = plan.AppendCanonical(dst, s.log.hidden(v))
	}
	for _, v := range r.Request {
		dst = plan.AppendCanonical(dst, v)
	}
	for i := range r.Outputs {
		o := &r.Outputs[i]
		dst = plan.AppendCanonical(dst, o.Value)
		dst = plan.AppendCanonical(dst, textOrNull(o.Status))
		dst = plan.AppendCanonical(dst, textOrNull(o.Reason))
	}
	for i := range r.Views {
		dst = r.Views[i].append(dst)
	}
	return dst
}

func (v *View) append(dst []byte) []byte {
	newest, staleness := plan.NullValue(), plan.NullValue()
	if v.Known {
		newest = plan.TimestampValue(v.Newest)
	}
	if v.StalenessKnown {
		staleness = plan.DurationValue(v.Staleness)
	}
	positions := make([]plan.Value, len(v.Positions))
	for i, p := range v.Positions {
		positions[i] = plan.UintValue(p)
	}
	for _, x := range [...]plan.Value{
		plan.StringValue(v.Fingerprint), plan.IntValue(int64(v.Generation)), plan.UintValue(v.Build), plan.BoolValue(v.Known), newest, plan.ListValue(positions), staleness,
	} {
		dst = plan.AppendCanonical(dst, x)
	}
	return dst
}

// decode puts encoded rows into columns. Most values are those of the row before, such as names and statuses; as no encoding is
// a prefix of another one, these need not be decoded.
func decode(fields []plan.Field, rows []queued) (*vector.Batch, error) {
	b := vector.NewBatch(fields, len(rows))
	before := make([]struct {
		encoded []byte
		value   plan.Value
	}, len(fields))
	for i := range rows {
		rest := rows[i].row
		for c := range b.Cols {
			last := &before[c]
			if i > 0 && bytes.HasPrefix(rest, last.encoded) {
				b.Cols[c].Set(i, last.value)
				rest = rest[len(last.encoded):]
				continue
			}
			v, after, err := plan.DecodeCanonical(rest)
			if err != nil {
				return nil, fmt.Errorf("column %s: %w", fields[c].Name, err)
			}
			b.Cols[c].Set(i, v)
			last.encoded, last.value = rest[:len(rest)-len(after)], v
			rest = after
		}
	}
	return b, nil
}

// cursor reads the columns of a row in their order.
type cursor struct {
	batch    *vector.Batch
	row, col int
}

func (c *cursor) next() plan.Value {
	v := c.batch.Cols[c.col].Value(c.row)
	c.col++
	return v
}

// rowOf is row i of a segment.
func (l *layout) rowOf(b *vector.Batch, i int) *Row {
	c := &cursor{batch: b, row: i}
	r := &Row{RequestID: c.next().Str(), Number: int(c.next().Int())}
	c.col += 2 // service and fingerprint are those of the segment
	r.Caller, r.ReadAt, r.AsOf, r.Latency = c.next().Str(), c.next().Time(), c.next().Time(), c.next().Duration()
	for range l.keys {
		r.Keys = append(r.Keys, c.next())
	}
	for range l.request {
		r.Request = append(r.Request, c.next())
	}
	for range l.outputs {
		r.Outputs = append(r.Outputs, Output{c.next(), c.next().Str(), c.next().Str()})
	}
	for range l.views {
		r.Views = append(r.Views, c.view())
	}
	return r
}

func (c *cursor) view() View {
	v := View{Fingerprint: c.next().Str(), Generation: uint64(c.next().Int()), Build: c.next().Uint(), Known: c.next().Bool(), Newest: c.next().Time()}
	for _, p := range c.next().List() {
		v.Positions = append(v.Positions, p.Uint())
	}
	staleness := c.next()
	v.Staleness, v.StalenessKnown = staleness.Duration(), !staleness.IsNull()
	return v
}
