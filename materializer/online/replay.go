package online

import (
	"context"
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/registry"
)

// Addressee returns the key of the entity that an event belongs to in a view, of which a letter says that it was set aside; nil if it has
// none there. why is the reason for which the event cannot be applied now either, "" if it can be.
func Addressee(ctx context.Context, log eventlog.Log, v *plan.View, l registry.DeadLetter) (entity []byte, why string, err error) {
	shards, err := eventlog.NewLayouts(log).Find(ctx, v.Source.Name)
	if err != nil {
		return nil, "", err
	}
	name := shards.Name(l.Shard)
	r, err := eventlog.At(ctx, log, name, eventlog.Position(l.Position))
	if err != nil {
		return nil, "", fmt.Errorf("log of source %s at position %d: %w", name, l.Position, err)
	}
	if r == nil || uint64(r.Position) != l.Position {
		return nil, "", fmt.Errorf("log of source %s: it ends before position %d; restore it", name, l.Position)
	}
	in, err := ingest.NewSource(v.Source)
	if err != nil {
		return nil, "", err
	}
	batch, from, err := in.Read([]eventlog.Record{*r})
	if err != nil {
		return nil, "", err
	}
	ev, _, bad, err := in.Logged(batch, from)
	if err != nil {
		return nil, "", err
	}
	if len(bad) > 0 {
		return nil, bad[0].Why(), nil
	}
	k, err := kernel.NewView(v)
	if err != nil {
		return nil, "", err
	}
	key, ok := entitykey.AppendRow(nil, k.KeyColumns(ev, nil), 0)
	if !ok {
		return nil, "", nil
	}
	return key, limits.Key(len(key)), nil
}
