// Package training runs the building of training sets as jobs: a bounded queue that is kept
// on disk and survives a restart, and results that are kept for a limited time.
//
// The work of a job is a function of the configuration; the package knows neither definitions
// nor the engine.
package training

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Spec describes the requested training set: one of the project, or a service and a spine.
// Equal specs are the same request.
type Spec struct {
	TrainingSet  string `json:"training_set,omitempty"`
	Service      string `json:"service,omitempty"`
	Spine        string `json:"spine,omitempty"`      // the name returned by StoreSpine
	SpineFrom    string `json:"spine_from,omitempty"` // a file, relative to the project
	Time         string `json:"time,omitempty"`
	Label        string `json:"label,omitempty"`
	LabelKnownAt string `json:"label_known_at,omitempty"`
	WithStatus   bool   `json:"with_status,omitempty"`
	Final        bool   `json:"final,omitempty"`
	Ledger       bool   `json:"ledger,omitempty"`
}

// State is the state of a job; its values are stored in the job's file.
type State string

// The states; the last three are final.
const (
	Queued    State = "queued"
	Running   State = "running"
	Succeeded State = "succeeded"
	Failed    State = "failed"
	Canceled  State = "canceled"
)

// Ended reports whether the state is final.
func (s State) Ended() bool { return s == Succeeded || s == Failed || s == Canceled }

// Progress is how far a running job is within a phase; Total is 0 if it is not known.
type Progress struct {
	Phase       string
	Done, Total int64
	Rate        float64       // of Done, per second
	Left        time.Duration // until the phase ends at that rate; 0: not known
}

// Job is a requested training set and its state.
type Job struct {
	ID       string    `json:"id"`
	Spec     Spec      `json:"spec"`
	State    State     `json:"state"`
	Error    string    `json:"error,omitempty"` // why it failed
	Created  time.Time `json:"created"`
	Started  time.Time `json:"started,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`
	Starts   int       `json:"starts,omitempty"` // how often it was begun, without those that a stopping server interrupted
	Expires  time.Time `json:"expires,omitzero"`
	Progress Progress  `json:"-"`

	bytes int64 // of the result
}

// The errors of a queue.
var (
	ErrNotFound = errors.New("there is no such training set; it may have expired, or made room for newer ones")
	ErrConflict = errors.New("a training set with this id exists, but its request was a different one")
	ErrFull     = errors.New("the queue of training sets is full")
	ErrNotReady = errors.New("the training set is not finished")
	ErrNoRoom   = errors.New("the disk on which the server keeps training sets is full")
)

// noRoom makes the error of a full disk an ErrNoRoom; others are as they were.
func noRoom(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrNoRoom, err)
	}
	return err
}

// InvalidError is the error of a request that can never succeed.
type InvalidError struct{ Reason string }

func (e *InvalidError) Error() string { return e.Reason }

func invalid(format string, args ...any) error { return &InvalidError{fmt.Sprintf(format, args...)} }

const jobFile = "job.json"

// save writes the job's file atomically.
func (j *Job) save(dir string) error {
	text, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, jobFile)
	tmp, err := os.CreateTemp(dir, jobFile+".*")
	if err != nil {
		return noRoom(fmt.Errorf("save training set %s: %w", j.ID, err))
	}
	_, err = tmp.Write(append(text, '\n'))
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(noRoom(fmt.Errorf("save training set %s: %w", j.ID, err)), os.Remove(tmp.Name()))
	}
	return nil
}

func loadJob(dir string) (*Job, error) {
	text, err := os.ReadFile(filepath.Join(dir, jobFile))
	if err != nil {
		return nil, err
	}
	j := &Job{}
	if err := json.Unmarshal(text, j); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, jobFile), err)
	}
	return j, nil
}
