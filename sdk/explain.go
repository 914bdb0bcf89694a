package sdk

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"connectrpc.com/connect"

	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

// ExplainRequest names a value: of an entity as of now or another time, or of a recorded request.
type ExplainRequest struct {
	Feature string // VIEW.FEATURE; with RequestID, also as a service names it, ROLE.FEATURE
	// Keys are those of the view's entity by name, written as texts: 42, true, 2025-03-01T12:00:00Z, base64 for bytes.
	Keys      map[string]string
	At        time.Time // as of which; zero: now, and then serving is compared
	RequestID string    // of a request of which a server recorded the answer, instead of Keys and At
	Row       int64     // of that request, from 0
	Events    int       // how many events to list, of which all are counted; 0: 20, NoEvents: none
}

// NoEvents is ExplainRequest.Events for an explanation without events.
const NoEvents = -1

// Explanation is how a value came about. Times are RFC 3339, in UTC. Its JSON is that of unskew explain --json.
type Explanation struct {
	View     string           `json:"view"`
	Feature  string           `json:"feature"`
	Expr     string           `json:"expr"` // over the parts A, B and so on
	Type     string           `json:"type"`
	Defined  string           `json:"defined"` // file:line:column
	Version  string           `json:"version"` // fingerprint of the view
	Entity   string           `json:"entity"`
	AsOf     string           `json:"as_of"`
	Training ExplainedValue   `json:"training"`           // over all events that are known now
	Replayed *ExplainedValue  `json:"replayed,omitempty"` // over the events that serving had; nil: there is nothing to compare with
	Served   *ExplainedValue  `json:"served,omitempty"`   // what was served, or would be
	Lost     bool             `json:"lost,omitempty"`     // the entity's state is lost or damaged
	Error    string           `json:"error,omitempty"`
	Note     string           `json:"note,omitempty"` // why there is nothing to compare with, or only a part
	Parts    []ExplainedPart  `json:"parts"`
	Total    int64            `json:"total"`  // events of the entity
	Events   []ExplainedEvent `json:"events"` // those that tell most, in order of time
}

// ExplainedValue is a value and its status. Two are the same if they are equal.
type ExplainedValue struct {
	Value  string `json:"value"`
	Bits   string `json:"bits"`
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"` // of a default: the status that it replaces
}

// ExplainedPart is one aggregate over one window that the feature reads.
type ExplainedPart struct {
	Name     string           `json:"name"` // as in Explanation.Expr
	Call     string           `json:"call"`
	Window   string           `json:"window"`
	From     string           `json:"from,omitempty"` // event times in the window are from here on; "" for all
	Training ExplainedValue   `json:"training"`
	Replayed *ExplainedValue  `json:"replayed,omitempty"`
	Served   *ExplainedValue  `json:"served,omitempty"`
	Used     int64            `json:"used"`               // events that training sees in it
	LeftOut  map[string]int64 `json:"left_out,omitempty"` // how many are not, by reason
}

// ExplainedEvent is an event of the entity, or a delivery that filled late columns of one.
type ExplainedEvent struct {
	ID      string        `json:"id,omitempty"` // cut after 256 bytes, as values are
	Time    string        `json:"time"`
	KnownAt string        `json:"known_at"`
	Fills   bool          `json:"fills,omitempty"` // it fills late columns of an event
	Side    string        `json:"side,omitempty"`  // "training only" or "serving only" if the other one does not have it
	Parts   []EventInPart `json:"parts"`           // what each part makes of it
}

// EventInPart says what one part makes of an event.
type EventInPart struct {
	LeftOut string `json:"left_out,omitempty"` // why it is left out; "" if it is used
	Value   string `json:"value,omitempty"`    // of the argument
	KnownAt string `json:"known_at,omitempty"` // of a late column, if later than the event
}

// String is the value in training and serving, in a line.
func (e *Explanation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s.%s of %s as of %s: %s (%s)", e.View, e.Feature, e.Entity, e.AsOf, e.Training.Value, e.Training.Status)
	if e.Served != nil {
		fmt.Fprintf(&b, ", served %s (%s)", e.Served.Value, e.Served.Status)
	}
	return b.String()
}

// Explain shows how the value of one feature of one entity came about, event by event, in training and in serving. The caller
// needs the role admin. The server reads the history for it, so it may take 30 seconds.
func (c *Client) Explain(ctx context.Context, r ExplainRequest) (*Explanation, error) {
	if r.Row < 0 || r.Row > math.MaxUint32 || r.Events < NoEvents || r.Events > math.MaxInt32 {
		return nil, fmt.Errorf("explain %s: row %d or events %d is out of range", r.Feature, r.Row, r.Events)
	}
	req := &unskewv1.ExplainRequest{Feature: r.Feature, Keys: r.Keys, RequestId: r.RequestID, Row: uint32(r.Row)}
	if !r.At.IsZero() {
		at := r.At.UnixMicro()
		req.AsOfMicros = &at
	}
	if r.Events != 0 {
		n := uint32(max(r.Events, 0))
		req.Events = &n
	}
	res, err := c.parity.Explain(ctx, connect.NewRequest(req))
	if err != nil {
		return nil, fmt.Errorf("explain %s: %w", r.Feature, err)
	}
	return newExplanation(res.Msg), nil
}

func newExplanation(m *unskewv1.ExplainResponse) *Explanation {
	e := &Explanation{
		View: m.GetView(), Feature: m.GetFeature(), Expr: m.GetExpr(), Type: m.GetType(), Defined: m.GetDefined(), Version: m.GetVersion(),
		Entity: m.GetEntity(), AsOf: m.GetAsOf(), Replayed: explainedValue(m.GetReplayed()), Served: explainedValue(m.GetServed()),
		Lost: m.GetLost(), Error: m.GetError(), Note: m.GetNote(), Parts: []ExplainedPart{}, Total: int64(m.GetTotal()), Events: []ExplainedEvent{},
	}
	if v := explainedValue(m.GetTraining()); v != nil {
		e.Training = *v
	}
	for _, p := range m.GetParts() {
		part := ExplainedPart{
			Name: p.GetName(), Call: p.GetCall(), Window: p.GetWindow(), From: p.GetFrom(), Replayed: explainedValue(p.GetReplayed()),
			Served: explainedValue(p.GetServed()), Used: int64(p.GetUsed()), LeftOut: map[string]int64{},
		}
		if v := explainedValue(p.GetTraining()); v != nil {
			part.Training = *v
		}
		for why, n := range p.GetLeftOut() {
			part.LeftOut[why] = int64(n)
		}
		e.Parts = append(e.Parts, part)
	}
	for _, x := range m.GetEvents() {
		event := ExplainedEvent{ID: x.GetId(), Time: x.GetTime(), KnownAt: x.GetKnownAt(), Fills: x.GetFills(), Side: x.GetSide()}
		for _, p := range x.GetParts() {
			event.Parts = append(event.Parts, EventInPart{LeftOut: p.GetLeftOut(), Value: p.GetValue(), KnownAt: p.GetKnownAt()})
		}
		e.Events = append(e.Events, event)
	}
	return e
}

func explainedValue(m *unskewv1.ExplainedValue) *ExplainedValue {
	if m == nil {
		return nil
	}
	return &ExplainedValue{Value: m.GetValue(), Bits: m.GetBits(), Status: m.GetStatus(), Reason: m.GetReason()}
}
