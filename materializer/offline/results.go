package offline

import (
	"sync/atomic"

	"github.com/unskew/unskew/internal/kernel"
)

// resultRoom is the memory that results of all replays share.
type resultRoom struct {
	limit   int64 // bytes; 0: no limit
	chunks  int64 // bytes of the chunks of all parts of a replay that are read at a time
	used    atomic.Int64
	scratch *scratch
}

// take reports whether there is room for n bytes, which are used then.
func (r *resultRoom) take(n int64) bool {
	if r.limit == 0 || r.used.Add(n) <= r.limit {
		return true
	}
	r.used.Add(-n)
	return false
}

// chunkRows is how many of the given results of a part make a chunk, of which one of each part is in memory while a
// training set is written.
func (r *resultRoom) chunkRows(p *kernel.PartResults, parts int) int {
	row := max(1, int64(p.Bytes()/p.N))
	return int(min(max(r.chunks/int64(parts)/row, 1), kernel.ResultChunk))
}

// results are the aggregates of a replay, by part, in memory while there is room, otherwise in a scratch
// file. Several goroutines put them; then one reads them, in the order of the spine.
type results struct {
	replay *kernel.Replay
	room   *resultRoom
	parts  []resultPart
	buf    []byte // scratch of the reading goroutine
}

// resultPart is the results of a part.
type resultPart struct {
	pieces  []resultPiece       // not yet read
	current *kernel.PartResults // the rows at hand
	row     int                 // the next of them
}

// resultPiece is consecutive rows of a part.
type resultPiece struct {
	held *kernel.PartResults // nil: in the file
	at   extent
}

func newResults(r *kernel.Replay, room *resultRoom) *results {
	return &results{replay: r, room: room, parts: make([]resultPart, r.Parts())}
}

// put adds the next results of a part, and owns them from then on.
func (r *results) put(part int, p *kernel.PartResults) error {
	to := &r.parts[part]
	if p.N == 0 {
		return nil // no row of the spine is in the part
	}
	if r.room.take(int64(p.Bytes())) {
		to.pieces = append(to.pieces, resultPiece{held: p})
		return nil
	}
	var buf []byte
	rows := r.room.chunkRows(p, len(r.parts))
	for from := 0; from < p.N; from += rows {
		buf = p.AppendChunk(buf[:0], from, min(from+rows, p.N))
		e, err := r.room.scratch.write(buf)
		if err != nil {
			return err
		}
		to.pieces = append(to.pieces, resultPiece{at: e})
	}
	return nil
}

// next returns the results of the next row of the spine, which is in the given part, and
// their row number there.
func (r *results) next(part int) (*kernel.PartResults, int32, error) {
	p := &r.parts[part]
	for p.current == nil || p.row == p.current.N {
		if err := r.advance(p); err != nil {
			return nil, 0, err
		}
	}
	p.row++
	return p.current, int32(p.row - 1), nil
}

// advance goes to the next rows of a part.
func (r *results) advance(p *resultPart) error {
	next := p.pieces[0]
	p.row = 0
	p.pieces[0] = resultPiece{} // its memory is freed once its rows are written
	p.pieces = p.pieces[1:]
	if next.held != nil {
		p.current = next.held
		return nil
	}
	var err error
	if r.buf, err = r.room.scratch.read(next.at, r.buf); err != nil {
		return err
	}
	if p.current, err = r.replay.ReadChunk(r.buf); err != nil {
		return r.room.scratch.failed(err)
	}
	return nil
}
