package featuredefs

import (
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Test is an author's test of a view or of a service.
type Test struct {
	View    *plan.View    // nil for a service
	Service *plan.Service // nil for a view
	Events  []SourceRows
	Expect  []Expectation
	Pos     plan.Pos
}

// SourceRows are the events of one source, in the order written.
type SourceRows struct {
	Source *plan.Source
	Rows   []Row
}

// Row is one event: a value, possibly null, for each of the source's Columns.
type Row struct {
	Values []plan.Value
	Pos    plan.Pos
}

// Expectation is what one read as of At has to give.
type Expectation struct {
	Keys     []plan.Value // of the view's entity, or of Service.Keys
	At       plan.EventTime
	Request  []plan.Value // of Service.Request; null where not given
	Features []ExpectedFeature
	Pos      plan.Pos
}

// ExpectedFeature is a value, a status or both. A null Value without a Status
// accepts EMPTY and UNKNOWN_ENTITY.
type ExpectedFeature struct {
	Index    int // into View.Features, or Service.Outputs
	Name     string
	HasValue bool
	Value    plan.Value
	Status   string // one of docs/semantics.md §5; "" when not stated
	Pos      plan.Pos
}

// Statuses are the statuses an expectation can name.
var Statuses = []string{"PRESENT", "EMPTY", "UNKNOWN_ENTITY", "DEFAULTED", "ERROR"}

// testDecl is a FeatureTest document, read once the views and services are known.
type testDecl struct{ n *node }

func (l *loader) parseTest(n *node) {
	l.tests = append(l.tests, &testDecl{n})
}

// compileTest reads a test. A test of something broken is left out silently.
func (l *loader) compileTest(d *testDecl) {
	before := l.errors
	o := l.object(d.n, "FeatureTest", "kind", "view", "service", "events", "expect", "description")
	o.text("description")
	t := &Test{Pos: d.n.pos}
	if !l.testSubject(o, t) {
		return
	}
	if e := o.get("events"); e != nil {
		l.testEvents(t, e)
	}
	if e := o.need("expect"); e != nil {
		l.testExpectations(t, e)
	}
	if l.errors == before {
		l.project.Tests = append(l.project.Tests, t)
	}
}

// testSubject looks up what is tested.
func (l *loader) testSubject(o *object, t *Test) bool {
	view, service := o.get("view"), o.get("service")
	switch {
	case (view == nil) == (service == nil):
		l.errorf(o.n.pos, RuleMissingKey, "FeatureTest names either a view or a service")
		return false
	case view != nil:
		v, ok := l.views.lookup(&l.reporter, "view", view)
		if !ok || v.broken {
			return false
		}
		t.View = v.view
	default:
		s, ok := l.services.lookup(&l.reporter, "service", service)
		if !ok || s.broken {
			return false
		}
		t.Service = s.service
	}
	return true
}

// testEvents reads the rows: a list for a view, lists by source for a service.
func (l *loader) testEvents(t *Test, n *node) {
	if t.View != nil {
		t.Events = []SourceRows{l.sourceRows(t.View.Source, n)}
		return
	}
	var sources []*plan.Source
	var names []string
	for _, r := range t.Service.Views {
		if !slices.Contains(sources, r.View.Source) {
			sources = append(sources, r.View.Source)
			names = append(names, r.View.Source.Name)
		}
	}
	o := l.object(n, "FeatureTest.events", names...)
	if o == nil {
		return
	}
	for _, s := range sources {
		if rows := o.get(s.Name); rows != nil {
			t.Events = append(t.Events, l.sourceRows(s, rows))
		}
	}
}

func (l *loader) sourceRows(s *plan.Source, n *node) SourceRows {
	out := SourceRows{Source: s}
	if n.kind != sequenceNode {
		l.errorf(n.pos, RuleTestEvent, "events of source %s must be a list of rows, found %s", s.Name, n.describe())
		return out
	}
	index := map[string]int{}
	for i, c := range s.Columns {
		index[c.Name] = i
	}
	for _, item := range n.items {
		out.Rows = append(out.Rows, l.row(s, index, item))
	}
	return out
}

func (l *loader) row(s *plan.Source, index map[string]int, n *node) Row {
	row := Row{Values: make([]plan.Value, len(s.Columns)), Pos: n.pos}
	if n.kind != mappingNode {
		l.errorf(n.pos, RuleTestEvent, "an event must be a mapping from columns to values, found %s", n.describe())
		return row
	}
	l.uniqueKeys(n)
	for _, e := range n.entries {
		i, ok := index[e.key.text]
		if !ok {
			l.errorf(e.key.pos, RuleTestEvent, "source %s has no column %q%s", s.Name, e.key.text, didYouMean(e.key.text, columnNames(s)))
			continue
		}
		v, err := value(e.value, s.Columns[i].Type)
		if err != nil {
			reportValue(&l.reporter, e.value, RuleTestEvent, err)
		}
		row.Values[i] = v
	}
	return row
}

// subject is what an expectation can name.
type subject struct {
	keys    []plan.Field
	request []plan.Field
	outputs []plan.Field
	index   map[string]int // of outputs
	service bool
}

func (t *Test) subject() subject {
	s := subject{index: map[string]int{}}
	if t.View != nil {
		s.keys = t.View.Entity.Keys
		for _, f := range t.View.Features {
			s.outputs = append(s.outputs, plan.Field{Name: f.Name, Type: f.Type})
		}
	} else {
		s.keys, s.request, s.service = t.Service.Keys, t.Service.Request, true
		for _, o := range t.Service.Outputs() {
			s.outputs = append(s.outputs, plan.Field{Name: o.Name, Type: o.Type})
		}
	}
	for i, f := range s.outputs {
		s.index[f.Name] = i
	}
	return s
}

func (l *loader) testExpectations(t *Test, n *node) {
	if n.kind != sequenceNode {
		l.errorf(n.pos, RuleTestExpectation, "FeatureTest.expect must be a list of expectations, found %s", n.describe())
		return
	}
	s := t.subject()
	for _, item := range n.items {
		t.Expect = append(t.Expect, l.expectation(s, item))
	}
}

func (l *loader) expectation(s subject, n *node) Expectation {
	x := Expectation{Pos: n.pos, Keys: make([]plan.Value, len(s.keys)), Request: make([]plan.Value, len(s.request))}
	if n.kind != mappingNode {
		l.errorf(n.pos, RuleTestExpectation, "an expectation must be a mapping with keys, at and features, found %s", n.describe())
		return x
	}
	l.uniqueKeys(n)
	isKey := map[string]bool{"at": true}
	l.expectedAt(&x, n)
	for i, k := range s.keys {
		isKey[k.Name] = true
		x.Keys[i] = l.expectedKey(n, k)
	}
	for _, e := range n.entries {
		switch name := e.key.text; {
		case isKey[name]:
		case name == "request" && s.service:
			l.expectedRequest(s, &x, e.value)
		default:
			l.expectedFeature(s, &x, e)
		}
	}
	return x
}

func (l *loader) expectedAt(x *Expectation, n *node) {
	at, ok := n.get("at")
	if !ok || at.isNull() {
		l.errorf(n.pos, RuleTestExpectation, "the expectation lacks at:, the time of the read")
		return
	}
	v, err := value(at, plan.T(plan.Timestamp))
	if err != nil {
		reportValue(&l.reporter, at, RuleTestExpectation, err)
	}
	x.At = v.Time()
}

func (l *loader) expectedKey(n *node, k plan.Field) plan.Value {
	key, ok := n.get(k.Name)
	if !ok {
		l.errorf(n.pos, RuleTestExpectation, "the expectation lacks the key %q", k.Name)
		return plan.Value{}
	}
	v, err := value(key, k.Type)
	if err != nil {
		reportValue(&l.reporter, key, RuleTestExpectation, err)
	}
	return v
}

func (l *loader) expectedRequest(s subject, x *Expectation, n *node) {
	names := make([]string, len(s.request))
	for i, f := range s.request {
		names[i] = f.Name
	}
	o := l.object(n, "request", names...)
	if o == nil {
		return
	}
	for i, f := range s.request {
		if v := o.get(f.Name); v != nil {
			parsed, err := value(v, f.Type)
			if err != nil {
				reportValue(&l.reporter, v, RuleTestExpectation, err)
			}
			x.Request[i] = parsed
		}
	}
}

func (l *loader) expectedFeature(s subject, x *Expectation, e entry) {
	i, ok := s.index[e.key.text]
	if isRequest := slices.ContainsFunc(s.request, func(f plan.Field) bool { return f.Name == e.key.text }); !ok && isRequest {
		l.errorf(e.key.pos, RuleTestExpectation, "%q is a request field; write it as request: {%s: …}", e.key.text, e.key.text)
		return
	}
	if !ok {
		l.errorf(e.key.pos, RuleTestExpectation, "there is no feature %q%s", e.key.text, didYouMean(e.key.text, sortedKeys(s.index)))
		return
	}
	f := ExpectedFeature{Index: i, Name: e.key.text, HasValue: true, Pos: e.key.pos}
	v := e.value
	if isLongExpectation(v, s.outputs[i].Type) {
		v, f.HasValue = e.value.get("value")
		f.Status = l.expectedStatus(e.value)
	}
	if f.HasValue {
		parsed, err := value(v, s.outputs[i].Type)
		if err != nil {
			reportValue(&l.reporter, v, RuleTestExpectation, err)
		}
		f.Value = parsed
	}
	x.Features = append(x.Features, f)
}

// isLongExpectation reports whether n is {value, status} rather than a value of
// type t. For a map feature, {value: 3} is a map when 3 cannot be the map itself.
func isLongExpectation(n *node, t plan.Type) bool {
	if n.kind != mappingNode || len(n.entries) == 0 {
		return false
	}
	for _, e := range n.entries {
		if e.key.text != "value" && e.key.text != "status" {
			return false
		}
	}
	if t.Kind != plan.Map {
		return true
	}
	if s, ok := n.get("status"); ok && slices.Contains(Statuses, s.text) {
		return true
	}
	v, ok := n.get("value")
	return ok && (v.kind == mappingNode || v.isNull())
}

func (l *loader) expectedStatus(n *node) string {
	s, ok := n.get("status")
	if !ok || s.isNull() {
		return ""
	}
	status := l.scalarText(s, "status")
	if s.kind == scalarNode && !slices.Contains(Statuses, status) {
		l.errorf(s.pos, RuleTestExpectation, "there is no status %q%s", status, didYouMean(status, Statuses))
	}
	return status
}
