package explain

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/recompute"
	"github.com/unskew/unskew/internal/vector"
)

// Config says which value is explained, and from what.
type Config struct {
	View    *plan.View
	Feature int          // of the view
	Key     []plan.Value // of the entity, in the order of its keys; none is null
	At      plan.EventTime
	History recompute.History
	Ends    logpos.Vector // of the log of the source: what is known now
	Serving *Serving      // nil: the value is not compared with serving
	Events  int           // how many events are listed, the newest of those that tell most
	Memory  int64         // bytes that events may take on each of both sides, about: of more, the newest are kept, or none is marked; 0: 1 GiB
	Note    string        // of the explanation
}

// Serving is what serving had.
type Serving struct {
	recompute.Range        // of the history that the state has
	Rewritten       bool   // the history is not the one that it was built from, so these events are not known any more
	State           []byte // of the entity, encoded; nil: it has none
	// Recorded is the value that was answered; nil: the state is read as of Config.At, which must be later than its newest event.
	Recorded *recompute.Cell
}

// Explanation is how a value came about.
type Explanation struct {
	View     string          `json:"view"`
	Feature  string          `json:"feature"`
	Expr     string          `json:"expr"` // as it was compiled
	Type     string          `json:"type"`
	Defined  string          `json:"defined"` // file:line:column
	Version  string          `json:"version"` // fingerprint of the view
	Entity   string          `json:"entity"`
	AsOf     string          `json:"as_of"`
	Training recompute.Cell  `json:"training"`           // over all events that are known now
	Replayed *recompute.Cell `json:"replayed,omitempty"` // over the events that serving had
	Served   *recompute.Cell `json:"served,omitempty"`
	Lost     bool            `json:"lost,omitempty"` // the state is lost or damaged
	Error    string          `json:"error,omitempty"`
	Note     string          `json:"note,omitempty"` // why there is nothing to compare with, or only a part
	Parts    []Part          `json:"parts"`
	Total    int64           `json:"total"` // events of the entity
	Events   []Event         `json:"events"`
}

// Part is one aggregate over one window that the feature reads.
type Part struct {
	Name     string           `json:"name"` // A, B, … as in Explanation.Expr
	Call     string           `json:"call"`
	Window   string           `json:"window"`
	From     string           `json:"from,omitempty"` // event times in the window: from <= time < as_of; "" for all
	Training recompute.Cell   `json:"training"`
	Replayed *recompute.Cell  `json:"replayed,omitempty"`
	Served   *recompute.Cell  `json:"served,omitempty"`
	Used     int64            `json:"used"` // events that training sees in it
	LeftOut  map[Reason]int64 `json:"left_out,omitempty"`

	window plan.Window
	slot   int // of the view
	probe  int // of the probing view: the slot, followed by one that only filters
}

// Reason is why an event is not in a part.
type Reason string

// The reasons, in the order in which they are looked for.
const (
	Used     Reason = ""
	After    Reason = "not yet happened"
	NotKnown Reason = "not known yet"     // the event, or a late column that the part reads, is known at T or later
	Before   Reason = "before the window" // it happened too long ago
	Where    Reason = "filter not true"
	NoValue  Reason = "no value" // an argument is null, or failed
)

// Side is who has an event.
type Side string

// The sides.
const (
	Both         Side = ""
	TrainingOnly Side = "training only"
	ServingOnly  Side = "serving only"
)

// Event is one event of the entity, or a delivery that filled late columns of one.
type Event struct {
	ID    string   `json:"id,omitempty"`
	Time  string   `json:"time"`
	Known string   `json:"known_at"`
	Fills bool     `json:"fills,omitempty"`
	Side  Side     `json:"side,omitempty"`
	Parts []InPart `json:"parts"`

	time plan.EventTime
	rank int
}

// InPart says what one part makes of an event.
type InPart struct {
	LeftOut Reason `json:"left_out,omitempty"` // "": it is used
	Value   string `json:"value,omitempty"`    // of the argument
	Known   string `json:"known_at,omitempty"` // if that is later than that of the event
}

// Run explains a value.
func Run(ctx context.Context, cfg Config) (*Explanation, error) {
	x, err := newExplainer(&cfg)
	if err != nil {
		return nil, err
	}
	if cfg.Serving != nil {
		if err := x.serving(ctx); err != nil {
			return nil, err
		}
	}
	if err := x.training(ctx); err != nil {
		return nil, err
	}
	x.finish()
	return &x.out, nil
}

// explainer is a running explanation.
type explainer struct {
	*Config
	out    Explanation
	bare   *plan.View // the view with one more feature for each part
	key    []byte
	seen   map[identity]*Event // what serving had, until training has it too; nil: too much
	counts map[identity]int    // of equal events without ids, in the current reading
	events []*Event
	held   int64          // bytes of these
	older  plan.EventTime // events before were dropped, for their number or memory
	marked int64          // bytes of what seen has had
}

func newExplainer(cfg *Config) (*explainer, error) {
	v, f := cfg.View, cfg.View.Features[cfg.Feature]
	cfg.Memory = cmp.Or(cfg.Memory, defaultMemory)
	x := &explainer{Config: cfg, key: entitykey.Append(nil, cfg.Key...), seen: map[identity]*Event{}, older: plan.Always}
	x.out = Explanation{
		View: v.Name, Feature: f.Name, Type: f.Type.String(), Version: v.Fingerprint.String(),
		Defined: fmt.Sprintf("%s:%d:%d", f.Pos.File, f.Pos.Line, f.Pos.Col), Entity: entitykey.Text(v.Entity, x.key), AsOf: cfg.At.String(), Note: cfg.Note,
	}
	x.addParts(cfg.Feature)
	x.out.Expr = x.named(f.Expr)
	x.bare = withAggregates(v, x.out.Parts)
	return x, nil
}

// addParts adds the aggregates that a feature reads, also through other features.
func (x *explainer) addParts(feature int) {
	v := x.View
	v.Features[feature].Expr.Walk(func(e *plan.Expr) {
		switch e.Kind {
		case plan.FeatureRef:
			x.addParts(e.Index)
		case plan.Aggregate:
			a := v.Aggregates[e.Index]
			if slices.ContainsFunc(x.out.Parts, func(p Part) bool { return p.slot == a.Slot && p.window == a.Window }) {
				return
			}
			p := Part{Name: partName(len(x.out.Parts)), Call: v.Slots[a.Slot].String(), Window: a.Window.String(), LeftOut: map[Reason]int64{}, window: a.Window, slot: a.Slot}
			if !a.Window.Unbounded() {
				p.From = a.Window.Lower(x.At).String()
			}
			x.out.Parts = append(x.out.Parts, p)
		}
	})
}

// partName is A to Z, then A1 and so on.
func partName(i int) string {
	name := string(rune('A' + i%26))
	if i >= 26 {
		name += strconv.Itoa(i / 26)
	}
	return name
}

// aggregateText finds aggregates in the text of a compiled expression.
var aggregateText = regexp.MustCompile(`@(\d+)`)

// named is the text of an expression in which aggregates have the names of the parts.
func (x *explainer) named(e *plan.Expr) string {
	return aggregateText.ReplaceAllStringFunc(e.String(), func(text string) string {
		n, err := strconv.Atoi(text[1:])
		if err != nil || n >= len(x.View.Aggregates) {
			return text
		}
		a := x.View.Aggregates[n]
		for _, p := range x.out.Parts {
			if p.slot == a.Slot && p.window == a.Window {
				return p.Name
			}
		}
		return text
	})
}

// withAggregates is a view whose features are those of v and, after them, the values of the parts by themselves.
func withAggregates(v *plan.View, parts []Part) *plan.View {
	bare := *v
	bare.Features, bare.Order = slices.Clone(v.Features), slices.Clone(v.Order)
	for _, p := range parts {
		a := slices.Index(v.Aggregates, plan.WindowedAggregate{Slot: p.slot, Window: p.window})
		t := v.Slots[p.slot].Type
		bare.Order = append(bare.Order, len(bare.Features))
		bare.Features = append(bare.Features, &plan.Feature{Name: fmt.Sprint("part ", a), Type: withoutOptional(t), Expr: &plan.Expr{Kind: plan.Aggregate, Index: a, Type: t}})
	}
	return &bare
}

func withoutOptional(t plan.Type) plan.Type {
	if t.Kind == plan.Optional {
		return *t.Elem
	}
	return t
}

// probing is a view whose slots tell what the parts make of an event: for each part its slot, and one that has only its filter.
func (x *explainer) probing() *plan.View {
	v := *x.View
	v.Slots, v.Aggregates, v.Features, v.Order = nil, nil, nil, nil
	for i := range x.out.Parts {
		s := x.View.Slots[x.out.Parts[i].slot]
		x.out.Parts[i].probe = len(v.Slots)
		v.Slots = append(v.Slots, s, plan.Slot{Func: plan.Count, Filter: s.Filter, Type: plan.Type{Kind: plan.Int}, KnownColumns: s.KnownColumns})
	}
	for i := range v.Slots {
		v.Aggregates = append(v.Aggregates, plan.WindowedAggregate{Slot: i})
	}
	return &v
}

// serving computes the value over the events that serving had, notes these, and reads what was served.
func (x *explainer) serving(ctx context.Context) error {
	if x.Serving.Rewritten {
		x.seen = nil
		return x.served()
	}
	err := x.replay(ctx, x.Serving.Range, func(e *Event, id identity) {
		e.Side = ServingOnly
		if x.seen != nil {
			x.seen[id] = e
			x.marked += e.bytes()
		}
		if len(x.seen) > maxCompared || x.marked > x.Memory {
			x.seen = nil
		}
		x.keep(e)
	}, func(c []recompute.Cell, _ string) {
		x.out.Replayed = &c[0]
		for i := range x.out.Parts {
			x.out.Parts[i].Replayed = &c[1+i]
		}
	})
	if err != nil {
		return err
	}
	return x.served()
}

// served reads what was served.
func (x *explainer) served() error {
	if x.Serving.Recorded != nil {
		x.out.Served = x.Serving.Recorded
		return nil
	}
	k, err := kernel.NewView(x.bare)
	if err != nil {
		return err
	}
	f := k.ReadStored([][]byte{x.Serving.State}, x.At)
	x.out.Lost = f.Lost != nil && f.Lost.Get(0)
	cells := x.cells(f)
	x.out.Served = &cells[0]
	for i := range x.out.Parts {
		x.out.Parts[i].Served = &cells[1+i]
	}
	return nil
}

// training computes the value over all events that are known now.
func (x *explainer) training(ctx context.Context) error {
	return x.replay(ctx, recompute.Range{To: plan.Never, Until: x.Ends}, func(e *Event, id identity) {
		x.out.Total++
		for i, p := range e.Parts {
			if p.LeftOut == Used {
				x.out.Parts[i].Used++
			} else {
				x.out.Parts[i].LeftOut[p.LeftOut]++
			}
		}
		if had := x.seen[id]; had != nil {
			had.Side = Both
			delete(x.seen, id)
			return
		}
		if x.Serving != nil && x.seen != nil {
			e.Side = TrainingOnly
		}
		x.keep(e)
	}, func(c []recompute.Cell, text string) {
		x.out.Training, x.out.Error = c[0], text
		for i := range x.out.Parts {
			x.out.Parts[i].Training = c[1+i]
		}
	})
}

// cells are the first row of the feature, and of the parts.
func (x *explainer) cells(f *kernel.Features) []recompute.Cell {
	out := []recompute.Cell{recompute.CellOf(&f.Cols[x.Feature], 0)}
	for i := range x.out.Parts {
		out = append(out, recompute.CellOf(&f.Cols[len(x.View.Features)+i], 0))
	}
	return out
}

// replay reads a part of the history, calls note with each event of the entity and its identity, and done with the values as of T and
// the message of an error.
func (x *explainer) replay(ctx context.Context, r recompute.Range, note func(e *Event, id identity), done func(c []recompute.Cell, text string)) error {
	var keys []*vector.Vector
	for i, k := range x.View.Entity.Keys {
		keys = append(keys, vector.Of(k.Type, x.Key[i]))
	}
	whole, err := kernel.NewWhole(x.bare, keys, []plan.EventTime{x.At}, 1)
	if err != nil {
		return err
	}
	probe, err := kernel.NewView(x.probing())
	if err != nil {
		return err
	}
	x.counts = map[identity]int{}
	err = x.History(ctx, []*plan.View{x.View}, r, 1, func(_ int, ev *kernel.Events) error {
		if err := whole.Add(ev); err != nil {
			return err
		}
		x.note(probe, ev, note)
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	return whole.Results(func(_ int, f *kernel.Features) error {
		text := ""
		if f.Cols[x.Feature].Status[0] == kernel.Failed {
			text = f.ErrorText(x.Feature, 0)
		}
		done(x.cells(f), text)
		return nil
	})
}

// finish chooses the events that are listed.
func (x *explainer) finish() {
	for _, e := range x.events {
		e.rank = rank(e, x.Serving != nil)
	}
	slices.SortStableFunc(x.events, func(a, b *Event) int { return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(b.time, a.time)) })
	listed := x.events[:min(len(x.events), x.Config.Events)]
	slices.SortStableFunc(listed, func(a, b *Event) int { return cmp.Compare(a.time, b.time) })
	x.out.Events = []Event{}
	for _, e := range listed {
		x.out.Events = append(x.out.Events, *e)
	}
}

// rank orders events by how much they tell: first those that only one side has, then those that are used.
func rank(e *Event, compared bool) int {
	used := slices.ContainsFunc(e.Parts, func(p InPart) bool { return p.LeftOut == Used })
	near := slices.ContainsFunc(e.Parts, func(p InPart) bool { return p.LeftOut != Used && p.LeftOut != Before && p.LeftOut != After })
	switch {
	case compared && e.Side != Both && used:
		return 0
	case used:
		return 1
	case near:
		return 2
	case compared && e.Side != Both:
		return 3
	}
	return 4
}
