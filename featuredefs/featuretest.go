package featuredefs

import (
	"slices"

	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/featuredefs/yamldoc"
)

// Test is a user's test of a view or a service.
type Test struct {
	View    *plan.View    // nil for a service
	Service *plan.Service // nil for a view
	Events  []SourceRows
	Expect  []Expectation
	Pos     plan.Pos
}

// SourceRows are the events and deliveries of one source, in order.
type SourceRows struct {
	Source *plan.Source
	Rows   []Row
}

// Row is one event: a value, possibly null, for each of the source's Columns.
type Row struct {
	Values  []plan.Value
	Arrived *plan.EventTime // when a delivery was pushed; nil: not a delivery, known as its columns say
	Pos     plan.Pos
}

// Expectation is the expected result of one read as of At.
type Expectation struct {
	Keys     []plan.Value // of the view's entity, or of Service.Keys
	At       plan.EventTime
	Request  []plan.Value // of Service.Request; null where not given
	Features []ExpectedFeature
	Pos      plan.Pos
}

// ExpectedFeature is an expected value, status, or both. A null Value without a Status
// accepts EMPTY and UNKNOWN_ENTITY.
type ExpectedFeature struct {
	Index    int // into View.Features, or Service.Outputs
	Name     string
	HasValue bool
	Value    plan.Value
	Status   string // a status of docs/semantics.md §5; "" if not given
	Pos      plan.Pos
}

// Statuses are the statuses that an expectation can have.
var Statuses = []string{"PRESENT", "EMPTY", "UNKNOWN_ENTITY", "DEFAULTED", "ERROR"}

// testDecl is a FeatureTest document; it is read after the views and services.
type testDecl struct{ n *yamldoc.Node }

func (l *loader) parseTest(n *yamldoc.Node) {
	l.tests = append(l.tests, &testDecl{n})
}

// compileTest reads a test. Tests of definitions with errors are skipped silently.
func (l *loader) compileTest(d *testDecl) {
	before := l.Errors
	o := l.Object(d.n, "FeatureTest", "kind", "view", "service", "events", "deliveries", "expect", "description")
	o.Text("description")
	t := &Test{Pos: d.n.Pos}
	if !l.testSubject(o, t) {
		return
	}
	if e := o.Get("events"); e != nil {
		l.testRows(t, e, "events", l.row)
	}
	if e := o.Get("deliveries"); e != nil {
		l.testRows(t, e, "deliveries", l.delivery)
	}
	if e := o.Need("expect"); e != nil {
		l.testExpectations(t, e)
	}
	if l.Errors == before {
		l.project.Tests = append(l.project.Tests, t)
	}
}

// testSubject resolves the view or service under test.
func (l *loader) testSubject(o *yamldoc.Object, t *Test) bool {
	view, service := o.Get("view"), o.Get("service")
	switch {
	case (view == nil) == (service == nil):
		l.Errorf(o.Node.Pos, yamldoc.RuleMissingKey, "FeatureTest needs either view: or service:")
		return false
	case view != nil:
		v, ok := l.views.lookup(&l.Reader, "view", view)
		if !ok || v.broken {
			return false
		}
		t.View = v.view
	default:
		s, ok := l.services.lookup(&l.Reader, "service", service)
		if !ok || s.broken {
			return false
		}
		t.Service = s.service
	}
	return true
}

// parseRow reads a row; index maps the source's column names to positions.
type parseRow func(s *plan.Source, index map[string]int, n *yamldoc.Node) Row

// testRows reads rows: a list for a view, lists by source for a service.
func (l *loader) testRows(t *Test, n *yamldoc.Node, key string, parse parseRow) {
	if t.View != nil {
		l.sourceRows(t, t.View.Source, n, key, parse)
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
	o := l.Object(n, "FeatureTest."+key, names...)
	if o == nil {
		return
	}
	for _, s := range sources {
		if rows := o.Get(s.Name); rows != nil {
			l.sourceRows(t, s, rows, key, parse)
		}
	}
}

func (l *loader) sourceRows(t *Test, s *plan.Source, n *yamldoc.Node, key string, parse parseRow) {
	if n.Kind != yamldoc.Sequence {
		l.Errorf(n.Pos, RuleTestEvent, "%s of source %s must be a list of rows, found %s", key, s.Name, n.Describe())
		return
	}
	at := slices.IndexFunc(t.Events, func(of SourceRows) bool { return of.Source == s })
	if at < 0 {
		at = len(t.Events)
		t.Events = append(t.Events, SourceRows{Source: s})
	}
	index := map[string]int{}
	for i, c := range s.Columns {
		index[c.Name] = i
	}
	for _, item := range n.Items {
		t.Events[at].Rows = append(t.Events[at].Rows, parse(s, index, item))
	}
}

// delivery reads {at: TIME, event: {…}}.
func (l *loader) delivery(s *plan.Source, index map[string]int, n *yamldoc.Node) Row {
	empty := Row{Values: make([]plan.Value, len(s.Columns)), Pos: n.Pos}
	if n.Kind != yamldoc.Mapping {
		l.Errorf(n.Pos, RuleTestEvent, "a delivery must be a mapping like {at: 2025-01-31T10:00:00Z, event: {…}}, found %s", n.Describe())
		return empty
	}
	o := l.Object(n, "delivery", "at", "event")
	at, event := o.Need("at"), o.Need("event")
	if at == nil || event == nil {
		return empty
	}
	v, _ := l.Value(at, plan.T(plan.Timestamp), RuleTestEvent)
	row, arrived := l.row(s, index, event), v.Time()
	row.Arrived = &arrived
	return row
}

func (l *loader) row(s *plan.Source, index map[string]int, n *yamldoc.Node) Row {
	row := Row{Values: make([]plan.Value, len(s.Columns)), Pos: n.Pos}
	if n.Kind != yamldoc.Mapping {
		l.Errorf(n.Pos, RuleTestEvent, "an event must be a mapping from columns to values, found %s", n.Describe())
		return row
	}
	l.UniqueKeys(n)
	for _, e := range n.Entries {
		i, ok := index[e.Key.Text]
		if !ok {
			l.Errorf(e.Key.Pos, RuleTestEvent, "source %s has no column %q%s", s.Name, e.Key.Text, diag.DidYouMean(e.Key.Text, columnNames(s)))
			continue
		}
		v, _ := l.Value(e.Value, s.Columns[i].Type, RuleTestEvent)
		row.Values[i] = v
	}
	return row
}

// subject is what expectations can refer to.
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

func (l *loader) testExpectations(t *Test, n *yamldoc.Node) {
	if n.Kind != yamldoc.Sequence {
		l.Errorf(n.Pos, RuleTestExpectation, "FeatureTest.expect must be a list of expectations, found %s", n.Describe())
		return
	}
	s := t.subject()
	for _, item := range n.Items {
		t.Expect = append(t.Expect, l.expectation(s, item))
	}
}

func (l *loader) expectation(s subject, n *yamldoc.Node) Expectation {
	x := Expectation{Pos: n.Pos, Keys: make([]plan.Value, len(s.keys)), Request: make([]plan.Value, len(s.request))}
	if n.Kind != yamldoc.Mapping {
		l.Errorf(n.Pos, RuleTestExpectation, "an expectation must be a mapping with keys, at and features, found %s", n.Describe())
		return x
	}
	l.UniqueKeys(n)
	isKey := map[string]bool{"at": true}
	l.expectedAt(&x, n)
	for i, k := range s.keys {
		isKey[k.Name] = true
		x.Keys[i] = l.expectedKey(n, k)
	}
	for _, e := range n.Entries {
		switch name := e.Key.Text; {
		case isKey[name]:
		case name == "request" && s.service:
			l.expectedRequest(s, &x, e.Value)
		default:
			l.expectedFeature(s, &x, e)
		}
	}
	return x
}

func (l *loader) expectedAt(x *Expectation, n *yamldoc.Node) {
	at, ok := n.Get("at")
	if !ok || at.IsNull() {
		l.Errorf(n.Pos, RuleTestExpectation, "the expectation lacks at:, the time of the read")
		return
	}
	v, _ := l.Value(at, plan.T(plan.Timestamp), RuleTestExpectation)
	x.At = v.Time()
}

func (l *loader) expectedKey(n *yamldoc.Node, k plan.Field) plan.Value {
	key, ok := n.Get(k.Name)
	if !ok {
		l.Errorf(n.Pos, RuleTestExpectation, "the expectation lacks the key %q", k.Name)
		return plan.Value{}
	}
	v, _ := l.Value(key, k.Type, RuleTestExpectation)
	return v
}

func (l *loader) expectedRequest(s subject, x *Expectation, n *yamldoc.Node) {
	names := make([]string, len(s.request))
	for i, f := range s.request {
		names[i] = f.Name
	}
	o := l.Object(n, "request", names...)
	if o == nil {
		return
	}
	for i, f := range s.request {
		if v := o.Get(f.Name); v != nil {
			parsed, _ := l.Value(v, f.Type, RuleTestExpectation)
			x.Request[i] = parsed
		}
	}
}

func (l *loader) expectedFeature(s subject, x *Expectation, e yamldoc.Entry) {
	i, ok := s.index[e.Key.Text]
	if isRequest := slices.ContainsFunc(s.request, func(f plan.Field) bool { return f.Name == e.Key.Text }); !ok && isRequest {
		l.Errorf(e.Key.Pos, RuleTestExpectation, "%q is a request field; write it as request: {%s: …}", e.Key.Text, e.Key.Text)
		return
	}
	if !ok {
		l.Errorf(e.Key.Pos, RuleTestExpectation, "there is no feature %q%s", e.Key.Text, diag.DidYouMean(e.Key.Text, sortedKeys(s.index)))
		return
	}
	f := ExpectedFeature{Index: i, Name: e.Key.Text, HasValue: true, Pos: e.Key.Pos}
	v := e.Value
	if isLongExpectation(v, s.outputs[i].Type) {
		v, f.HasValue = e.Value.Get("value")
		f.Status = l.expectedStatus(e.Value)
	}
	if f.HasValue {
		parsed, _ := l.Value(v, s.outputs[i].Type, RuleTestExpectation)
		f.Value = parsed
	}
	x.Features = append(x.Features, f)
}

// isLongExpectation reports whether n is {value, status} rather than a value of type t. For a
// map feature, {value: 3} is a map unless 3 cannot be the map itself.
func isLongExpectation(n *yamldoc.Node, t plan.Type) bool {
	if n.Kind != yamldoc.Mapping || len(n.Entries) == 0 {
		return false
	}
	for _, e := range n.Entries {
		if e.Key.Text != "value" && e.Key.Text != "status" {
			return false
		}
	}
	if t.Kind != plan.Map {
		return true
	}
	if s, ok := n.Get("status"); ok && slices.Contains(Statuses, s.Text) {
		return true
	}
	v, ok := n.Get("value")
	return ok && (v.Kind == yamldoc.Mapping || v.IsNull())
}

func (l *loader) expectedStatus(n *yamldoc.Node) string {
	s, ok := n.Get("status")
	if !ok || s.IsNull() {
		return ""
	}
	status := l.ScalarText(s, "status")
	if s.Kind == yamldoc.Scalar && !slices.Contains(Statuses, status) {
		l.Errorf(s.Pos, RuleTestExpectation, "there is no status %q%s", status, diag.DidYouMean(status, Statuses))
	}
	return status
}
