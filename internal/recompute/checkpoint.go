package recompute

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/logpos"
)

// Checkpoint keeps what a run has counted in a file, after each pass, so that another run about the same
// can go on from there.
type Checkpoint struct {
	Path string
	// Of identifies what the run is about besides Config: the contents of files and builds.
	Of [sha256.Size]byte
}

// checkpointRows is how many rows a pass has at most if a run has a checkpoint.
const checkpointRows = 2_000_000

const checkpointFormat = 1

// saved is the file.
type saved struct {
	Format int                      `json:"format"`
	About  string                   `json:"about"` // what the run is about, hashed
	Passes int                      `json:"passes"`
	Done   int                      `json:"done"`
	Ends   map[string]logpos.Vector `json:"ends"` // of the logs, for all passes
	Tally  savedTally               `json:"tally"`
}

// savedTally is a tally. Only what encoding/json would lose has another form.
type savedTally struct {
	Rows      int64                   `json:"rows"`
	First     plan.EventTime          `json:"first"`
	Last      plan.EventTime          `json:"last"`
	Left      map[Reason]int64        `json:"left"`
	LeftKnown int64                   `json:"left_known"`
	Days      map[int64][]savedCounts `json:"days"`
	Hours     map[int64]savedCounts   `json:"hours"`
	Cohorts   map[string]savedCounts  `json:"cohorts"`
	Features  map[int]savedDiffering  `json:"features"`
	Entities  map[string]int64        `json:"entities"`
	Examples  []savedExample          `json:"examples"`
}

type savedCounts struct {
	Compute Tally `json:"compute"`
	Known   Tally `json:"known"`
}

type savedDiffering struct {
	Statuses map[string]int64 `json:"statuses"`
	Distance Distance         `json:"distance"`
	Sum      float64          `json:"sum"`
}

type savedExample struct {
	Output  int            `json:"output"`
	At      plan.EventTime `json:"at"`
	Example Example        `json:"example"`
}

func (c *counts) saved() savedCounts { return savedCounts{c.compute, c.known} }
func (c savedCounts) counts() counts { return counts{c.Compute, c.Known} }
func (e *savedExample) key() exampleKey {
	return exampleKey{e.Output, e.Example.Cause, e.Example.Comparison}
}
func (d *differing) saved() savedDiffering {
	return savedDiffering{d.statuses, d.distance, d.distance.sum}
}
func (d savedDiffering) differing() *differing {
	x := &differing{statuses: d.Statuses, distance: d.Distance}
	x.distance.sum = d.Sum
	return x
}

// saved is the tally as it is stored.
func (t *tally) saved() savedTally {
	s := savedTally{Rows: t.rows, First: t.first, Last: t.last, Left: t.left, LeftKnown: t.leftKnown, Days: map[int64][]savedCounts{}, Hours: map[int64]savedCounts{},
		Cohorts: map[string]savedCounts{}, Features: map[int]savedDiffering{}, Entities: t.entities}
	for day, list := range t.days {
		for i := range list {
			s.Days[day] = append(s.Days[day], list[i].saved())
		}
	}
	for hour, c := range t.hours {
		s.Hours[hour] = c.saved()
	}
	for value, c := range t.cohorts {
		s.Cohorts[value] = c.saved()
	}
	for i, d := range t.features {
		s.Features[i] = d.saved()
	}
	for key, list := range t.examples {
		for i := range list {
			s.Examples = append(s.Examples, savedExample{key.output, list[i].at, list[i]})
		}
	}
	return s
}

// tally is the stored tally.
func (s *savedTally) tally() *tally {
	t := newTally()
	t.rows, t.first, t.last, t.leftKnown = s.Rows, s.First, s.Last, s.LeftKnown
	if s.Left != nil {
		t.left = s.Left
	}
	if s.Entities != nil {
		t.entities = s.Entities
	}
	for day, list := range s.Days {
		for i := range list {
			t.days[day] = append(t.days[day], list[i].counts())
		}
	}
	for hour, c := range s.Hours {
		x := c.counts()
		t.hours[hour] = &x
	}
	for value, c := range s.Cohorts {
		x := c.counts()
		t.cohorts[value] = &x
	}
	for i, d := range s.Features {
		t.features[i] = d.differing()
	}
	for i := range s.Examples {
		e := &s.Examples[i]
		e.Example.at = e.At
		t.examples[e.key()] = append(t.examples[e.key()], e.Example)
	}
	return t
}

// about identifies what a run is about.
func (r *run) about() string {
	h := sha256.New()
	c := &r.cfg
	fmt.Fprintf(h, "%x %s %d %d %d %q\n", c.Checkpoint.Of, c.Service.Fingerprint, c.From, c.To, c.OneIn, c.By)
	for i := range c.Units {
		fmt.Fprintf(h, "%d %s\n", c.Units[i].Rows, c.Units[i].Fingerprint)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// resume reads the checkpoint; done is nil if there is none.
func (r *run) resume() (done *saved, err error) {
	if r.cfg.Checkpoint == nil {
		return nil, nil
	}
	path := r.cfg.Checkpoint.Path
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &done); err != nil || done.Format != checkpointFormat || done.Passes < 1 || done.Passes > maxPasses || done.Done > done.Passes {
		return nil, fmt.Errorf("%s has no interrupted run, or one of another version; name a file that does not exist yet", path)
	}
	if done.About != r.about() {
		return nil, fmt.Errorf("the interrupted run in %s is about other rows, or its definitions, its files or the live states have changed; remove it to begin anew", path)
	}
	return done, nil
}

// save stores what was counted in the passes that are done.
func (r *run) save(passes, done int) error {
	if r.cfg.Checkpoint == nil {
		return nil
	}
	all := newTally()
	for _, t := range r.tallies {
		all.merge(t)
	}
	r.tallies = []*tally{all}
	text, err := json.Marshal(saved{checkpointFormat, r.about(), passes, done, r.events.Ends, all.saved()})
	if err != nil {
		return err
	}
	path := r.cfg.Checkpoint.Path
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// finished removes the checkpoint.
func (r *run) finished() error {
	if r.cfg.Checkpoint == nil {
		return nil
	}
	if err := os.Remove(r.cfg.Checkpoint.Path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// finite is the nearest finite number, which JSON has.
func finite(x float64) float64 { return max(-math.MaxFloat64, min(x, math.MaxFloat64)) }
