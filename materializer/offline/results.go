package offline

import "github.com/unskew/unskew/internal/kernel"

// results are the aggregates of a replay, by part, in memory or in a scratch file. Several
// goroutines put them; then one reads them, in the order of the spine.
type results struct {
	replay  *kernel.Replay
	scratch *scratch // nil: in memory
	parts   []resultPart
	buf     []byte // scratch of the reading goroutine
}

// resultPart is the results of a part.
type resultPart struct {
	held   *kernel.PartResults
	chunks []extent // of ResultChunk rows each, not yet read

	current *kernel.PartResults // the rows at hand
	row     int                 // the next of them
}

func newResults(r *kernel.Replay, s *scratch) *results {
	return &results{replay: r, scratch: s, parts: make([]resultPart, r.Parts())}
}

// put adds the results of a part, and owns them from then on.
func (r *results) put(part int, p *kernel.PartResults) error {
	to := &r.parts[part]
	if r.scratch == nil {
		to.held = p
		return nil
	}
	var buf []byte
	for from := 0; from < p.N; from += kernel.ResultChunk {
		buf = p.AppendChunk(buf[:0], from)
		e, err := r.scratch.write(buf)
		if err != nil {
			return err
		}
		to.chunks = append(to.chunks, e)
	}
	return nil
}

// next returns the results of the next row of the spine, which is in the given part, and
// their row number there.
func (r *results) next(part int) (*kernel.PartResults, int32, error) {
	p := &r.parts[part]
	if p.current == nil || p.row == p.current.N {
		if err := r.advance(p); err != nil {
			return nil, 0, err
		}
	}
	p.row++
	return p.current, int32(p.row - 1), nil
}

// advance goes to the next rows of a part.
func (r *results) advance(p *resultPart) error {
	p.row = 0
	if r.scratch == nil {
		p.current, p.held = p.held, nil
		return nil
	}
	var err error
	if r.buf, err = r.scratch.read(p.chunks[0], r.buf); err != nil {
		return err
	}
	p.chunks = p.chunks[1:]
	if p.current, err = r.replay.ReadChunk(r.buf); err != nil {
		return r.scratch.failed(err)
	}
	return nil
}
