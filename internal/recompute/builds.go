package recompute

import (
	"context"
	"errors"
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/registry"
)

// Inputs identifies the history of a source, up to a time, as builds do; see registry.Generation.
type Inputs func(ctx context.Context, src *plan.Source, to plan.EventTime) ([32]byte, error)

// FindBuilds returns the live builds of the views of a service. Without inputs nothing is known of changed histories.
func FindBuilds(ctx context.Context, store onlinestore.Store, s *plan.Service, inputs Inputs) (map[plan.Fingerprint]Build, error) {
	out := map[plan.Fingerprint]Build{}
	for i := range s.Views {
		v := s.Views[i].View
		b, err := FindBuild(ctx, store, v, inputs)
		if none := (*registry.NotMaterialized)(nil); errors.As(err, &none) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("view %s: %w", v.Name, err)
		}
		out[v.Fingerprint] = b
	}
	return out, nil
}

// FindBuild returns the live build of a view. The error is a *registry.NotMaterialized if there is none.
func FindBuild(ctx context.Context, store onlinestore.Store, v *plan.View, inputs Inputs) (b Build, err error) {
	if b.Generation, err = registry.Live(ctx, store, v); err != nil {
		return b, err
	}
	if inputs != nil && b.Inputs != [32]byte{} {
		now, err := inputs(ctx, v.Source, b.Materialized)
		if err != nil {
			return b, err
		}
		b.InputsChanged = b.Inputs != now
	}
	letters, err := registry.DeadLetters(ctx, store, b.Generation)
	for _, l := range letters {
		if l.Entity != nil && l.Missing() {
			if b.Aside == nil {
				b.Aside = map[string]bool{}
			}
			b.Aside[string(l.Entity)] = true
		}
	}
	return b, err
}

// findLive returns the live generation of a view, nil if there is none.
func findLive(ctx context.Context, store onlinestore.Store, v *plan.View) (*registry.Generation, error) {
	g, err := registry.Live(ctx, store, v)
	if none := (*registry.NotMaterialized)(nil); errors.As(err, &none) {
		return nil, nil
	}
	return &g, err
}

// ErrNoFiles says that a history cannot be read because it has files.
var ErrNoFiles = errors.New("the history of the source is in files, and this program cannot read them")

// LogHistory reads the history of sources without files. Those that have files are not compared, for the reason no_files.
func LogHistory(log eventlog.Log) History {
	return func(ctx context.Context, views []*plan.View, r Range, _ int, f func(worker int, ev *kernel.Events) error) error {
		src := views[0].Source
		if src.From != "" || src.SQL != "" {
			return ErrNoFiles
		}
		in, err := ingest.NewSource(src)
		if err != nil {
			return err
		}
		of := eventlog.Shards{Source: src.Name, N: len(r.Until)}
		for k, end := range r.Until {
			err := of.EachPage(ctx, log, k, 0, eventlog.Position(end), func(records []eventlog.Record) error {
				ev, _, err := in.EventsOf(records)
				if err != nil {
					return err
				}
				return f(0, ev)
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
}
