package explain

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/nearest"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/recompute"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/internal/text"
)

// TimeLimit is how long an explanation may take in a server, which other requests wait for.
const TimeLimit = 30 * time.Second

// Project is where the values of a project come from. Its methods may be called concurrently if those of its parts may.
type Project struct {
	Plan    *plan.Plan
	Log     eventlog.Log
	Store   onlinestore.Store
	Served  string            // folder of the served log
	History recompute.History // nil: recompute.LogHistory
	Inputs  recompute.Inputs  // nil: nothing is known of changed histories
}

// Request names the value to explain.
type Request struct {
	Feature string            // VIEW.FEATURE; with ID, also as a service names it, ROLE.FEATURE
	Keys    map[string]string // of the entity, as texts (see internal/text)
	Now     plan.EventTime    // the time of the clock
	At      *plan.EventTime   // as of which; nil: now, compared with the live state
	ID      string            // of the recorded request to explain, instead of Keys and At
	Row     int64             // of that request, from 0
	Events  int               // Config.Events
	Memory  int64             // Config.Memory
	// May reports whether the caller may see a service. Views of others, and what was answered for them, are not explained. nil: all.
	May func(service string) bool
}

// Problem is what is wrong with a request.
type Problem int

// The problems.
const (
	Invalid    Problem = iota // the request is wrong
	Missing                   // what it names does not exist
	Denied                    // the caller may not see it
	Unknowable                // what is there does not say enough
	NoFiles                   // the history is in files, which this program cannot read
)

// RequestError says why a request has no answer.
type RequestError struct {
	Problem Problem
	Reason  string
}

// Error implements error.
func (e *RequestError) Error() string { return e.Reason }

func refuse(p Problem, format string, args ...any) error {
	return &RequestError{p, fmt.Sprintf(format, args...)}
}

// Explain explains a value: as of now and compared with the live state, as of another time, or as it was answered to a recorded request. Nothing
// is changed. An error is a *RequestError if the request is at fault.
func (p *Project) Explain(ctx context.Context, r Request) (*Explanation, error) {
	x := &search{Project: p, Request: &r, cfg: Config{At: r.Now, Events: r.Events, Memory: r.Memory, History: p.History}}
	if x.cfg.History == nil {
		x.cfg.History = recompute.LogHistory(p.Log)
	}
	if err := x.check(); err != nil {
		return nil, err
	}
	if err := x.find(ctx); err != nil {
		return nil, err
	}
	if src := x.cfg.View.Source; src.Stream {
		shards, err := eventlog.NewLayouts(p.Log).Find(ctx, src.Name)
		if err != nil {
			return nil, err
		}
		if x.cfg.Ends, err = shards.Ends(ctx, p.Log); err != nil {
			return nil, err
		}
	}
	e, err := Run(ctx, x.cfg)
	trimmed := (*eventlog.TrimmedError)(nil)
	switch {
	case errors.Is(err, recompute.ErrNoFiles):
		return nil, refuse(NoFiles, "the history of source %s is in files, which this server cannot read; ask one that was started by `unskew serve`, or run unskew explain", x.cfg.View.Source.Name)
	case errors.As(err, &trimmed):
		return nil, refuse(Unknowable, "%v", err)
	}
	return e, err
}

// search finds what a request names.
type search struct {
	*Project
	*Request
	cfg    Config
	output string // of a service, with a recorded request: the view and its feature are found by it
}

// check finds the feature, and refuses requests that cannot be right.
func (x *search) check() (err error) {
	switch {
	case x.Events < 0 || x.Row < 0:
		return refuse(Invalid, "the number of events and the row are not negative")
	case x.ID != "" && (len(x.Keys) > 0 || x.At != nil):
		return refuse(Invalid, "a recorded request has its keys and its time; give no others")
	case x.ID == "" && x.Row != 0:
		return refuse(Invalid, "a row is one of a recorded request, whose id is not given")
	}
	named := func(s *plan.Service) bool {
		return slices.ContainsFunc(s.Features, func(f plan.ServiceFeature) bool { return f.Name == x.Feature })
	}
	if x.ID != "" && slices.ContainsFunc(x.Plan.Services, named) {
		x.output = x.Feature
	} else if x.cfg.View, x.cfg.Feature, err = findFeature(x.Plan, x.Feature); err != nil {
		return err
	} else {
		named = func(s *plan.Service) bool {
			return slices.ContainsFunc(s.Views, func(v plan.ViewRef) bool { return v.View == x.cfg.View })
		}
	}
	if x.May != nil && !slices.ContainsFunc(x.Plan.Services, func(s *plan.Service) bool { return x.May(s.Name) && named(s) }) {
		return refuse(Denied, "%s is in no service that the caller may read", x.Feature)
	}
	return nil
}

// findFeature finds VIEW.FEATURE.
func findFeature(p *plan.Plan, name string) (*plan.View, int, error) {
	view, feature, ok := strings.Cut(name, ".")
	if !ok {
		return nil, 0, refuse(Invalid, "%q names no feature: write VIEW.FEATURE", name)
	}
	var views, features []string
	for _, v := range p.Views {
		views = append(views, v.Name)
	}
	i := slices.Index(views, view)
	if i < 0 {
		return nil, 0, refuse(Missing, "%s", nearest.None("view", view, views))
	}
	v := p.Views[i]
	for _, f := range v.Features {
		features = append(features, f.Name)
	}
	if i = slices.Index(features, feature); i < 0 {
		return nil, 0, refuse(Missing, "%s", nearest.None("feature of view "+v.Name, feature, features))
	}
	return v, i, nil
}

// find finds the entity, the time, and what to compare with.
func (x *search) find(ctx context.Context) (err error) {
	if x.ID != "" {
		return x.recorded(ctx)
	}
	if x.cfg.Key, err = keyOf(x.cfg.View.Entity, x.Keys); err != nil {
		return err
	}
	if x.At != nil {
		x.cfg.At, x.cfg.Note = *x.At, "serving answers as of now only, so there is nothing to compare with"
		return nil
	}
	return x.live(ctx)
}

// keyOf parses the key of an entity.
func keyOf(e *plan.Entity, given map[string]string) (key []plan.Value, err error) {
	var names []string
	for _, k := range e.Keys {
		names = append(names, k.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(names, name) {
			return nil, refuse(Invalid, "%s", nearest.None("key of entity "+e.Name, name, names))
		}
	}
	for _, k := range e.Keys {
		written, ok := given[k.Name]
		if !ok {
			return nil, refuse(Invalid, "the key %s of entity %s is missing; it has the keys %s", k.Name, e.Name, strings.Join(names, ", "))
		}
		v, err := text.Parse(written, k.Type.Kind)
		if err == nil && v.IsNull() {
			err = errors.New("it is null")
		}
		if err != nil {
			return nil, refuse(Invalid, "key %s: %v", k.Name, err)
		}
		key = append(key, v)
	}
	return key, nil
}

// live compares with the live state.
func (x *search) live(ctx context.Context) error {
	v := x.cfg.View
	b, err := recompute.FindBuild(ctx, x.Store, v, x.Inputs)
	if none := (*registry.NotMaterialized)(nil); errors.As(err, &none) {
		x.cfg.Note = none.Error()
		return nil
	}
	if err != nil {
		return err
	}
	got, err := x.Store.Get(ctx, [][]byte{b.StateKey(entitykey.Append(nil, x.cfg.Key...))})
	if err != nil {
		return err
	}
	k, err := kernel.NewView(v)
	if err != nil {
		return err
	}
	until := b.Positions.Vector()
	if got[0] != nil {
		until = logpos.Max(until, k.AppliedOf(got[0]))
		x.cfg.At = max(x.cfg.At, k.NewestOf(got[0], x.cfg.At)+1)
	}
	x.compareWith(&b, until).State = got[0]
	return nil
}

// compareWith compares with what a build had at positions of the log.
func (x *search) compareWith(b *recompute.Build, until logpos.Vector) *Serving {
	x.cfg.Serving = &Serving{Range: recompute.Range{To: b.Materialized, Until: until}, Rewritten: b.InputsChanged}
	if b.InputsChanged {
		x.cfg.Note = "the history was rewritten since it was materialized, so the events that serving has are not known; unskew materialize builds the view anew (docs/parity.md, cause source)"
	}
	return x.cfg.Serving
}
