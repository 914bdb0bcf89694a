package offline

import (
	"context"
	"errors"
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/relation"
)

// Sample is what the first rows of a source look like.
type Sample struct {
	Rows      int64
	In1970    int64  // rows whose event time looks like seconds or milliseconds taken for microseconds
	First1970 string // where the first of them is
}

var errSampled = errors.New("enough rows were read")

// SampleSource reads about the given number of rows from the start of a source with files or
// a query, as training does. A bad row is an error with its position, unless the source skips
// bad rows.
func SampleSource(ctx context.Context, reader *relation.Reader, src *plan.Source, rows int64) (*Sample, error) {
	in, err := ingest.NewSource(src)
	if err != nil {
		return nil, err
	}
	s := &Sample{}
	err = reader.Scan(ctx, relation.SourceRelation(src), in.Fields(), func(b *relation.Batch) error {
		_, _, err := in.Events(b.Batch, nil)
		if bad := (*ingest.BadRow)(nil); errors.As(err, &bad) {
			return fmt.Errorf("%s, %s", b.Where(bad.Row), bad.What())
		}
		if err != nil {
			return err
		}
		if n, first := in.Scaled(b.Batch); n > 0 {
			if s.In1970 == 0 {
				s.First1970 = b.Where(first)
			}
			s.In1970 += int64(n)
		}
		if s.Rows += int64(b.N); s.Rows >= rows {
			return errSampled
		}
		return nil
	})
	if errors.Is(err, errSampled) {
		err = nil
	}
	return s, err
}
