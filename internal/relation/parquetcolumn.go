package relation

import (
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// badValue is a value that its column's type cannot hold.
type badValue struct{ text, reason string }

// chunkReader reads the values of one column of a row group in order.
type chunkReader interface {
	// load ensures that up to n rows can be read while holding at most budget bytes in
	// memory. It returns how many, at least one.
	load(n int, budget int64) (int, error)
	// fill reads n loaded rows into the vector. The vector is valid until the next call.
	fill(n int) error
	badValues() map[int]badValue
	close() error
}

// lane is the vector that a column is read into, with its bad values.
type lane struct {
	vector *vector.Vector
	bad    map[int]badValue // by row in the vector
}

func (l *lane) badValues() map[int]badValue { return l.bad }

func (l *lane) begin(n int) {
	l.vector.Resize(n)
	clear(l.bad)
}

func (l *lane) report(i int, text, reason string) {
	if l.bad == nil {
		l.bad = map[int]badValue{}
	}
	l.bad[i] = badValue{text, reason}
}

// end marks the bad rows.
func (l *lane) end() {
	for i := range l.bad {
		l.vector.SetErr(i)
	}
}

// columnReader reads a column page by page.
type columnReader struct {
	lane
	pages   *pages
	convert converter
	asIs    bool          // see source
	own     vector.Vector // the vector's own memory while its lane points into a page

	loaded []pageReader // pages that the vector refers to, and pages read ahead
	done   []*page

	dictionary *dictionary    // the dictionary that entries were converted from
	entries    *vector.Vector // with their UTF-8 check done
	badEntries map[int]badValue
}

// pageReader is a page and the position in it.
type pageReader struct {
	*page
	left  int // rows
	row   int // rows read
	value int // values read
}

// load reads pages until they hold n rows or more than budget bytes.
func (c *columnReader) load(n int, budget int64) (int, error) {
	rows, bytes := 0, int64(0)
	for i := range c.loaded {
		rows += c.loaded[i].left
		bytes += c.loaded[i].bytes()
	}
	for rows == 0 || rows < n && bytes < budget {
		p, err := c.pages.next()
		if errors.Is(err, io.EOF) {
			return 0, errors.New("it ends early")
		}
		if err != nil {
			return 0, err
		}
		c.loaded = append(c.loaded, pageReader{page: p, left: p.rows})
		rows += p.rows
		bytes += p.bytes()
	}
	return min(rows, n), nil
}

func (c *columnReader) fill(n int) error {
	c.release()
	if c.borrow(n) {
		return nil
	}
	c.begin(n)
	c.vector.UTF8 = c.vector.Type.Kind == plan.String
	for at := 0; at < n; {
		p := &c.loaded[0]
		m := min(n-at, p.left)
		if err := c.read(p, at, m); err != nil {
			return err
		}
		at += m
		if p.left == 0 {
			c.done = append(c.done, p.page)
			c.loaded = c.loaded[1:]
		}
	}
	c.end()
	c.own.Int, c.own.Double = c.vector.Int, c.vector.Double
	return nil
}

// borrow points the vector's lane at n rows of a page instead of copying them, if the page
// stores them in the lane's format. Each call first restores the vector's own memory.
func (c *columnReader) borrow(n int) bool {
	if !c.asIs {
		return false
	}
	c.vector.Int, c.vector.Double = c.own.Int, c.own.Double
	p := &c.loaded[0]
	if p.levels != nil || p.left <= n || p.dictionary != nil {
		return false
	}
	data := p.values
	c.vector.N, c.vector.Null, c.vector.Err = n, nil, nil
	if c.vector.Type.Kind == plan.Double {
		c.vector.Double = data.Double()[p.value:][:n:n]
	} else {
		c.vector.Int = data.Int64()[p.value:][:n:n]
	}
	p.row, p.value, p.left = p.row+n, p.value+n, p.left-n
	return true
}

// release frees the pages that the vector no longer refers to.
func (c *columnReader) release() {
	for _, p := range c.done {
		p.release()
	}
	c.done = c.done[:0]
}

func (c *columnReader) close() error {
	c.release()
	for _, p := range c.loaded {
		p.release()
	}
	c.loaded = nil
	return c.pages.close()
}

// read reads m rows of a page into the vector, starting at row at.
func (c *columnReader) read(p *pageReader, at, m int) error {
	values := m
	if p.levels != nil {
		values = 0
		for _, l := range p.levels[p.row : p.row+m] {
			values += int(l)
		}
	}
	if values > 0 {
		if err := c.values(p, at, values); err != nil {
			return err
		}
	}
	if values < m {
		c.scatter(p.levels[p.row:p.row+m], at, values)
	}
	p.row, p.value, p.left = p.row+m, p.value+values, p.left-m
	return nil
}

// values reads the next n values of a page into the vector, without gaps for nulls.
func (c *columnReader) values(p *pageReader, at, n int) error {
	d := p.dictionary
	if d == nil {
		c.convert(c.vector, at, &p.page.values, p.value, n, c.report)
		c.vector.UTF8 = c.vector.UTF8 && areUTF8(c.vector.Str[at:at+n])
		return nil
	}
	if d != c.dictionary {
		c.convertDictionary(d)
	}
	c.vector.UTF8 = c.vector.UTF8 && c.entries.UTF8
	indexes := p.page.values.Int32()[p.value : p.value+n]
	for _, x := range indexes {
		if uint(x) >= uint(c.entries.N) {
			return fmt.Errorf("it refers to entry %d of a dictionary of %d", x, c.entries.N)
		}
	}
	gather(c.vector, at, c.entries, indexes)
	if len(c.badEntries) > 0 {
		for i, x := range indexes {
			if b, ok := c.badEntries[int(x)]; ok {
				c.report(at+i, b.text, b.reason)
			}
		}
	}
	return nil
}

func (c *columnReader) convertDictionary(d *dictionary) {
	c.dictionary, c.badEntries = d, nil
	c.entries = vector.New(c.vector.Type, d.n)
	if d.n == 0 {
		return
	}
	c.convert(c.entries, 0, &d.values, 0, d.n, func(i int, text, reason string) {
		if c.badEntries == nil {
			c.badEntries = map[int]badValue{}
		}
		c.badEntries[i] = badValue{text, reason}
	})
	c.entries.UTF8 = areUTF8(c.entries.Str)
}

// areUTF8 reports whether all strings are UTF-8.
func areUTF8(s []string) bool {
	for _, x := range s {
		if !utf8.ValidString(x) {
			return false
		}
	}
	return true
}

// gather copies the entries with the given indexes.
func gather(v *vector.Vector, at int, entries *vector.Vector, indexes []int32) {
	switch {
	case len(entries.Int) > 0:
		out := v.Int[at : at+len(indexes)]
		for i, x := range indexes {
			out[i] = entries.Int[x]
		}
	case len(entries.Double) > 0:
		out := v.Double[at : at+len(indexes)]
		for i, x := range indexes {
			out[i] = entries.Double[x]
		}
	case len(entries.Str) > 0:
		out := v.Str[at : at+len(indexes)]
		for i, x := range indexes {
			out[i] = entries.Str[x]
		}
	default:
		for i, x := range indexes {
			v.Bits.Put(at+i, entries.Bits.Get(int(x)))
		}
	}
}

// scatter moves values that lie without gaps from row at on to the rows whose level is 1,
// and marks the other rows null.
func (c *lane) scatter(levels []byte, at, values int) {
	v := c.vector
	from := at + values
	for i := len(levels) - 1; i >= 0; i-- {
		to := at + i
		if levels[i] == 0 {
			v.SetNull(to)
			if v.Str != nil {
				v.Str[to] = "" // it may point into a page that has been reused
			}
			continue
		}
		if from--; from == to {
			continue
		}
		switch {
		case v.Int != nil:
			v.Int[to] = v.Int[from]
		case v.Double != nil:
			v.Double[to] = v.Double[from]
		case v.Str != nil:
			v.Str[to] = v.Str[from]
		default:
			v.Bits.Put(to, v.Bits.Get(from))
		}
		if b, ok := c.bad[from]; ok {
			delete(c.bad, from)
			c.bad[to] = b
		}
	}
}
