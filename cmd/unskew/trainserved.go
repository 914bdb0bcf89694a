package main

import (
	"context"
	"fmt"
	"os"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/materializer/servedset"
)

// servedSpine makes the spines of training sets whose rows are those of the served log.
type servedSpine struct {
	project    *featuredefs.Project
	reader     *relation.Reader
	log        eventlog.Log // nil: there is none, so no outcome was logged
	from, to   plan.EventTime
	unlabelled bool
	memory     int64 // of the process
	progress   func(rows int64)
}

// indexShare is the part of the memory that ids and outcomes of rows may take. They are gone when training begins.
const indexShare = 2

// of returns the set with its spine, in temporary files until end is called. A set with another spine is returned as it is, with nil.
func (s *servedSpine) of(ctx context.Context, set *plan.TrainingSet) (_ *plan.TrainingSet, made *servedset.Set, end func(), err error) {
	if !set.Spine.Served {
		return set, nil, func() {}, nil
	}
	c := servedset.Config{
		Service: set.Service, Dir: backend.ServedLogDir(s.project), From: s.from, To: s.to, Unlabelled: s.unlabelled, Memory: s.memory / indexShare, Progress: s.progress,
	}
	if set.Spine.Label != "" {
		if c.Outcomes, c.Label, err = s.outcomes(ctx, set); err != nil {
			return nil, nil, nil, err
		}
	}
	if c.Folder, err = os.MkdirTemp("", "unskew-served-"); err != nil {
		return nil, nil, nil, err
	}
	if made, err = servedset.Make(ctx, c); err != nil {
		os.RemoveAll(c.Folder)
		return nil, nil, nil, err
	}
	resolved := *set
	resolved.Spine = made.Spine
	return &resolved, made, func() {
		_ = made.Close() // what was read has been read
		os.RemoveAll(c.Folder)
	}, nil
}

func (s *servedSpine) outcomes(ctx context.Context, set *plan.TrainingSet) (servedset.Outcomes, plan.Field, error) {
	spine := set.Spine
	if spine.Outcomes != "" {
		return servedset.InFile(ctx, s.reader, relation.Relation{Owner: "outcomes of " + set.Name, From: spine.Outcomes}, spine.Label, spine.LabelKnownAt)
	}
	if s.log == nil {
		return nil, plan.Field{}, fmt.Errorf("training set %s: no outcome of service %s has been logged yet", set.Name, set.Service.Name)
	}
	return servedset.Logged(s.reader, s.log, set.Service, spine.Label)
}
