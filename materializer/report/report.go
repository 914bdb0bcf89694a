package report

import (
	"encoding/json"
	"math"
	"strconv"
)

// Format numbers the format of report.json.
const Format = 1

// Names of the files.
const (
	JSONName = "report.json"
	HTMLName = "report.html"
)

// Report is the content of report.json. It depends only on the training set.
type Report struct {
	Format             int          `json:"format"`
	Project            string       `json:"project"`
	TrainingSet        string       `json:"training_set"`
	Service            string       `json:"service"`
	ServiceFingerprint string       `json:"service_fingerprint"`
	AsOf               string       `json:"as_of"`
	Rows               int64        `json:"rows"`       // of the files
	SpineRows          int64        `json:"spine_rows"` // including dropped rows
	First              string       `json:"first"`      // as-of time of the spine
	Last               string       `json:"last"`       //
	Alarms             []Finding    `json:"alarms"`     // features that are too good to be true
	Notes              []Finding    `json:"notes"`      // other findings to look at
	Warnings           []string     `json:"warnings"`   // those of the manifest
	Label              *Label       `json:"label"`      // null if there is none
	Parts              []Part       `json:"parts"`      // the files
	Folds              []Fold       `json:"folds,omitempty"`
	Holdout            *Holdout     `json:"holdout,omitempty"`
	Dropped            []Rows       `json:"dropped"`  // by reason
	Timeline           []Moment     `json:"timeline"` // rows of the spine by time
	Entities           []EntityRows `json:"entities"` // which entities are in which part
	Features           []Feature    `json:"features"`
}

// Finding is something that a person should look at.
type Finding struct {
	Kind       string `json:"kind"`
	Feature    string `json:"feature,omitempty"`
	Definition string `json:"definition,omitempty"` // file:line
	Text       string `json:"text"`                 // a sentence
}

// Rows are rows by the class of their label.
type Rows struct {
	Name       string           `json:"name"` // the part, or the reason why they were dropped
	Rows       int64            `json:"rows"`
	ByLabel    map[string]int64 `json:"by_label,omitempty"`
	Unlabelled int64            `json:"unlabelled,omitempty"`
}

// Part is a file of the training set.
type Part struct {
	Rows
	First           string `json:"first,omitempty"` // as-of time
	Last            string `json:"last,omitempty"`
	LabelsKnownLate int64  `json:"labels_known_late"`
}

// Fold is the rows on which a model that is put into use at From is trained and validated.
type Fold struct {
	Fold            int    `json:"fold"`
	From            string `json:"from"`
	Train           Rows   `json:"train"`
	Validation      Rows   `json:"validation"`
	LabelsKnownLate int64  `json:"labels_known_late"`
}

// Holdout describes the entities whose rows are held out.
type Holdout struct {
	Entity   string     `json:"entity"`
	Keys     [][]string `json:"keys"`
	Fraction Number     `json:"fraction"`
}

// Label describes the labels and when they are known.
type Label struct {
	Column       string       `json:"column"`
	Classes      []string     `json:"classes"`
	Ordered      bool         `json:"ordered"` // the classes are numbers, or false and true
	Horizon      string       `json:"horizon,omitempty"`
	HorizonFrom  string       `json:"horizon_from,omitempty"`
	DataEnd      string       `json:"data_end,omitempty"`
	RowsTooYoung int64        `json:"rows_too_young"`
	Delays       []ClassDelay `json:"delays,omitempty"` // only with label_known_at
}

// ClassDelay is the delay in seconds from a row's time until its label is known, for a class.
type ClassDelay struct {
	Class             string    `json:"class"` // "" for rows without a label
	Rows              int64     `json:"rows"`
	Quantiles         Quantiles `json:"quantiles,omitempty"`
	NeverKnown        int64     `json:"never_known"`
	SlowerThanHorizon int64     `json:"slower_than_horizon"`
}

// Moment is the rows of an interval of time; all intervals have the same length.
type Moment struct {
	From    string           `json:"from"`
	Rows    int64            `json:"rows"`
	ByPart  map[string]int64 `json:"by_part,omitempty"` // without dropped rows
	ByLabel map[string]int64 `json:"by_label,omitempty"`
}

// EntityRows counts the entities in each part.
type EntityRows struct {
	Entity string         `json:"entity"`
	Keys   []string       `json:"keys"` // columns of the spine
	Parts  []EntityCount  `json:"parts"`
	Shared []SharedEntity `json:"shared"`
}

// EntityCount is the entities of a part.
type EntityCount struct {
	Part     string `json:"part"`
	Entities int64  `json:"entities"`
	NoKey    int64  `json:"rows_without_key"`
}

// SharedEntity is the entities of a part that are also in an earlier one.
type SharedEntity struct {
	Part     string `json:"part"`
	With     string `json:"with"`
	Entities int64  `json:"entities"`
	Rows     int64  `json:"rows"` // rows of the part with such an entity
}

// Feature is an output of the service on the rows of the files.
type Feature struct {
	Name           string                      `json:"name"`
	Type           string                      `json:"type"`
	Measured       string                      `json:"measured"` // "number", "age_seconds", "size" or "text"
	Definition     string                      `json:"definition"`
	Statuses       map[string]int64            `json:"statuses"`
	StatusesByPart map[string]map[string]int64 `json:"statuses_by_part"`
	Rates
	Values
	AUC              Number       `json:"auc"` // of this feature alone; null if there is none
	AUCLower         Number       `json:"auc_lower"`
	Information      Number       `json:"mutual_information"` // share of the label's entropy
	InformationLower Number       `json:"mutual_information_lower"`
	Ranges           []Range      `json:"ranges,omitempty"` // of numbers
	Cohorts          []CohortRows `json:"cohorts"`

	constant bool // all values are equal
}

// Range is the rows whose numbers are in a range.
type Range struct {
	From    Number  `json:"from"`
	To      Number  `json:"to"`
	Rows    int64   `json:"rows"`
	ByClass []int64 `json:"by_class,omitempty"` // in the order of the label's classes
}

// Rates are shares of rows.
type Rates struct {
	Rows        int64  `json:"rows"`
	NullRate    Number `json:"null_rate"` // without a value, for any reason
	DefaultRate Number `json:"default_rate"`
	ErrorRate   Number `json:"error_rate"`
}

// Values describes the distribution of values.
type Values struct {
	NaN         int64       `json:"nan,omitempty"`
	Quantiles   Quantiles   `json:"quantiles,omitempty"` // of numbers
	Categories  *Categories `json:"categories,omitempty"`
	Correlation Number      `json:"correlation"` // Spearman's, with the label
}

// CohortRows is the rows of a cohort: "no_events", "few_events" or "more_events".
type CohortRows struct {
	Cohort string `json:"cohort"`
	Rates
	Values
}

// Categories are texts with their frequencies.
type Categories struct {
	Distinct int64      `json:"distinct"` // a lower bound unless Exact
	Exact    bool       `json:"exact"`    // if false, the numbers of rows are estimates
	Top      []Category `json:"top"`
	Rare     *Rare      `json:"rare,omitempty"`
}

// Category is a text.
type Category struct {
	Value string `json:"value"`
	Rows  int64  `json:"rows"`
}

// Rare is the texts that occur in fewer than Below rows.
type Rare struct {
	Below    int64    `json:"below"`
	Values   int64    `json:"values"`
	Rows     int64    `json:"rows"`
	Examples []string `json:"examples"`
}

// Quantile is the value that a share Of of the values does not exceed.
type Quantile struct {
	Of    float64
	Value float64
}

// Quantiles are quantiles in ascending order; in JSON they are an object.
type Quantiles []Quantile

// MarshalJSON writes an object.
func (q Quantiles) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, x := range q {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(out, '"'), strconv.FormatFloat(x.Of, 'g', -1, 64)...)
		out = append(out, `":`...)
		out = append(out, Number(x.Value).json()...)
	}
	return append(out, '}'), nil
}

// Number is a number with six significant digits; NaN is null.
type Number float64

// MarshalJSON writes null for NaN and names for infinities, because JSON has neither.
func (n Number) MarshalJSON() ([]byte, error) { return n.json(), nil }

func (n Number) json() []byte {
	switch x := float64(n); {
	case math.IsNaN(x):
		return []byte("null")
	case math.IsInf(x, 1):
		return []byte(`"Infinity"`)
	case math.IsInf(x, -1):
		return []byte(`"-Infinity"`)
	}
	return []byte(n.text())
}

func (n Number) text() string {
	if x := math.Abs(float64(n)); x >= 1e6 && x < 1e15 {
		return strconv.FormatFloat(math.Trunc(float64(n)), 'f', -1, 64)
	}
	return strconv.FormatFloat(float64(n), 'g', 6, 64)
}

// JSON is the content of report.json.
func (r *Report) JSON() ([]byte, error) {
	raw, err := json.MarshalIndent(r, "", " ")
	return append(raw, '\n'), err
}
