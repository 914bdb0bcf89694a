// Package perturb checks that features do not depend on the future: it changes, removes and adds
// events that become known at or after the times of some rows of a training set, computes these
// rows again, and compares the values bit by bit.
package perturb

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/materializer/offline"
)

// Rule is the rule that a difference violates.
var Rule = diag.Rule{ID: "future-perturbation", Severity: diag.Error, Purpose: "A value does not change with what becomes known at its time or later."}

// Config is the parameters of a check.
type Config struct {
	Reader *relation.Reader
	Log    eventlog.Log // pushed events, which are not changed; nil: none
	Set    *plan.TrainingSet
	Rows   int    // number of spine rows, drawn at random
	Seed   uint64 // of the random numbers
	Memory int64  // see offline.Config
	Engine plan.Engine

	// early is for tests: events known by this much before a row's time are changed too, which
	// must be found.
	early plan.Micros
}

// Result is the outcome of a check.
type Result struct {
	TrainingSet string       `json:"training_set"`
	Rows        int          `json:"rows"`    // spine rows computed again
	Values      int          `json:"values"`  // values compared
	Kept        int64        `json:"kept"`    // source rows left unchanged
	Changed     int64        `json:"changed"` // source rows of which the row or a column is known later
	Removed     int64        `json:"removed"`
	Added       int64        `json:"added"`
	Different   int          `json:"different"` // values that differ
	First       []Difference `json:"first"`     // the first of them
}

// Difference is a value that changed with the future.
type Difference struct {
	Row     int64    `json:"row"` // of the spine, from 1
	At      string   `json:"at"`
	Column  string   `json:"column"`
	Before  string   `json:"before"`
	After   string   `json:"after"`
	Feature string   `json:"feature"`
	Pos     plan.Pos `json:"-"`
}

// Text is the difference as a sentence.
func (d *Difference) Text(set string) string {
	return fmt.Sprintf("%s of training set %s depends on the future: in row %d of the spine, as of %s, it is %s; it becomes %s when events that became known at that time or later are changed",
		d.Column, set, d.Row, d.At, d.Before, d.After)
}

// rounds is the number of times that history is perturbed, each time for other rows: the fewer
// rows of a round share an entity, the closer to each row are the changes.
const rounds = 3

// maxDifferences is the largest number of differences that are listed.
const maxDifferences = 5

// Check computes rows of a training set with the actual future and with a changed one.
func Check(ctx context.Context, c Config) (*Result, error) {
	dir, err := os.MkdirTemp("", "unskew-perturb-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	r := &run{Config: c, dir: dir, random: rand.New(rand.NewPCG(c.Seed, 0)), result: &Result{TrainingSet: c.Set.Name, First: []Difference{}}}
	if err := r.check(ctx); err != nil {
		return nil, fmt.Errorf("perturbing training set %s: %w", c.Set.Name, err)
	}
	return r.result, nil
}

type run struct {
	Config
	dir    string
	random *rand.Rand
	result *Result
}

func (r *run) check(ctx context.Context) error {
	n, err := r.Reader.Count(ctx, relation.SpineRelation(r.Set.Spine))
	if err != nil || n == 0 {
		return err
	}
	rows := draw(r.random, n, r.Rows)
	for i := range rounds {
		var of []int64
		for j := i; j < len(rows); j += rounds {
			of = append(of, rows[j])
		}
		if len(of) == 0 {
			continue
		}
		slices.Sort(of)
		if err := r.round(ctx, of); err != nil {
			return err
		}
	}
	slices.SortStableFunc(r.result.First, func(a, b Difference) int { return int(a.Row - b.Row) })
	r.result.First = r.result.First[:min(maxDifferences, len(r.result.First))]
	return nil
}

// draw draws k distinct numbers below n, in random order.
func draw(random *rand.Rand, n int64, k int) []int64 {
	if n <= int64(k) {
		k = int(n)
	}
	seen := map[int64]bool{}
	var out []int64
	for len(out) < k {
		if x := random.Int64N(n); !seen[x] {
			seen[x] = true
			out = append(out, x)
		}
	}
	return out
}

// round checks some rows of the spine.
func (r *run) round(ctx context.Context, rows []int64) error {
	s, err := r.readSpine(ctx, rows)
	if err != nil {
		return err
	}
	as := *r.Set
	as.Split = nil
	as.Spine.From, as.Spine.SQL, as.Spine.CSV = s.path, "", plan.CSV{}
	before, err := r.train(ctx, &as, "before")
	if err != nil {
		return err
	}
	changed, err := r.perturb(ctx, &as, s)
	if err != nil {
		return err
	}
	after, err := r.train(ctx, changed, "after")
	if err != nil {
		return err
	}
	r.result.Rows += len(rows)
	return r.compare(before, after, s)
}

func (r *run) train(ctx context.Context, set *plan.TrainingSet, name string) (*values, error) {
	out := filepath.Join(r.dir, name)
	if err := os.RemoveAll(out); err != nil {
		return nil, err
	}
	_, err := offline.Train(ctx, offline.Config{Reader: r.Reader, Log: r.Log, Set: set, Out: out, WithStatus: true, Memory: r.Memory, Engine: r.Engine})
	if err != nil {
		return nil, err
	}
	return readValues(ctx, r.Reader, filepath.Join(out, "data.parquet"))
}

// compare records the values that differ.
func (r *run) compare(before, after *values, s *spine) error {
	if before.rows != after.rows || before.rows != len(s.rows) {
		return fmt.Errorf("%d spine rows gave %d rows before and %d rows after the change", len(s.rows), before.rows, after.rows)
	}
	for c, name := range before.names {
		r.result.Values += before.rows
		for i := range before.rows {
			if before.texts[c][i] == after.texts[c][i] {
				continue
			}
			r.result.Different++
			if len(r.result.First) < rounds*maxDifferences {
				d := Difference{Row: s.rows[i] + 1, At: s.at[i].String(), Column: name, Before: before.texts[c][i], After: after.texts[c][i]}
				d.Feature, d.Pos = r.definition(name)
				r.result.First = append(r.result.First, d)
			}
		}
	}
	return nil
}
