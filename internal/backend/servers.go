package backend

import (
	"context"
	"fmt"

	"github.com/unskew/unskew/internal/redisconn"
)

// Servers are the Redis servers of a log and a store.
type Servers struct {
	conns []*redisconn.Conn // of the log, and of the store
	watch *redisconn.Watch
}

// Servers returns them; nil for an embedded log and store.
func (b *Backend) Servers() *Servers {
	if b.redis == nil {
		return nil
	}
	return &Servers{b.conns, b.conns[0].Watch()}
}

// Silent returns to how many servers nothing is sent at present, because they do not answer, and how many there are.
func (s *Servers) Silent() (silent, all int) {
	for _, c := range s.conns {
		open, of := c.Circuits()
		silent, all = max(silent, open), max(all, of)
	}
	return silent, all
}

// SilentText says that some servers do not answer; "" if all do.
func (s *Servers) SilentText() string {
	silent, all := s.Silent()
	if silent == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d servers of the event log and the online store do not answer; requests that need them fail at once until they do", silent, all)
}

// Look looks at every server; see redisconn.Watch. It is for one goroutine.
func (s *Servers) Look(ctx context.Context) (redisconn.Look, error) { return s.watch.Look(ctx) }
