package storehost

import (
	"context"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
)

// remoteLog is the log of a host.
type remoteLog struct{ side }

var _ eventlog.Repairing = (*remoteLog)(nil)

func (l *remoteLog) Append(ctx context.Context, shard string, entries []eventlog.Entry) ([]eventlog.Result, error) {
	if err := eventlog.Check(shard, entries); err != nil {
		return nil, err
	}
	return call[appendCall, []eventlog.Result](ctx, &l.side, "/log/append", true, appendCall{shard, toEntries(entries)})
}

func (l *remoteLog) Register(ctx context.Context, shard string, entries []eventlog.Entry) error {
	if err := eventlog.Check(shard, entries); err != nil {
		return err
	}
	_, err := call[appendCall, none](ctx, &l.side, "/log/register", true, appendCall{shard, toEntries(entries)})
	return err
}

func (l *remoteLog) Read(ctx context.Context, shard string, after eventlog.Position, limit int) ([]eventlog.Record, error) {
	return call[readCall, []eventlog.Record](ctx, &l.side, "/log/read", false, readCall{shard, after, limit})
}

func (l *remoteLog) Trim(ctx context.Context, shard string, to eventlog.Position) error {
	_, err := call[trimCall, none](ctx, &l.side, "/log/trim", true, trimCall{shard, to})
	return err
}

func (l *remoteLog) Trimmed(ctx context.Context, shard string) (eventlog.Trimmed, error) {
	return call[string, eventlog.Trimmed](ctx, &l.side, "/log/trimmed", false, shard)
}

func (l *remoteLog) SetBack(ctx context.Context, shard string, to plan.EventTime) (bool, error) {
	return call[setBackCall, bool](ctx, &l.side, "/log/setback", true, setBackCall{shard, to})
}

// Repair implements eventlog.Repairing.
func (l *remoteLog) Repair(ctx context.Context, shard string, how eventlog.RepairOptions) (eventlog.Damage, error) {
	return call[repairCall, eventlog.Damage](ctx, &l.side, "/log/repair", true, repairCall{shard, how})
}

func (l *remoteLog) End(ctx context.Context, shard string) (eventlog.Position, error) {
	return call[string, eventlog.Position](ctx, &l.side, "/log/end", false, shard)
}

func (l *remoteLog) Begun(ctx context.Context, shard string) (bool, error) {
	return call[string, bool](ctx, &l.side, "/log/begun", false, shard)
}

func (l *remoteLog) SetState(ctx context.Context, shard string, to eventlog.ShardState) error {
	_, err := call[setStateCall, none](ctx, &l.side, "/log/setstate", true, setStateCall{shard, to})
	return err
}

func (l *remoteLog) Segments(ctx context.Context, shard string) (eventlog.Segments, error) {
	return call[string, eventlog.Segments](ctx, &l.side, "/log/segments", false, shard)
}

func (l *remoteLog) IDs(ctx context.Context, shard string, f func(ids []eventlog.KeptID) error) error {
	return each(ctx, &l.side, "/log/ids", shard, f)
}

func (l *remoteLog) Adopt(ctx context.Context, shard string, list eventlog.Segments, ids []eventlog.KeptID) error {
	_, err := call[adoptCall, none](ctx, &l.side, "/log/adopt", true, adoptCall{shard, list, ids})
	return err
}

func (l *remoteLog) Wait(ctx context.Context, ends eventlog.Ends) error {
	_, err := call[eventlog.Ends, none](ctx, &l.side, "/log/wait", false, ends)
	return err
}
