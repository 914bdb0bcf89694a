package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	arrowmemory "github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/unskew/unskew/internal/arrowparquet"
	"github.com/unskew/unskew/materializer/training"
	"github.com/unskew/unskew/sdk"
)

// echo is a queue in which every training set is a copy of its spine.
func echo(t *testing.T) *training.Queue {
	t.Helper()
	build := func(_ context.Context, s training.Spec, spine, out string, progress func(training.Progress)) error {
		if s.Label == "missing" {
			return errors.New(`the spine has no column "missing"`)
		}
		progress(training.Progress{Phase: "write", Done: 1, Total: 1})
		if err := os.MkdirAll(out, 0o700); err != nil {
			return err
		}
		err := os.WriteFile(filepath.Join(out, "manifest.json"), fmt.Appendf(nil, `{"files": [{"name": "data.parquet", "rows": %d}]}`, spineRows), 0o600)
		return errors.Join(err, os.Link(spine, filepath.Join(out, "data.parquet")))
	}
	q, err := training.Open(training.Config{
		Dir: t.TempDir(), Check: func(training.Spec) error { return nil }, Build: build, Clock: time.Now, Log: slog.New(slog.DiscardHandler),
		Arrow: training.Arrow{Write: arrowparquet.Write, Read: arrowparquet.Read},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return q
}

const spineRows = 100_000

func spineReader() array.RecordReader {
	b := array.NewInt64Builder(arrowmemory.DefaultAllocator)
	for i := range spineRows {
		b.Append(int64(i))
	}
	schema := arrow.NewSchema([]arrow.Field{{Name: "x", Type: arrow.PrimitiveTypes.Int64}}, nil)
	rec := array.NewRecordBatch(schema, []arrow.Array{b.NewArray()}, spineRows)
	r, err := array.NewRecordReader(schema, []arrow.RecordBatch{rec})
	if err != nil {
		panic(err)
	}
	return r
}

func TestClientBuildsTrainingSets(t *testing.T) {
	queue := echo(t)
	f := start(t, func(c *Config) { c.Training = queue })
	for name, opts := range map[string][]sdk.Option{"connect": nil, "grpc": {sdk.WithGRPC()}} {
		t.Run(name, func(t *testing.T) {
			c := f.client(t, opts...)
			spine, err := c.UploadSpine(t.Context(), spineReader())
			if err != nil {
				t.Fatal(err)
			}
			made, err := c.CreateTrainingSet(t.Context(), sdk.TrainingRequest{ID: name, Service: "fraud_v1", Spine: spine, Time: "x"})
			if err != nil {
				t.Fatal(err)
			}
			heard := 0
			set, err := c.WaitForTrainingSet(t.Context(), made.ID, func(*sdk.TrainingSet) { heard++ })
			if err != nil || set.State != sdk.TrainingSucceeded || set.Manifest == "" || heard == 0 {
				t.Fatalf("%+v, %v", set, err)
			}
			readRows(t, c, name, 0)
			readRows(t, c, name, 70_001)
		})
	}
}

func readRows(t *testing.T, c *sdk.Client, id string, from int64) {
	t.Helper()
	rows, err := c.ReadTrainingSet(t.Context(), id, "", from)
	if err != nil {
		t.Fatal(err)
	}
	want := from
	for rows.Next() {
		for _, x := range rows.RecordBatch().Column(0).(*array.Int64).Int64Values() {
			if x != want {
				t.Fatalf("%d, want %d", x, want)
			}
			want++
		}
		if next := rows.NextRow(); next > want {
			t.Fatalf("to go on from %d after %d", next, want)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || want != spineRows {
		t.Errorf("read to %d, %v", want, err)
	}
}

func TestClientLearnsWhyATrainingSetFailed(t *testing.T) {
	queue := echo(t)
	c := start(t, func(c *Config) { c.Training = queue }).client(t)
	made, err := c.CreateTrainingSet(t.Context(), sdk.TrainingRequest{Service: "fraud_v1", Label: "missing"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.WaitForTrainingSet(t.Context(), made.ID, nil); err == nil || !strings.Contains(err.Error(), `no column "missing"`) {
		t.Error(err)
	}
	if _, err := c.ReadTrainingSet(t.Context(), made.ID, "", 0); err == nil || !strings.Contains(err.Error(), "failed") {
		t.Error(err)
	}
	if err := c.CancelTrainingSet(t.Context(), made.ID); err != nil {
		t.Error(err)
	}
	if list, err := c.ListTrainingSets(t.Context()); err != nil || len(list) != 1 || list[0].State != sdk.TrainingFailed {
		t.Errorf("%v, %v", list, err)
	}
}
