package redis

import (
	"errors"
	"net"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/redistest"
)

// While a slot moves, keys that a script does not declare, those of segments of ids, may be elsewhere. Then an append stores nothing and may be
// tried again.
func TestAnAppendWhileItsSlotMovesIsUnavailable(t *testing.T) {
	servers := redistest.StartCluster(t, 2)
	l := openTest(t, servers[0].Address, "", func() plan.EventTime { return 0 })
	defer l.Close()
	entry := func(id string) []eventlog.Entry { return []eventlog.Entry{{ID: id, Keep: 20}} }
	if _, err := l.Append(ctx, "s", entry("a")); err != nil {
		t.Fatal(err)
	}
	// A source without ids and corrections has not all keys; here all that are declared are there.
	if _, err := l.Append(ctx, "s", []eventlog.Entry{{ID: "kept for ever"}}); err != nil {
		t.Fatal(err)
	}
	k := l.keys("s")
	slot := servers[0].Ask(t, "CLUSTER", "KEYSLOT", k.ids)
	from, to := servers[0], servers[1]
	if from.Ask(t, "CLUSTER", "COUNTKEYSINSLOT", slot) == "0" {
		from, to = to, from
	}
	fromID, toID := from.Ask(t, "CLUSTER", "MYID"), to.Ask(t, "CLUSTER", "MYID")
	to.Ask(t, "CLUSTER", "SETSLOT", slot, "IMPORTING", fromID)
	from.Ask(t, "CLUSTER", "SETSLOT", slot, "MIGRATING", toID)
	host, port, _ := net.SplitHostPort(to.Address)
	move := func(key string) { from.Ask(t, "MIGRATE", host, port, key, "0", "5000") }
	move(k.ids + ":1")
	_, err := l.Append(ctx, "s", entry("b"))
	if !errors.Is(err, eventlog.ErrUnavailable) || errors.Is(err, eventlog.ErrOutcomeUnknown) {
		t.Errorf("half moved: %v", err)
	}
	for _, key := range []string{k.ids, k.head, k.events} {
		move(key)
	}
	to.Ask(t, "CLUSTER", "SETSLOT", slot, "NODE", toID)
	from.Ask(t, "CLUSTER", "SETSLOT", slot, "NODE", toID)
	results, err := l.Append(ctx, "s", append(entry("b"), entry("a")...))
	if err != nil || results[0].Position != 3 || results[1].Outcome != eventlog.Duplicate {
		t.Errorf("moved: %+v, %v", results, err)
	}
}
