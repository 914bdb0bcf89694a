package storehost

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/onlinestore"
)

// reply is what a call returned.
type reply[T any] struct {
	Value T
	Fault *fault
}

// none is the value of calls that return only an error, and the argument of those without one.
type none struct{ None bool }

// chunkBytes is what one message of a stream has at most, beyond its last element.
const chunkBytes = 1 << 20

// The arguments of calls that have several.
type (
	appendCall struct {
		Shard   string
		Entries []entry
	}
	readCall struct {
		Shard string
		After eventlog.Position
		Limit int
	}
	trimCall struct {
		Shard string
		To    eventlog.Position
	}
	setBackCall struct {
		Shard string
		To    plan.EventTime
	}
	repairCall struct {
		Shard string
		How   eventlog.RepairOptions
	}
	setStateCall struct {
		Shard string
		To    eventlog.ShardState
	}
	adoptCall struct {
		Shard string
		List  eventlog.Segments
		IDs   []eventlog.KeptID
	}
)

// entry is an eventlog.Entry whose nil body, which has a meaning, gob would not tell from an empty one.
type entry struct {
	eventlog.Entry
	HasBody bool
}

func toEntries(entries []eventlog.Entry) []entry {
	out := make([]entry, len(entries))
	for i, e := range entries {
		out[i] = entry{Entry: e, HasBody: e.Body != nil}
	}
	return out
}

func fromEntries(entries []entry) []eventlog.Entry {
	out := make([]eventlog.Entry, len(entries))
	for i, e := range entries {
		out[i] = e.Entry
		if e.HasBody && e.Body == nil {
			out[i].Body = []byte{}
		}
	}
	return out
}

// pair is a key and its value.
type pair struct{ Key, Value []byte }

// pairBytes is about what a pair takes in a message.
func pairBytes(key, value []byte) int { return 32 + len(key) + len(value) }

// chunk is a part of what a stream sends; the last one of a stream from the host has its error.
type chunk[T any] struct {
	Items []T
	Fault *fault
	Last  bool
}

// gather collects the items of a stream and sends them in chunks.
type gather[T any] struct {
	send  func(*frame) error
	items []T
	bytes int
}

// add takes an item of about so many bytes.
func (g *gather[T]) add(item T, bytes int) error {
	g.items = append(g.items, item)
	g.bytes += bytes
	if g.bytes < chunkBytes {
		return nil
	}
	return g.flush()
}

func (g *gather[T]) flush() error {
	if len(g.items) == 0 {
		return nil
	}
	c := &chunk[T]{Items: g.items}
	g.items, g.bytes = nil, 0
	return g.sendChunk(c)
}

// end sends what is left, and how the stream ended.
func (g *gather[T]) end(err error) error {
	return g.sendChunk(&chunk[T]{Items: g.items, Fault: faultOf(err), Last: true})
}

func (g *gather[T]) sendChunk(c *chunk[T]) error {
	f, err := pack(c)
	if err != nil {
		return err
	}
	return g.send(f)
}

// absent makes nil of the empty values that gob makes of nil ones. A stored value has at least 8 bytes.
func absent(values [][]byte) [][]byte {
	for i, v := range values {
		if len(v) == 0 {
			values[i] = nil
		}
	}
	return values
}

// withoutMarks are the writes without their marks, which only mean something to the store that made them.
func withoutMarks(of []onlinestore.Write) []onlinestore.Write {
	out := make([]onlinestore.Write, len(of))
	for i, w := range of {
		out[i] = onlinestore.Write{Key: w.Key, Expect: w.Expect, Value: w.Value}
	}
	return out
}
