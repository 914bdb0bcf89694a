package offline

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/limits"
)

// deliveryFile keeps deliveries in a scratch file, divided by the hashes of their ids, so that one part
// at a time fits into memory.
type deliveryFile struct {
	scratch *scratch
	limit   int64 // bytes of deliveries in memory
	used    bool
	parts   [deliveryParts][]extent
}

// deliveryParts is a power of two.
const deliveryParts = 256

// put writes deliveries.
func (d *deliveryFile) put(byID map[string]*deliveries) error {
	d.used = true
	var of [deliveryParts][]byte
	for id, x := range byID {
		p := maphash.String(idSeed, id) % deliveryParts
		of[p] = x.appendTo(appendText(of[p], []byte(id)))
	}
	for p, raw := range of {
		if len(raw) == 0 {
			continue
		}
		e, err := d.scratch.write(raw)
		if err != nil {
			return err
		}
		d.parts[p] = append(d.parts[p], e)
	}
	return nil
}

// take adds a part to the deliveries of a resolver. It is an error if the part does not fit into memory.
func (d *deliveryFile) take(part int, to *resolver) error {
	for i, e := range d.parts[part] {
		if to.held += e.n; to.held > d.room() {
			return d.noRoom(d.parts[part], i, to)
		}
		raw, err := d.scratch.read(e, nil)
		if err != nil {
			return err
		}
		for r := (&deliveryReader{src: raw}); len(r.src) > 0; {
			if err := r.event(to); err != nil {
				return err
			}
			if r.bad {
				return d.scratch.failed(errors.New("a row with a repeated event id is malformed"))
			}
		}
	}
	d.parts[part] = nil
	return nil
}

// room is how much of a part, with what it takes beside its bytes, may be in memory.
func (d *deliveryFile) room() int64 { return max(d.limit, LeastMemory/16) }

// event adds the deliveries with one id to those of a resolver.
func (r *deliveryReader) event(to *resolver) error {
	id := string(r.text())
	of := to.byID[id]
	if of == nil {
		of = &deliveries{}
		to.byID[id] = of
		to.held += idBytes
	}
	before := of.bytes()
	r.deliveries(of, to.keepsRows())
	if to.held += of.bytes() - before; of.number() > limits.Deliveries {
		return to.tooMany(id)
	}
	return nil
}

// bytes is about what deliveries take, without the bytes of rows.
func (of *deliveries) bytes() int64 {
	return int64(len(of.rows)*deliveryBytes + len(of.bodies)*bodyBytes)
}

// noRoom is the error for a part that does not fit into memory, of which the first extents were read. It names the id with the most
// rows among those that were read.
func (d *deliveryFile) noRoom(part []extent, read int, of *resolver) error {
	var taken, whole int64
	for i, e := range part {
		if whole += e.n; i <= read {
			taken += e.n
		}
	}
	most, rows := "", 0
	for id, x := range of.byID {
		if n := x.number(); n > rows || n == rows && id < most {
			most, rows = id, n
		}
	}
	times := 1 + float64(of.held)*float64(whole)/float64(taken)/float64(d.room())
	return fmt.Errorf("source %s: the rows with repeated event ids need more memory than there is for them; allow %.0f times as much (--memory), "+
		"or correct the ids: %.60q has at least %d rows", of.source.Name, times, most, rows)
}

func appendText(dst, text []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

// appendTo appends the encoding of deliveries.
func (of *deliveries) appendTo(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(of.rows)))
	for i := range of.rows {
		r := &of.rows[i]
		dst = appendText(dst, r.row)
		for _, x := range []int64{int64(r.visible), int64(r.known), int64(r.pushed), int64(r.fills), int64(len(r.lateKnown))} {
			dst = binary.AppendVarint(dst, x)
		}
		for _, t := range r.lateKnown {
			dst = binary.AppendVarint(dst, int64(t))
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(of.bodies)))
	for _, b := range of.bodies {
		dst = binary.AppendVarint(append(dst, b.digest[:]...), b.rows)
	}
	return dst
}

// deliveryReader decodes what appendTo wrote; bad is set when it reads beyond the end.
type deliveryReader struct {
	src []byte
	bad bool
}

func (r *deliveryReader) take(n int) []byte {
	if n < 0 || n > len(r.src) {
		r.bad, r.src, n = true, nil, 0
	}
	out := r.src[:n:n]
	r.src = r.src[n:]
	return out
}

func (r *deliveryReader) count() int {
	n, width := binary.Uvarint(r.src)
	r.take(width)
	if width <= 0 || n > uint64(len(r.src)) {
		r.bad, n = true, 0
	}
	return int(n)
}

func (r *deliveryReader) number() int64 {
	n, width := binary.Varint(r.src)
	if width <= 0 {
		width = -1
	}
	r.take(width)
	return n
}

func (r *deliveryReader) text() []byte { return r.take(r.count()) }

// deliveries adds decoded deliveries to those with the same id.
func (r *deliveryReader) deliveries(of *deliveries, keepRows bool) {
	for range r.count() {
		d := delivery{row: r.text(), visible: plan.EventTime(r.number()), known: plan.EventTime(r.number()), pushed: int(r.number()), fills: int(r.number())}
		for range r.number() {
			d.lateKnown = append(d.lateKnown, plan.EventTime(r.number()))
			if r.bad {
				return
			}
		}
		switch {
		case keepRows || len(of.rows) == 0:
			of.rows = append(of.rows, d)
		case d.compare(&of.rows[0]) < 0:
			of.rows[0] = d
		}
	}
	for range r.count() {
		var digest eventlog.Digest
		copy(digest[:], r.take(len(digest)))
		of.count(digest, r.number())
	}
}
