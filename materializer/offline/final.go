package offline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/materializer/report"
)

// knownPattern is the pattern of the names of folders with the known values of a final training set.
const knownPattern = ".known-*" + partialSuffix

// trainKnown trains the set with the values that were known so much time after each row's, in a
// folder below the output directory, which the caller removes.
func (t *trainer) trainKnown(ctx context.Context, after plan.Micros) (dir string, err error) {
	if dir, err = os.MkdirTemp(t.Out, knownPattern); err != nil {
		return "", err
	}
	c := t.Config
	c.Final, c.Ledger, c.Strict, c.WithStatus, c.Out, c.Garbage = false, nil, false, false, dir, nil
	known := newTrainer(c)
	known.early = after
	known.until = map[string]logpos.Vector{}
	for _, s := range t.sources {
		known.until[s.plan.Name] = *s.history.Until
	}
	_, err = known.train(ctx)
	return dir, err
}

// trainComparisons trains what a set is compared with that is final or as of the ledger: what was known at each row's time, as the
// definitions say, and for a final one what was known once its label was, if the spine says when that is.
func (t *trainer) trainComparisons(ctx context.Context) (err error) {
	if t.known, err = t.trainKnown(ctx, 0); err != nil || !t.Final || t.partition.horizon.span == 0 {
		return err
	}
	t.labelled, err = t.trainKnown(ctx, t.partition.horizon.span)
	return err
}

// changes compares the files with the sets of trainComparisons.
func (t *trainer) changes(ctx context.Context, m *Manifest, parts []*part) (c report.Changes, err error) {
	if t.asOfLedger() {
		for _, o := range t.shape.Outputs {
			var sources []string
			for _, role := range o.Views {
				sources = append(sources, t.roles[role].ref.View.Source.Name)
			}
			c.Delays = append(c.Delays, m.delayNote(sources))
		}
		c.Declared, err = t.changedLater(ctx, t.known, parts)
		return c, err
	}
	if !t.Final {
		return c, nil
	}
	if c.Later, err = t.changedLater(ctx, t.known, parts); err != nil || t.labelled == "" {
		return c, err
	}
	c.Horizon = t.partition.horizon.span
	c.AfterLabel, err = t.changedLater(ctx, t.labelled, parts)
	return c, err
}

// changedLater counts, for each output, the rows of the files whose final value differs from the
// known one in dir.
func (t *trainer) changedLater(ctx context.Context, dir string, parts []*part) ([]int64, error) {
	outputs := t.Set.Service.Outputs()
	counts, fields := make([]string, len(outputs)), make([]plan.Field, len(outputs))
	for i, o := range outputs {
		name := relation.Ident(o.Name)
		fields[i] = plan.Field{Name: fmt.Sprintf("n%d", i), Type: plan.T(plan.Int)}
		counts[i] = fmt.Sprintf("count(*) FILTER (final.%s IS DISTINCT FROM known.%s) AS n%d", name, name, i)
	}
	changed := make([]int64, len(outputs))
	for _, p := range parts {
		final, err := filepath.Abs(p.file.file.Name())
		known, err2 := filepath.Abs(filepath.Join(dir, p.file.name))
		if err := errors.Join(err, err2); err != nil {
			return nil, err
		}
		rel := relation.Relation{Owner: "comparison with known values", SQL: fmt.Sprintf("SELECT %s FROM read_parquet(%s) AS final POSITIONAL JOIN read_parquet(%s) AS known",
			strings.Join(counts, ", "), relation.Quote(final), relation.Quote(known))}
		err = t.Reader.Scan(ctx, rel, fields, func(b *relation.Batch) error {
			for i := range changed {
				changed[i] += b.Cols[i].Int[0]
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return changed, nil
}
