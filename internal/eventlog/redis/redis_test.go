package redis

import (
	"context"
	"fmt"
	"testing"

	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/eventlog/logtest"
	"github.com/unskew/unskew/internal/redisconn"
	"github.com/unskew/unskew/internal/redistest"
)

func openTest(t *testing.T, address, namespace string, clock eventlog.Clock) *Log {
	t.Helper()
	l, err := Open(context.Background(), Options{
		Options: redisconn.Options{Addresses: []string{address}, Namespace: namespace}, Clock: clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestConformance(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Durable...)
	storages := 0
	logtest.Run(t, func(*testing.T) logtest.Storage {
		storages++
		namespace := fmt.Sprintf("storage-%d", storages)
		return logtest.Storage{
			Open: func(t *testing.T, clock eventlog.Clock) eventlog.Log {
				return openTest(t, server.Address, namespace, clock)
			},
			Crash:  func(t *testing.T) { server.Restart(t) },
			Shared: true,
		}
	})
}

// In a cluster a script is refused when its keys are on different servers.
func TestConformanceInCluster(t *testing.T) {
	t.Parallel()
	servers := redistest.StartCluster(t, 2, redistest.Durable...)
	storages := 0
	logtest.Run(t, func(*testing.T) logtest.Storage {
		storages++
		namespace := fmt.Sprintf("storage-%d", storages)
		return logtest.Storage{
			Open: func(t *testing.T, clock eventlog.Clock) eventlog.Log {
				return openTest(t, servers[0].Address, namespace, clock)
			},
			Shared:   true,
			Isolated: true,
		}
	})
}
