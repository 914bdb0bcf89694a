package redisconn

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Watch looks at the servers of a connection again and again. It is for one goroutine.
type Watch struct {
	conn *Conn
	last map[string]sighting // by id of what is replicated
}

// sighting is a master as it was seen last.
type sighting struct {
	address string
	offset  int64 // of its last write
}

// Look is what a look found.
type Look struct {
	Findings  []Finding
	Failovers []Failover // since the look before
}

// Failover says that a replica took over.
type Failover struct {
	From, To string
	Lost     int64 // bytes of writes that the master before had made and the new one has not, as far as is known
}

// String says what it may have cost and what to do.
func (f Failover) String() string {
	lost := "it may lack what that acknowledged in its last moments"
	if f.Lost > 0 {
		lost = fmt.Sprintf("it lacks at least %d bytes of writes that were acknowledged", f.Lost)
	}
	return fmt.Sprintf("redis at %s has taken over from the one at %s: %s. Push again what can be sent again; "+
		"in a cluster unskew materialize --full makes sure that no state lacks an event", f.To, f.From, lost)
}

// Watch begins to watch.
func (c *Conn) Watch() *Watch { return &Watch{conn: c, last: map[string]sighting{}} }

// mostSightings bounds the masters that are remembered, those that have gone included.
const mostSightings = 4096

// Look looks at every server. A server that evicts keys is a finding here, and no error.
func (w *Watch) Look(ctx context.Context) (Look, error) {
	if !w.conn.Gate.Enter() {
		return Look{}, errors.New("the connection is closed")
	}
	defer w.conn.Gate.Leave()
	found, masters, err := w.conn.inspect(ctx, true)
	if err != nil {
		return Look{}, err
	}
	l := Look{Findings: found}
	if len(w.last) > mostSightings {
		clear(w.last)
	}
	for _, address := range slices.Sorted(maps.Keys(masters)) {
		s := masters[address]
		if before, known := w.last[s.before]; known && before.address != address {
			l.Failovers = append(l.Failovers, Failover{before.address, address, max(0, before.offset-s.taken)})
			delete(w.last, s.before)
		}
		if s.replication != "" {
			w.last[s.replication] = sighting{address, s.offset}
		}
	}
	return l, nil
}
