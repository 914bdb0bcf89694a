package offline

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/materializer/report"
)

// manifestFormat numbers the format of manifest.json, docs/formats/trainingset.md.
const manifestFormat = 1

// manifestName is the name of the manifest in the output directory.
const manifestName = "manifest.json"

// Manifest describes what a training set was made from and how. Two runs over the same
// inputs with the same command produce equal manifests.
type Manifest struct {
	Format             int              `json:"format"`
	Project            string           `json:"project"`
	TrainingSet        string           `json:"training_set"`
	Service            string           `json:"service"`
	ServiceFingerprint string           `json:"service_fingerprint"`
	SemanticsVersion   int              `json:"semantics_version"`
	Engines            Engines          `json:"engines"`
	Command            []string         `json:"command"`
	AsOf               string           `json:"as_of"` // "known", "final" or "ledger"
	Spine              SpineManifest    `json:"spine"`
	Sources            []SourceManifest `json:"sources"`
	Views              []ViewManifest   `json:"views"`
	Outputs            []OutputManifest `json:"outputs"`
	Label              *LabelManifest   `json:"label,omitempty"`
	Split              *SplitManifest   `json:"split,omitempty"`
	Files              []FileManifest   `json:"files"`
	ReportFiles        []ReportFile     `json:"report"`
	Warnings           []string         `json:"warnings"` // probable mistakes, one sentence each
	Alarms             []report.Finding `json:"alarms"`   // features that are too good to be true
	Notes              []report.Finding `json:"notes"`    // other things to look at
}

// ReportFile is a file of the report.
type ReportFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Engines are the versions of the program and libraries that computed the values.
type Engines struct {
	Unskew string `json:"unskew"`
	CEL    string `json:"cel"`
	CELEnv string `json:"cel_env"`
	DuckDB string `json:"duckdb"`
}

// InputManifest is a file that was read; size and hash are absent if it is not on this
// machine.
type InputManifest struct {
	Path   string `json:"path"`
	Size   int64  `json:"size,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
}

// SpineManifest describes the rows to predict.
type SpineManifest struct {
	SQL          string          `json:"sql,omitempty"`
	Inputs       []InputManifest `json:"inputs"`
	Time         string          `json:"time"`
	Label        string          `json:"label,omitempty"`
	LabelKnownAt string          `json:"label_known_at,omitempty"`
	Rows         int64           `json:"rows"`
	First        string          `json:"first,omitempty"` // as-of time
	Last         string          `json:"last,omitempty"`
	Served       *ServedManifest `json:"served,omitempty"`
}

// ServedManifest describes a spine of rows that a server answered.
type ServedManifest struct {
	Service      string           `json:"service"`
	From         string           `json:"from,omitempty"` // bounds of the times of the reads; absent without one
	To           string           `json:"to,omitempty"`
	Fingerprints map[string]int64 `json:"fingerprints"` // rows by the fingerprint of the service that answered
	Repeated     int64            `json:"repeated"`     // rows left out because their request had been answered before
	OtherFields  int64            `json:"other_fields"` // rows left out because their version of the service had other keys or request fields
	Unlabelled   int64            `json:"unlabelled"`   // rows without an outcome; left out, or kept without a label
	Outputs      map[string]int64 `json:"outputs"`      // rows of the spine by output whose value is the one that was served; others are computed
}

// SourceManifest counts what happened to a source's rows.
type SourceManifest struct {
	Name        string           `json:"name"`
	SQL         string           `json:"sql,omitempty"`
	Inputs      []InputManifest  `json:"inputs"`
	LogEnd      uint64           `json:"log_end,omitempty"`  // how many records were read from the event log
	LogEnds     []uint64         `json:"log_ends,omitempty"` // position of the last one of each shard, if the log has several
	Rows        int64            `json:"rows"`
	Skipped     map[string]int64 `json:"skipped"` // by reason
	Filled      int64            `json:"filled"`  // rows that filled late columns of an event that came with another row
	Redelivered int64            `json:"redelivered"`
	Conflicts   int64            `json:"conflicts"`
	FirstEvent  string           `json:"first_event,omitempty"` // event time
	LastEvent   string           `json:"last_event,omitempty"`
	TimesIn1970 int64            `json:"times_in_1970,omitempty"` // rows of files whose event time may have been sent in another unit
	FirstIn1970 string           `json:"first_in_1970,omitempty"` // where the first of them is
	Ledger      *LedgerManifest  `json:"ledger,omitempty"`        // of a set as of the ledger
}

// ViewManifest is a view in one role.
type ViewManifest struct {
	Role        string   `json:"role"`
	View        string   `json:"view"`
	Source      string   `json:"source"`
	Fingerprint string   `json:"fingerprint"`
	Keys        []string `json:"keys"`      // columns of the spine
	NullKeys    int64    `json:"null_keys"` // events that belong to no entity
	// RowsWithEvents are the rows of the files whose entity has a visible event.
	RowsWithEvents int64 `json:"rows_with_events"`
	// RowsAfterEvents are the rows of the files all of whose windows begin after the last event
	// of the source.
	RowsAfterEvents int64 `json:"rows_after_events"`
}

// OutputManifest is one column of values.
type OutputManifest struct {
	Name        string `json:"name"`
	Type        string `json:"type"`
	Fingerprint string `json:"fingerprint"`
	RowErrors   int64  `json:"row_errors"` // events left out because the argument or a filter failed
	// The first few of these events, ordered by time, id and the values that the expression read.
	RowErrorSamples []EventFailure   `json:"row_error_samples,omitempty"`
	Statuses        map[string]int64 `json:"statuses"` // rows of the files by status
	// The first few of the rows with the status ERROR, in the order of the spine.
	ErrorSamples []RowFailure `json:"error_samples,omitempty"`
}

// EventFailure is why an event was left out.
type EventFailure struct {
	EventTime string `json:"event_time"`
	EventID   string `json:"event_id,omitempty"`
	Error     string `json:"error"`
}

// RowFailure is why a feature has no value on a row.
type RowFailure struct {
	Row   int64  `json:"row"` // of the spine, from 1
	AsOf  string `json:"as_of"`
	Error string `json:"error"`
}

// LabelManifest describes the labels of the spine and when they are known, by
// docs/semantics.md §8. The last five are empty without label_known_at.
type LabelManifest struct {
	Classes           []string     `json:"classes"`
	Horizon           string       `json:"horizon,omitempty"`
	HorizonFrom       string       `json:"horizon_from,omitempty"` // "declared" or "measured"
	DataEnd           string       `json:"data_end,omitempty"`
	LongestDelay      string       `json:"longest_delay,omitempty"`
	SlowerThanHorizon *LabelCounts `json:"slower_than_horizon,omitempty"`
	NeverKnown        *LabelCounts `json:"never_known,omitempty"` // rows with a null label_known_at
	RowsTooYoung      int64        `json:"rows_too_young"`        // younger than the horizon when the data ends
}

// LabelCounts are rows by the class of their label.
type LabelCounts struct {
	Rows       int64            `json:"rows"`
	ByLabel    map[string]int64 `json:"by_label,omitempty"`
	Unlabelled int64            `json:"unlabelled,omitempty"`
}

// SplitManifest describes where the parts begin and which rows were dropped between them.
type SplitManifest struct {
	Boundaries []BoundaryManifest `json:"boundaries"`
	Embargo    string             `json:"embargo"`
	Folds      []FoldManifest     `json:"folds,omitempty"`
	Holdout    *HoldoutManifest   `json:"holdout,omitempty"`
	Dropped    []DroppedManifest  `json:"dropped"`
}

// FoldManifest is a fold: the files to train and to validate on.
type FoldManifest struct {
	Fold       int      `json:"fold"`
	From       string   `json:"from"` // its boundary
	Train      FoldRows `json:"train"`
	Validation FoldRows `json:"validation"`
	// LabelsKnownLate are the training rows whose label became known at From or later.
	LabelsKnownLate int64 `json:"labels_known_late"`
}

// FoldRows is the files of a fold to train or to validate on, in order of time.
type FoldRows struct {
	Files []string `json:"files"`
	LabelCounts
}

// HoldoutManifest describes which entities are in the holdout and in no other file.
type HoldoutManifest struct {
	Entity   string     `json:"entity"`
	Keys     [][]string `json:"keys"` // columns of the spine that name one
	Fraction float64    `json:"fraction"`
	Seed     string     `json:"seed"`
}

// Why rows are in no part.
const (
	DroppedByHorizon = "label_horizon" // younger than the label horizon at the next boundary
	DroppedAtEnd     = "end_of_data"   // younger than the label horizon when the data ends
	DroppedByEmbargo = "embargo"       // within the embargo after a boundary
)

// DroppedManifest is the rows that were dropped for one reason.
type DroppedManifest struct {
	Why string `json:"why"`
	LabelCounts
}

// BoundaryManifest is the as-of time at which a part begins.
type BoundaryManifest struct {
	Part string `json:"part"`
	From string `json:"from"`
}

// FileManifest is a file of the training set.
type FileManifest struct {
	Name   string `json:"name"`
	Rows   int64  `json:"rows"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	// Labels counts its rows by label; nil without one.
	Labels *LabelCounts `json:"labels,omitempty"`
	// LabelsKnownLate are the rows whose label became known when the next part begins, or later.
	LabelsKnownLate int64 `json:"labels_known_late,omitempty"`
}

func inputs(files []relation.File) []InputManifest {
	out := make([]InputManifest, len(files))
	for i, f := range files {
		out[i] = InputManifest(f)
	}
	return out
}

// ReadManifest reads the manifest of the training set in a directory.
func ReadManifest(dir string) (*Manifest, error) {
	raw, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil {
		return nil, fmt.Errorf("training set: %w", err)
	}
	var m Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("training set in %s: %s: %w", dir, manifestName, err)
	}
	if m.Format != manifestFormat {
		return nil, fmt.Errorf("training set in %s: its manifest has format %d, this program reads %d", dir, m.Format, manifestFormat)
	}
	return &m, nil
}

// write stages the manifest.
func (m *Manifest) write(s *staging) error {
	raw, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	f, err := s.create(manifestName)
	if err != nil {
		return err
	}
	if _, err := f.Write(append(raw, '\n')); err != nil {
		return fmt.Errorf("write %s: %w", manifestName, err)
	}
	return nil
}

// staleFiles lists what an earlier run left in the directory: first its manifest, which must
// be removed before anything else changes, then the files that it names.
func staleFiles(dir string) []string {
	m, err := ReadManifest(dir)
	if err != nil {
		return []string{manifestName}
	}
	stale := []string{manifestName}
	for _, f := range m.Files {
		if filepath.IsLocal(f.Name) {
			stale = append(stale, f.Name)
		}
	}
	for _, f := range m.ReportFiles {
		if filepath.IsLocal(f.Name) {
			stale = append(stale, f.Name)
		}
	}
	return stale
}
