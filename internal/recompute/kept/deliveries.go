package kept

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/servedlog"
	"github.com/unskew/unskew/internal/vector"
)

// Keys are key columns of a source, and which of the entities that they name are kept.
type Keys struct {
	Columns []string
	Sample  servedlog.Sample // of the hashes of their keys
}

// Deliveries are those of one source that concern some entities. They are for one goroutine.
type Deliveries struct {
	src    *plan.Source
	in     *ingest.Source
	keys   []*entities
	halved int // how often samples were halved

	chunks [][]byte
	places []place // of the items
	bytes  int64

	// mixed are, by the hash of an id, the items with ids of which deliveries name several entities. They need not be of a kept one.
	mixed map[uint64][]uint32
	// reading is, until history was read, whom the kept deliveries with an id name, by its hash; 0: several.
	reading map[uint64]uint64
	// ahead is, by the hashes of ids of files that the log does not know, whom their events name: the log would take another event
	// with one of them. nil: there are too many.
	ahead map[uint64]uint64
	again bool // the log has taken one: history is to be read again

	layouts *eventlog.Layouts   // of the log that is followed
	read    logpos.Vector       // of the log, up to which it was read
	last    []eventlog.Mark     // of the records there
	trimmed []eventlog.Position // of the log, up to which nobody can read it
	gone    []eventlog.Position // up to which it was trimmed when that was found out
}

// entities are those of some key columns.
type entities struct {
	Keys
	newest map[uint64]uint32 // by the hash of an entity's keys, its newest item, counted from 1
	older  []uint32          // by item, the one before of its entity, counted from 1; 0: none
}

// place is where the bytes of an item are: the number of a chunk, and the index in it.
type place uint64

// Items begin with what they are.
const (
	fileRow   = 0 // the canonical values of all columns follow
	logRecord = 1 // see appendRecord
)

// chunkBytes is the size of a chunk, except one with a larger item.
const chunkBytes = 1 << 16

// About what else is kept in memory takes.
const (
	placeBytes  = 8
	linkBytes   = 4
	entityBytes = 32
	idBytes     = 48
)

// mostAhead is how many ids that the log does not know are watched.
const mostAhead = 1 << 20

func newDeliveries(src *plan.Source, keys []Keys, halved int) (*Deliveries, error) {
	in, err := ingest.NewSource(src)
	if err != nil {
		return nil, err
	}
	d := &Deliveries{src: src, in: in, mixed: map[uint64][]uint32{}, reading: map[uint64]uint64{}, ahead: map[uint64]uint64{}}
	for _, k := range keys {
		d.keys = append(d.keys, &entities{Keys: k, newest: map[uint64]uint32{}})
	}
	for range halved {
		d.halve()
	}
	return d, nil
}

// Bytes is about what they take in memory.
func (d *Deliveries) Bytes() int64 {
	n := d.bytes + int64(len(d.places))*(placeBytes+linkBytes*int64(len(d.keys))) + idBytes*int64(len(d.reading)+len(d.ahead))
	for _, k := range d.keys {
		n += entityBytes * int64(len(k.newest))
	}
	for _, items := range d.mixed {
		n += idBytes + linkBytes*int64(len(items))
	}
	return n
}

// Entities is how many there are.
func (d *Deliveries) Entities() (n int) {
	for _, k := range d.keys {
		n += len(k.newest)
	}
	return n
}

// Watched reports whether it is noticed if the log takes an event with an id that files have for an event of another entity.
func (d *Deliveries) Watched() bool { return d.ahead != nil }

// Halved is how often the samples of entities were halved.
func (d *Deliveries) Halved() int { return d.halved }

// row is whom a row names.
type row struct {
	hashes []uint64 // of keys; of those with a null 0
	named  []bool   // keys without a null
	wanted bool     // one of them is kept
}

// cols are the key columns of a batch, by keys.
func (d *Deliveries) cols(b *vector.Batch) [][]*vector.Vector {
	out := make([][]*vector.Vector, len(d.keys))
	for i, k := range d.keys {
		for _, name := range k.Columns {
			out[i] = append(out[i], b.Col(name))
		}
	}
	return out
}

// look finds out whom row i names.
func (d *Deliveries) look(r *row, cols [][]*vector.Vector, i int) {
	r.hashes, r.named, r.wanted = r.hashes[:0], r.named[:0], false
	for k, of := range cols {
		hash, named := uint64(0), true
		for _, c := range of {
			named = named && c.Valid(i)
		}
		if named {
			hash = servedlog.Hash(of, i)
		}
		r.hashes, r.named = append(r.hashes, hash), append(r.named, named)
		r.wanted = r.wanted || named && d.keys[k].Sample.Has(hash)
	}
}

// whom is a number for whom a row names; never 0.
func (r *row) whom() uint64 {
	x := uint64(1)
	for _, h := range r.hashes {
		x = x*0x9e3779b97f4a7c15 + h
	}
	return max(x, 1)
}

// idHash is the hash of an event id.
func idHash(id string) uint64 {
	x := uint64(0xcbf29ce484222325)
	for i := range len(id) {
		x = (x ^ uint64(id[i])) * 0x100000001b3
	}
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	return x ^ x>>33
}

// watch notes the id of an event of files that the log does not know.
func (d *Deliveries) watch(id string, r *row) {
	if d.ahead == nil {
		return
	}
	if d.ahead[idHash(id)] = r.whom(); len(d.ahead) > mostAhead {
		d.ahead = nil
	}
}

// put keeps an item with the entities that a row names, and, if it has an id, notes whether others with that id name the same.
func (d *Deliveries) put(item []byte, r *row, id string) error {
	if len(d.places) >= math.MaxUint32-1 {
		return fmt.Errorf("source %s: more than %d deliveries are to be kept; give --parity less memory", d.src.Name, len(d.places))
	}
	d.places = append(d.places, d.store(item))
	n := uint32(len(d.places))
	for k, e := range d.keys {
		before := uint32(0)
		if r.named[k] && e.Sample.Has(r.hashes[k]) {
			before = e.newest[r.hashes[k]]
			e.newest[r.hashes[k]] = n
		}
		e.older = append(e.older, before)
	}
	if id == "" {
		return nil
	}
	hash := idHash(id)
	if of, is := d.mixed[hash]; is {
		d.mixed[hash] = append(of, n-1)
	}
	if d.reading == nil {
		return nil
	}
	if whom, known := d.reading[hash]; !known {
		d.reading[hash] = r.whom()
	} else if whom != r.whom() {
		d.reading[hash] = 0
	}
	return nil
}

// store copies the bytes of an item.
func (d *Deliveries) store(item []byte) place {
	last := len(d.chunks) - 1
	if last < 0 || len(d.chunks[last])+len(item) > cap(d.chunks[last]) {
		d.chunks = append(d.chunks, make([]byte, 0, max(chunkBytes, len(item))))
		last++
		d.bytes += int64(cap(d.chunks[last]))
	}
	at := place(last)<<32 | place(len(d.chunks[last]))
	d.chunks[last] = append(d.chunks[last], item...)
	return at
}

// item is the bytes from the beginning of an item on.
func (d *Deliveries) item(n uint32) []byte {
	at := d.places[n]
	return d.chunks[at>>32][uint32(at):]
}

// Halve keeps every other one of the entities, by their hashes.
func (d *Deliveries) Halve() {
	d.halve()
	d.compact(d.live())
}

func (d *Deliveries) halve() {
	d.halved++
	for _, e := range d.keys {
		e.Sample = e.Sample.Half()
	}
}

// live are the items of the entities that are still in the samples, and those of mixed ids.
func (d *Deliveries) live() vector.Bitmap {
	live := vector.NewBitmap(len(d.places))
	for _, e := range d.keys {
		maps.DeleteFunc(e.newest, func(hash uint64, _ uint32) bool { return !e.Sample.Has(hash) })
		for _, n := range e.newest {
			for ; n > 0; n = e.older[n-1] {
				live.Set(int(n - 1))
			}
		}
	}
	for _, items := range d.mixed {
		for _, n := range items {
			live.Set(int(n))
		}
	}
	return live
}

// compact drops the items that are not live.
func (d *Deliveries) compact(live vector.Bitmap) {
	chunks, places := d.chunks, d.places
	d.chunks, d.places, d.bytes = nil, nil, 0
	now := make([]uint32, len(places)) // by item, where it is, counted from 1; 0: nowhere
	for n, at := range places {
		if n > 0 && at>>32 != places[n-1]>>32 {
			chunks[places[n-1]>>32] = nil // its memory can be used again
		}
		if live.Get(n) {
			from := chunks[at>>32][uint32(at):]
			d.places = append(d.places, d.store(from[:d.size(from)]))
			now[n] = uint32(len(d.places))
		}
	}
	moved := func(n uint32) uint32 {
		if n == 0 {
			return 0
		}
		return now[n-1]
	}
	for _, e := range d.keys {
		older := make([]uint32, len(d.places))
		for n, before := range e.older {
			if now[n] > 0 {
				older[now[n]-1] = moved(before)
			}
		}
		for hash, n := range e.newest {
			e.newest[hash] = moved(n)
		}
		e.older = older
	}
	for _, items := range d.mixed {
		for i, n := range items {
			items[i] = now[n] - 1
		}
	}
	if d.reading != nil {
		d.forget()
	}
}

// forget drops the ids that no kept delivery has any more.
func (d *Deliveries) forget() {
	ids := map[uint64]uint64{}
	for n := range d.places {
		if id := d.idOf(uint32(n)); id != "" {
			ids[idHash(id)] = d.reading[idHash(id)]
		}
	}
	d.reading = ids
}

// size is how many bytes the item at the front of b has.
func (d *Deliveries) size(b []byte) int {
	rest := b[1:]
	if b[0] == logRecord {
		_, rest = decodeRecord(b)
		return len(b) - len(rest)
	}
	for range d.src.Columns {
		_, rest = value(rest)
	}
	return len(b) - len(rest)
}

// idOf is the id of an item.
func (d *Deliveries) idOf(n uint32) string {
	if d.src.EventID == "" {
		return ""
	}
	b := d.item(n)
	if b[0] == logRecord {
		r, _ := decodeRecord(b)
		return r.ID
	}
	rest := b[1:]
	for i := range d.src.Columns {
		c := &d.src.Columns[i]
		v, after := value(rest)
		if c.Name == d.src.EventID {
			return ingest.EventID(vector.Of(c.Type, v), 0)
		}
		rest = after
	}
	return ""
}

// value decodes the value at the front of b, which this package has encoded.
func value(b []byte) (plan.Value, []byte) {
	v, rest, err := plan.DecodeCanonical(b)
	if err != nil {
		panic("kept: a value does not survive its own encoding: " + err.Error())
	}
	return v, rest
}

// appendRow appends row i of a batch with all columns as an item.
func appendRow(dst []byte, b *vector.Batch, i int) []byte {
	dst = append(dst, fileRow)
	for _, c := range b.Cols {
		dst = plan.AppendCanonical(dst, c.Value(i))
	}
	return dst
}

// appendRecord appends a record as an item.
func appendRecord(dst []byte, r *eventlog.Record, shard int) []byte {
	dst = append(dst, logRecord)
	dst = binary.AppendUvarint(dst, uint64(shard))
	dst = binary.AppendUvarint(dst, uint64(r.Position))
	dst = binary.AppendVarint(dst, int64(r.Appended))
	versions := eventlog.AppendVersions(nil, r.Versions)
	for _, part := range [][]byte{[]byte(r.ID), r.Payload, versions} {
		dst = binary.AppendUvarint(dst, uint64(len(part)))
		dst = append(dst, part...)
	}
	return dst
}

// decodeRecord decodes the record at the front of b, whose memory it uses.
func decodeRecord(b []byte) (r eventlog.Record, rest []byte) {
	rest = b[1:]
	number := func() uint64 {
		n, used := binary.Uvarint(rest)
		rest = rest[used:]
		return n
	}
	part := func() []byte {
		n := number()
		out := rest[:n:n]
		rest = rest[n:]
		return out
	}
	r.Shard, r.Position = int(number()), eventlog.Position(number())
	appended, used := binary.Varint(rest)
	rest = rest[used:]
	r.Appended, r.ID, r.Payload = plan.EventTime(appended), string(part()), part()
	var err error
	if r.Versions, err = eventlog.DecodeVersions(part()); err != nil {
		panic("kept: the versions of a record do not survive their own encoding: " + err.Error())
	}
	return r, rest
}
