package redis

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/redisconn"
	"github.com/unskew/unskew/internal/redistest"
)

// Of two servers on one Redis, one whose clock is far from that of Redis stores nothing, so
// it hides nothing of the other's [b11]. Nor does it forget ids that the other still needs.
func TestB11_AFalseClockStoresNothing(t *testing.T) {
	server := redistest.Start(t)
	ctx := context.Background()
	var off atomic.Int64
	l, err := Open(ctx, Options{
		Options: redisconn.Options{Addresses: []string{server.Address}}, MaxSkew: 30 * plan.Second,
		Clock: func() plan.EventTime { return plan.TimeOf(time.Now()) + plan.EventTime(off.Load()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, days := range []int64{30, -30, 0} {
		by := days * int64(plan.Day)
		off.Store(by)
		_, err := l.Append(ctx, "pay", []eventlog.Entry{{Payload: []byte("x")}})
		var clock *eventlog.ClockError
		switch {
		case days == 0 && err != nil:
			t.Errorf("with the right clock: %v", err)
		case days != 0 && (!errors.As(err, &clock) || clock.Newest != 0 || !strings.Contains(err.Error(), "the log's server says")):
			t.Errorf("%d days off: %v", days, err)
		}
		err = l.Register(ctx, "pay", []eventlog.Entry{{ID: "a", Payload: []byte("x"), Keep: plan.Day}})
		if wrong := errors.As(err, new(*eventlog.ClockError)); wrong != (days != 0) || !wrong && err != nil {
			t.Errorf("%d days off, Register: %v", days, err)
		}
		skew, err := l.Skew(ctx)
		if diff := int64(skew) - by; err != nil || diff < -int64(10*plan.Second) || diff > int64(10*plan.Second) {
			t.Errorf("%d days off: the skew is %v, %v", days, skew, err)
		}
	}
	if end, err := l.End(ctx, "pay"); err != nil || end != 1 {
		t.Errorf("%d records, %v", end, err)
	}
}

// Records that a false clock stored before there was a bound hide nothing once the time is
// set back [b11].
func TestB11_TheLogIsAhead(t *testing.T) {
	server := redistest.Start(t)
	ctx := context.Background()
	conn := redisconn.Options{Addresses: []string{server.Address}}
	ahead := plan.TimeOf(time.Now()) + plan.EventTime(30*plan.Day)
	unbound, err := Open(ctx, Options{Options: conn, Clock: func() plan.EventTime { return ahead }})
	if err != nil {
		t.Fatal(err)
	}
	defer unbound.Close()
	if _, err := unbound.Append(ctx, "pay", []eventlog.Entry{{Payload: []byte("x")}}); err != nil {
		t.Fatal(err)
	}
	l, err := Open(ctx, Options{Options: conn, MaxSkew: 30 * plan.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = l.Append(ctx, "pay", []eventlog.Entry{{Payload: []byte("y")}})
	var clock *eventlog.ClockError
	if !errors.As(err, &clock) || clock.Newest != ahead {
		t.Fatalf("an append 30 days before the newest record: %v, want %v", err, ahead)
	}
	now := plan.TimeOf(time.Now())
	if did, err := l.SetBack(ctx, "pay", now); err != nil || !did {
		t.Fatal(did, err)
	}
	if _, err := l.Append(ctx, "pay", []eventlog.Entry{{Payload: []byte("y")}}); err != nil {
		t.Errorf("after the time was set back: %v", err)
	}
	records, err := unbound.Read(ctx, "pay", 0, 10)
	if err != nil || len(records) != 2 || records[0].Appended != now || records[1].Appended < now {
		t.Errorf("%v, %v", records, err)
	}
}
