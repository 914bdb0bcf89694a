package offline

import (
	"context"
	"iter"
	"sync"

	"github.com/unskew/unskew/internal/kernel"
)

// blocks are the events of one replay, by part: in memory while there is room, otherwise in
// a scratch file. Once a part has been spilled, all later events of it go to the file, so
// each event is written and read at most once, and the first parts stay in memory.
type blocks struct {
	room  *room
	parts []blockPart
}

type blockPart struct {
	mu      sync.Mutex
	held    []*kernel.Block
	bytes   int64 // of held
	spilled bool  // later blocks go to the file too
	file    []extent
	buf     []byte

	events, text int64 // number of events, and the bytes of their text
}

// room is the memory that blocks of all replays share.
type room struct {
	limit   int64 // bytes; 0: no limit
	scratch *scratch

	mu     sync.Mutex // guards what follows, and the choice of the part to spill
	used   int64
	stores []*blocks
}

func (r *room) newBlocks(parts int) *blocks {
	b := &blocks{room: r, parts: make([]blockPart, parts)}
	r.stores = append(r.stores, b)
	return b
}

// put takes over a block. It may be called concurrently.
func (s *blocks) put(part int, b *kernel.Block) error {
	p := &s.parts[part]
	p.mu.Lock()
	p.events, p.text = p.events+int64(b.Events()), p.text+int64(b.TextBytes())
	if p.spilled {
		defer p.mu.Unlock()
		return p.write(s.room.scratch, b)
	}
	n := int64(b.Bytes())
	p.held = append(p.held, b)
	p.bytes += n
	p.mu.Unlock()
	return s.room.add(n)
}

// write writes a block to the file.
func (p *blockPart) write(to *scratch, b *kernel.Block) error {
	p.buf = b.AppendTo(p.buf[:0])
	e, err := to.write(p.buf)
	p.buf = nil
	p.file = append(p.file, e)
	return err
}

// add counts bytes that blocks take, and spills parts while they exceed the limit.
func (r *room) add(n int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used += n
	for r.limit > 0 && r.used > r.limit {
		p := r.victim()
		if p == nil {
			return nil
		}
		bytes, err := p.spill(r.scratch)
		r.used -= bytes
		if err != nil {
			return err
		}
	}
	return nil
}

// victim is the last part in memory of the replay that has most parts in memory.
func (r *room) victim() *blockPart {
	var victim *blockPart
	most := 0
	for _, s := range r.stores {
		for i := len(s.parts) - 1; i >= most; i-- {
			p := &s.parts[i]
			p.mu.Lock()
			spilled := p.spilled
			p.mu.Unlock()
			if !spilled {
				victim, most = p, i+1
				break
			}
		}
	}
	return victim
}

// spill writes all of a part to the file and returns how many bytes that frees.
func (p *blockPart) spill(to *scratch) (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	bytes := p.bytes
	for _, b := range p.held {
		if err := p.write(to, b); err != nil {
			return 0, err
		}
	}
	p.held, p.bytes, p.spilled = nil, 0, true
	return bytes, nil
}

// bytes is the size of the blocks of a part.
func (s *blocks) bytes(part int) int64 {
	p := &s.parts[part]
	n := p.bytes
	for _, e := range p.file {
		n += e.n
	}
	return n
}

// meanText is the mean size of the text of a part's events.
func (s *blocks) meanText(part int) int64 {
	return s.parts[part].text / max(1, s.parts[part].events)
}

// take returns the blocks of a part and leaves it empty.
func (s *blocks) take(part int) ([]*kernel.Block, error) {
	var out []*kernel.Block
	for b, err := range s.each(part) {
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// each yields the blocks of a part, one at a time, and leaves it empty.
func (s *blocks) each(part int) iter.Seq2[*kernel.Block, error] {
	return func(yield func(*kernel.Block, error) bool) {
		p := &s.parts[part]
		s.room.mu.Lock()
		s.room.used -= p.bytes
		s.room.mu.Unlock()
		held, file := p.held, p.file
		p.held, p.bytes, p.file = nil, 0, nil
		for i, b := range held {
			held[i] = nil
			if !yield(b, nil) {
				return
			}
		}
		for _, e := range file {
			if b, err := s.room.scratch.block(e); !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// storedBlocks are blocks in a scratch file.
type storedBlocks struct {
	ctx     context.Context
	scratch *scratch
	extents []extent
	buf     []byte
}

// Put implements kernel.Store.
func (s *storedBlocks) Put(b *kernel.Block) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	s.buf = b.AppendTo(s.buf[:0])
	e, err := s.scratch.write(s.buf)
	s.extents = append(s.extents, e)
	return len(s.extents) - 1, err
}

// Get implements kernel.Store.
func (s *storedBlocks) Get(number int) (*kernel.Block, error) {
	if err := s.ctx.Err(); err != nil {
		return nil, err
	}
	return s.scratch.block(s.extents[number])
}
