package plan

// Plan is a compiled project. Slices keep the order of the definitions; lookups
// by name are for control paths.
type Plan struct {
	Project  string
	Entities []*Entity
	Sources  []*Source
	Views    []*View
	Services []*Service
	Training []*TrainingSet
}

// Field is a named, typed, nullable scalar.
type Field struct {
	Name string
	Type Type
}

// Entity is what features are about; Keys are its components, in order.
type Entity struct {
	Name        string
	Keys        []Field
	Description string
	Pos         Pos
}

// KnownKind says how known times arise.
type KnownKind uint8

// The ways a known time arises.
const (
	KnownAtEvent  KnownKind = 0 // k = t
	KnownColumn   KnownKind = 1 // k = the column
	KnownDelay    KnownKind = 2 // k = t + Delay
	KnownSchedule KnownKind = 3 // k = first run of the cron Schedule (UTC) at or after t, plus Delay
)

// Known says when the serving side could first have seen an event or a column.
type Known struct {
	Kind     KnownKind
	Column   string
	Delay    Micros
	Schedule string
}

// SourceColumn is a column of a source.
type SourceColumn struct {
	Field
	Outcome bool   // known only after the fact; never an input of a feature unless Known says when
	Known   *Known // the column's own known time; nil: the row's
}

// Source is a history relation, a stream, or both.
type Source struct {
	Name      string
	From      string // path or glob, relative to the project, or URL; "" with SQL or for a stream-only source
	CSV       CSV    // of From and of pushes
	SQL       string
	Stream    bool
	EventTime string // column
	EventID   string // column or ""
	Known     Known
	Columns   []SourceColumn // all columns any view may read, the time, known-time and id columns among them
	// Paths has the columns that lie elsewhere than under their name in files, and in JSON and
	// Parquet that are pushed: the name of a column there, or of fields of structs, from the outside in.
	// Everywhere else, and in the log, a column is known by its own name.
	Paths       map[string][]string
	SkipBadRows bool
	MaxAhead    Micros     // a pushed event whose visible time lies farther than this after the append time is rejected
	DedupWindow Micros     // how long the ids of pushed events are remembered, at least; 0 of a source without a stream or ids
	Shards      int        // how many shards the log of pushed events has; 0: the default
	MinTime     *EventTime // a row with an earlier event time is bad; nil: none, but see docs/semantics.md §2 about 1970
	Keys        [][]string // the key columns of each view of the project over the source, each list once: a key that is too long makes a bad row
	Description string
	Pos         Pos
	RelationPos Pos            // of from or sql
	ColumnPos   map[string]Pos // where the columns that the source names are named
}

// Column finds a column by name.
func (s *Source) Column(name string) (*SourceColumn, bool) {
	for i := range s.Columns {
		if s.Columns[i].Name == name {
			return &s.Columns[i], true
		}
	}
	return nil, false
}

// CSV says how the rows of CSV files and pushes lie; the zero value is RFC 4180. It is
// about where values are and not what they mean, and so in no fingerprint.
type CSV struct {
	Delimiter byte   // ASCII; 0: a comma, or a tab in files whose names end in .tsv
	Quote     byte   // ASCII; 0: a double quote
	Unquoted  bool   // there is no quote
	Null      string // what a null is written as outside of quotes; "": nothing
}

// Slot is what has to be accumulated about the events of an entity: an
// aggregate function of row expressions, whatever the window. Aggregates that
// differ only in their window share a slot, and so its tiles.
type Slot struct {
	Func     AggFunc
	Arg      *Expr   // nil for count(), latest_time(), earliest_time()
	By       *Expr   // max_by, min_by: the ordered y
	Group    *Expr   // .by(s): the string; Func is then one of count sum mean min max
	Filter   *Expr   // bool; the view's where && the aggregate's own; nil: every event
	N        int     // latest_n, earliest_n: n; top_k: k; distinct_count: cap
	Quantile float64 // approx_quantile
	Type     Type    // result, as in the table of §4 (optional(double) of mean, …)
	// KnownColumns names the read columns that have a known time of their own,
	// sorted: the slot sees an event when the row and all of these are known.
	KnownColumns []string
}

// WindowedAggregate is a slot read over a window: the leaf of outer expressions.
type WindowedAggregate struct {
	Slot   int
	Window Window
}

// Feature is one named value of a view or one derived value of a service.
type Feature struct {
	Name           string
	Expr           *Expr  // outer expression; its Type may be optional
	Type           Type   // what a reader gets: Expr.Type without optional
	Default        *Value // for none; with OnErrorDefault for errors too
	OnErrorDefault bool
	Fingerprint    Fingerprint
	Description    string
	Owner          string
	Tags           []string
	Pos            Pos
}

// RefType is the type of a reference to the feature from another expression:
// T with a default, optional(T) when the feature can be none and has none.
func (f *Feature) RefType() Type {
	if f.Default != nil {
		return f.Type
	}
	return f.Expr.Type
}

// View is a group of features of one entity over one source.
type View struct {
	Name        string
	Entity      *Entity
	Source      *Source
	KeyColumns  []string // columns of the source, one for each key of the entity
	Slots       []Slot
	Aggregates  []WindowedAggregate
	Features    []*Feature
	Order       []int // evaluation order of Features: a feature comes after those it refers to
	Owner       string
	Tags        []string
	Description string
	Fingerprint Fingerprint // of its entity keys, source semantics, slots, windows and features, in order
	Pos         Pos
}

// ViewRef is a view in a service, in one role.
type ViewRef struct {
	View *View
	As   string   // role; the view's name when not renamed
	Keys []string // for each key of the entity, the request key (and spine column) that holds it
}

// ServiceFeature is a view's feature as a service returns it.
type ServiceFeature struct {
	Name    string // "role.feature"
	Ref     int    // into Service.Views
	Feature int    // into View.Features
}

// Service is what one model reads. Its outputs are Features, then Derived.
type Service struct {
	Name     string
	Views    []ViewRef
	Features []ServiceFeature
	Request  []Field
	Derived  []*Feature
	Order    []int   // evaluation order of Derived
	Keys     []Field // the distinct request keys of Views, in order of first use
	// Predictions and Outcomes are the sources of what models predicted from answers, and of what came of requests; nil without.
	Predictions, Outcomes *Source
	Description           string
	Fingerprint           Fingerprint
	Pos                   Pos
}

// Output is one column a service returns.
type Output struct {
	Name        string
	Type        Type
	Fingerprint Fingerprint
}

// Outputs lists what the service returns, in order.
func (s *Service) Outputs() []Output {
	out := make([]Output, 0, len(s.Features)+len(s.Derived))
	for _, f := range s.Features {
		vf := s.Views[f.Ref].View.Features[f.Feature]
		out = append(out, Output{f.Name, vf.Type, vf.Fingerprint})
	}
	for _, d := range s.Derived {
		out = append(out, Output{d.Name, d.Type, d.Fingerprint})
	}
	return out
}

// TrainingSet is a point-in-time join of a service's features onto a spine.
type TrainingSet struct {
	Name    string
	Service *Service
	Spine   Spine
	Split   *Split
	AsOf    string // "ledger": events count from when servers recorded that serving saw them; "" or "known": as declared
	Pos     Pos
}

// Spine lists the rows to predict: keys, request fields, the as-of time, a label.
type Spine struct {
	From, SQL    string
	CSV          CSV // of From
	Time         string
	Label        string         // "" without
	LabelKnownAt string         // "" without; of Outcomes if Served
	Served       bool           // the rows are those of the served log, with what was answered; without From, SQL and Time
	Outcomes     string         // if Served: path or glob of a file with the labels; "": the outcomes that are logged
	RelationPos  Pos            // of from or sql
	ColumnPos    map[string]Pos // where the columns that the spine names are named
}

// Split is by time: fractions of the rows that stay, adding up to 1, or Folds and what is
// kept from them for Test. At each boundary rows are dropped before it by the label horizon
// and behind it by the embargo.
type Split struct {
	Train, Validation, Test float64
	Folds                   int // 0: none
	Holdout                 *Holdout
	Embargo                 Micros
	LabelHorizon            Micros
	HorizonDeclared         bool // or LabelHorizon is to be measured
}

// MostFolds is how many folds a split can have.
const MostFolds = 16

// Holdout keeps the rows of some entities in a part of their own.
type Holdout struct {
	Entity   string
	Fraction float64 // of the entities
	Seed     string  // another one draws others
	Pos      Pos     // of the entity's name
}

// Lookup helpers for control paths.

// View finds a view by name.
func (p *Plan) View(name string) (*View, bool) {
	return find(p.Views, name, func(v *View) string { return v.Name })
}

// Service finds a service by name.
func (p *Plan) Service(name string) (*Service, bool) {
	return find(p.Services, name, func(s *Service) string { return s.Name })
}

// Source finds a source by name.
func (p *Plan) Source(name string) (*Source, bool) {
	return find(p.Sources, name, func(s *Source) string { return s.Name })
}

// TrainingSet finds a training set by name.
func (p *Plan) TrainingSet(name string) (*TrainingSet, bool) {
	return find(p.Training, name, func(t *TrainingSet) string { return t.Name })
}

func find[T any](list []*T, name string, of func(*T) string) (*T, bool) {
	for _, x := range list {
		if of(x) == name {
			return x, true
		}
	}
	return nil, false
}

// Columns of the sources Service.Predictions and Service.Outcomes, besides those that the service declares.
const (
	RequestID    = "request_id"  // of the request that was answered
	RequestRow   = "request_row" // from 0
	PredictionID = "prediction_id"
	PredictedAt  = "predicted_at"
	ModelColumn  = "model" // of Predictions only
	OutcomeID    = "outcome_id"
	ObservedAt   = "observed_at"
)
