package main

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/materializer/training"
)

// TestUploadedSpineOfARelativeProject: an uploaded spine is found when --project is a relative path.
func TestUploadedSpineOfARelativeProject(t *testing.T) {
	p := newTestProject(t)
	t.Chdir(filepath.Dir(p.dir))
	o := &options{project: filepath.Base(p.dir)}
	project, found, err := featuredefs.Load(o.project, featuredefs.Options{})
	p.check(err)
	if found.HasErrors() {
		t.Fatal(found)
	}
	var serves atomic.Pointer[featuredefs.Project]
	serves.Store(project)
	q, err := o.openTraining(&serves, nil, nil, 0, 0, slog.New(slog.DiscardHandler))
	p.check(err)
	schema := arrow.NewSchema([]arrow.Field{{Name: "customer_id", Type: arrow.PrimitiveTypes.Int64}, {Name: "basket", Type: arrow.PrimitiveTypes.Float64}, {Name: "at", Type: arrow.FixedWidthTypes.Timestamp_us}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	b.Field(0).(*array.Int64Builder).Append(1)
	b.Field(1).(*array.Float64Builder).Append(1)
	b.Field(2).(*array.TimestampBuilder).Append(1_740_000_000_000_000)
	var stream bytes.Buffer
	w := ipc.NewWriter(&stream, ipc.WithSchema(schema))
	p.check(w.Write(b.NewRecordBatch()))
	p.check(w.Close())
	spine, _, err := q.StoreSpine(&stream)
	p.check(err)
	spec := training.Spec{Service: "churn_v1", Spine: spine, Time: "at"}
	_, err = q.Create("a", spec)
	p.check(err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	for {
		j, err := q.Get("a")
		p.check(err)
		if j.State.Ended() {
			if j.State != training.Succeeded {
				t.Error(j.Error)
			}
			break
		}
	}
	stop()
	p.check(<-ended)
}
