package offline

import (
	"context"
	"errors"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/relation"
)

// Problem is a reason why training would refuse a relation, found without reading all of it.
type Problem struct {
	Column string // the column with the problem; "" for the relation as a whole
	Err    error
}

// CheckColumns finds declared columns that a relation does not have or has with another type.
func CheckColumns(ctx context.Context, r *relation.Reader, rel relation.Relation, columns []plan.Field) []Problem {
	all := r.Check(ctx, rel, columns)
	if all == nil {
		return nil
	}
	if err := r.Check(ctx, rel, nil); err != nil {
		return []Problem{{"", err}}
	}
	var found []Problem
	for _, c := range columns {
		if err := r.Check(ctx, rel, []plan.Field{c}); err != nil {
			found = append(found, Problem{c.Name, err})
		}
	}
	if len(found) == 0 {
		found = []Problem{{"", all}}
	}
	return found
}

// CheckSpine finds what training refuses in a spine: columns that are missing, have
// another type, or have the name of an output. If the columns are right, it reads about
// the given number of rows from the start.
func CheckSpine(ctx context.Context, r *relation.Reader, set *plan.TrainingSet, rows int64) (found []Problem, badRow error) {
	s := newSpine(set)
	found = CheckColumns(ctx, r, s.rel, s.fields)
	if len(found) == 0 || found[0].Column != "" {
		if err := s.checkLabel(ctx, r, set.Spine); err != nil {
			found = append(found, Problem{set.Spine.Label, err})
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	if err := s.checkLayout(ctx, r); err != nil {
		return []Problem{{"", err}}, nil
	}
	return nil, s.sample(ctx, r, set.Spine.Time, rows)
}

// errLaidOut stops reading once the columns are known.
var errLaidOut = errors.New("the columns are known")

// checkLayout looks for columns of the training set whose names readers cannot tell apart,
// or whose types Parquet cannot hold.
func (s *spine) checkLayout(ctx context.Context, r *relation.Reader) error {
	rel := s.rel
	if rel.SQL != "" {
		rel.SQL = "SELECT * FROM (" + strings.TrimRight(rel.SQL, "; \t\r\n") + "\n) LIMIT 0"
	}
	err := r.Records(ctx, rel, s.fields, func(schema *arrow.Schema) error {
		if _, err := newLayout(schema, s.service, false, 1); err != nil {
			return err
		}
		return errLaidOut
	}, func(arrow.RecordBatch) error { return nil })
	if errors.Is(err, errLaidOut) {
		return nil
	}
	return err
}

// sample checks the first rows.
func (s *spine) sample(ctx context.Context, r *relation.Reader, time string, rows int64) error {
	seen := int64(0)
	err := r.Scan(ctx, s.rel, s.fields, func(b *relation.Batch) error {
		if err := s.accept(b, time); err != nil {
			return err
		}
		if seen += int64(b.N); seen >= rows {
			return errSampled
		}
		return nil
	})
	if errors.Is(err, errSampled) {
		return nil
	}
	return err
}
