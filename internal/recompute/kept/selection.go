package kept

import (
	"context"
	"slices"
	"sort"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/vector"
)

// Selection is the deliveries of some of the entities.
type Selection struct {
	of      *Deliveries
	rows    []uint32            // items that are rows of files
	records [][]eventlog.Record // by shard, in order
	trimmed []eventlog.Position
	bytes   int
}

// Select returns the deliveries of entities, which are given by the hashes of their keys, for each of the Keys in their order. The selection can be used
// until the next call of another method.
func (d *Deliveries) Select(hashes [][]uint64) *Selection {
	var items []uint32
	for k, e := range d.keys {
		for _, hash := range hashes[k] {
			for n := e.newest[hash]; n > 0; n = e.older[n-1] {
				items = append(items, n-1)
			}
		}
	}
	if len(d.mixed) > 0 {
		for _, n := range items {
			items = append(items, d.mixed[idHash(d.idOf(n))]...)
		}
	}
	slices.Sort(items)
	s := &Selection{of: d, records: make([][]eventlog.Record, len(d.read)), trimmed: slices.Clone(d.trimmed)}
	for _, n := range slices.Compact(items) {
		b := d.item(n)
		if b[0] == fileRow {
			s.rows = append(s.rows, n)
			s.bytes += linkBytes
			continue
		}
		r, rest := decodeRecord(b)
		s.records[r.Shard] = append(s.records[r.Shard], r)
		s.bytes += recordBytes + len(b) - len(rest) - len(r.Payload)
	}
	for _, of := range s.records {
		// What was kept for its id was kept after the others.
		slices.SortFunc(of, func(a, b eventlog.Record) int { return int(int64(a.Position) - int64(b.Position)) })
	}
	return s
}

// recordBytes is about what a record takes without id and payload.
const recordBytes = 128

// Bytes is about what the selection takes in memory.
func (s *Selection) Bytes() int { return s.bytes }

// batchRows is how many rows are given out at a time.
const batchRows = 2048

// Each calls f with some columns of the rows of files, in batches that are valid during the call.
func (s *Selection) Each(ctx context.Context, columns []plan.Field, f func(*vector.Batch) error) error {
	to := make([]int, len(s.of.src.Columns)) // by column of the source
	for c := range to {
		to[c] = slices.IndexFunc(columns, func(f plan.Field) bool { return f.Name == s.of.src.Columns[c].Name })
	}
	for rest := s.rows; len(rest) > 0; {
		rows := rest[:min(batchRows, len(rest))]
		rest = rest[len(rows):]
		b := vector.NewBatch(columns, len(rows))
		for i, n := range rows {
			from := s.of.item(n)[1:]
			for _, at := range to {
				v, after := value(from)
				if at >= 0 {
					b.Cols[at].Set(i, v)
				}
				from = after
			}
		}
		if err := f(b); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// Ends are the positions of the last records of each shard that are not after the given ones, or up to which the log was trimmed if there is none. Whoever reads up
// to there reads all that there is, and meets what was trimmed.
func (s *Selection) Ends(until logpos.Vector) logpos.Vector {
	ends := make(logpos.Vector, len(until))
	for k := range min(len(until), len(s.records)) {
		ends[k] = min(until[k], uint64(s.trimmed[k]))
		if i := s.before(k, until[k]); i > 0 {
			ends[k] = max(ends[k], uint64(s.records[k][i-1].Position))
		}
	}
	return ends
}

// before is how many records of a shard are not after a position.
func (s *Selection) before(k int, p uint64) int {
	return sort.Search(len(s.records[k]), func(i int) bool { return uint64(s.records[k][i].Position) > p })
}

// Log is a log that has, of some sources, the records of selections up to some positions.
type Log struct {
	eventlog.Log // of everything else
	shards       map[string]shard
}

type shard struct {
	records []eventlog.Record
	trimmed eventlog.Position
}

// NewLog returns a log without selections.
func NewLog(log eventlog.Log) *Log { return &Log{log, map[string]shard{}} }

// Add adds the records of a selection up to some positions.
func (l *Log) Add(s *Selection, until logpos.Vector) {
	shards := eventlog.Shards{Source: s.of.src.Name, N: len(s.records)}
	for k, records := range s.records {
		l.shards[shards.Name(k)] = shard{records[:s.before(k, until.At(k))], s.trimmed[k]}
	}
}

// Read implements eventlog.Log. Positions have gaps.
func (l *Log) Read(ctx context.Context, name string, after eventlog.Position, limit int) ([]eventlog.Record, error) {
	s, selected := l.shards[name]
	switch {
	case !selected:
		return l.Log.Read(ctx, name, after, limit)
	case after < s.trimmed:
		return nil, &eventlog.TrimmedError{Shard: name, Trimmed: eventlog.Trimmed{Position: s.trimmed}}
	}
	from := sort.Search(len(s.records), func(i int) bool { return s.records[i].Position > after })
	out := s.records[from:]
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out, nil
}
