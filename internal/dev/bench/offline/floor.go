package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"golang.org/x/sync/errgroup"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/parquetfile"
	"github.com/unskew/unskew/internal/parquetfile/arrowfile"
	"github.com/unskew/unskew/internal/relation"
)

// The floor of a training set is the least that can be done for it: to read and decode the files, and to
// encode, compress and write the result, both on all threads at once, and nothing in between.

// floors measures the floor of two tasks and how much of it is reading.
func floors(ctx context.Context, r *runner) error {
	d := r.usual()
	if err := r.make(ctx, d); err != nil {
		return err
	}
	for _, t := range []struct {
		job      string
		columns  string
		features []string
	}{
		{"latest of three columns", "amount,quantity,kind", latestFeatures},
		{"3 windows with hops × sum, count, max", "amount", windowFeatures(hops)},
	} {
		ours, err := r.train(ctx, d, d.definitions(t.features))
		if err != nil {
			return err
		}
		read, err := r.floor(ctx, "read", d.name, t.columns)
		if err != nil {
			return err
		}
		load, err := r.floor(ctx, "load")
		if err != nil {
			return err
		}
		write, err := r.floor(ctx, "write")
		if err != nil {
			return err
		}
		write.wall, write.cpu = write.wall-load.wall, write.cpu-load.cpu
		line(t.job, "read", read, "")
		line("", "write", write, "")
		line("", "unskew", ours, fmt.Sprintf("%7.2f times the floor", r.clock(ours).Seconds()/(r.clock(read)+r.clock(write)).Seconds()))
	}
	return nil
}

// floor runs a step of the floor in a separate process.
func (r *runner) floor(ctx context.Context, step string, args ...string) (usage, error) {
	program, err := self()
	if err != nil {
		return usage{}, err
	}
	args = append([]string{"floor", r.dir, fmt.Sprint(r.threads), step}, args...)
	return r.best(func() (usage, error) { return measure(ctx, program, args...) })
}

// runFloor is the subcommand `floor DIR THREADS STEP`: "read NAME COLUMNS" reads the data of a task as a
// training set does, "load" reads the training set into memory, and "write" does that and writes it.
func runFloor(args []string) error {
	threads := 0
	if len(args) >= 3 {
		threads, _ = strconv.Atoi(args[1])
	}
	if threads <= 0 {
		return fmt.Errorf("usage: floor DIR THREADS STEP")
	}
	reader, err := relation.Open(relation.Options{BaseDir: args[0], Threads: threads})
	if err != nil {
		return err
	}
	defer reader.Close()
	ctx := context.Background()
	if args[2] == "read" {
		return readData(ctx, reader, threads, args[3], args[4])
	}
	set := relation.Relation{Owner: "training set", From: "ours/data.parquet"}
	var schema *arrow.Schema
	var groups [][]arrow.RecordBatch // about as many rows each as row groups of training sets
	rows := int64(0)
	err = reader.Records(ctx, set, nil, func(s *arrow.Schema) error { schema = s; return nil }, func(rec arrow.RecordBatch) error {
		if rows == 0 {
			groups = append(groups, nil)
		}
		rec.Retain()
		groups[len(groups)-1] = append(groups[len(groups)-1], rec)
		if rows += rec.NumRows(); rows >= 64<<10 {
			rows = 0
		}
		return nil
	})
	if err != nil || args[2] == "load" {
		return err
	}
	return writeGroups(schema, groups, threads, filepath.Join(args[0], "floor.parquet"))
}

// readData reads the events and the spine, and does nothing with them.
func readData(ctx context.Context, r *relation.Reader, threads int, name, columns string) error {
	kinds := map[string]plan.Kind{"key": plan.Int, "ts": plan.Timestamp, "label": plan.Int, "row": plan.Int, "amount": plan.Double, "quantity": plan.Int, "kind": plan.String}
	for from, columns := range map[string]string{name + "-events-*.parquet": "key,ts," + columns, name + "-spine.parquet": "key,ts,label,row"} {
		var fields []plan.Field
		for _, c := range strings.Split(columns, ",") {
			fields = append(fields, plan.Field{Name: c, Type: plan.T(kinds[c])})
		}
		err := r.ScanParallel(ctx, relation.Relation{Owner: "floor", From: from}, fields, threads, func(int, *relation.Batch) error { return nil })
		if err != nil {
			return err
		}
	}
	return nil
}

// writeGroups writes row groups as a training set does: several at once, committed in order.
func writeGroups(s *arrow.Schema, groups [][]arrow.RecordBatch, threads int, path string) error {
	schema, err := arrowfile.NewSchema(s)
	if err != nil {
		return err
	}
	sample := parquetfile.NewSample(schema)
	if err := addRecords(sample, groups[0][:1]); err != nil {
		return err
	}
	encodings, err := sample.Encodings()
	if err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	w := parquetfile.NewWriter(file, schema, encodings, "floor")
	for len(groups) > 0 {
		n := min(threads, len(groups))
		filled := make([]*parquetfile.RowGroup, n)
		var g errgroup.Group
		for i := range filled {
			filled[i] = w.NewRowGroup()
			g.Go(func() error {
				if err := addRecords(filled[i], groups[i]); err != nil {
					return err
				}
				return filled[i].Finish()
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		for _, f := range filled {
			if err := f.Commit(); err != nil {
				return err
			}
		}
		groups = groups[n:]
	}
	return w.Close()
}

func addRecords(to interface {
	Array(col int, a *parquetfile.Array, from, to int) error
}, recs []arrow.RecordBatch) error {
	for _, rec := range recs {
		for c := range int(rec.NumCols()) {
			if err := to.Array(c, arrowfile.Array(rec.Column(c)), 0, int(rec.NumRows())); err != nil {
				return err
			}
		}
	}
	return nil
}
