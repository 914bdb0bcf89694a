package recompute

import (
	"errors"
	"io/fs"
	"slices"
	"sync"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/servedlog"
)

// Unit is rows of the served log that are read together.
type Unit struct {
	Rows                   int
	Fingerprint            string // of the service that served them
	KeysHashed             bool
	Keys, Request, Outputs []plan.Field
	Read                   func() (*servedlog.Batch, error)
	Sources                func() (*servedlog.Batch, error) // without request fields and outputs
}

// segmentSpan is longer than a segment is written, with all that the clocks of servers differ.
const segmentSpan = plan.EventTime(plan.Hour)

// Find returns the rows of a service in a served log that were read from a time on and before another. Some of the rows may
// be of other times. The units keep some files open until close is called.
func Find(dir, service string, from, to plan.EventTime) (units []Unit, close func() error, err error) {
	files, err := servedlog.List(dir)
	if err != nil {
		return nil, nil, err
	}
	open := &openFiles{}
	for _, f := range files {
		if begun := plan.TimeOf(f.Begun); f.Service != service || begun-segmentSpan > to || begun+segmentSpan < from {
			continue
		}
		of, err := open.units(f.Path, from, to)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was removed because of its age
		}
		if err != nil {
			return nil, nil, errors.Join(err, open.close())
		}
		units = append(units, of...)
	}
	return units, open.close, nil
}

// openFiles keeps the segments open that were read last: each has several units, and opening one takes long.
type openFiles struct {
	mu   sync.Mutex
	list []*openFile // the latest first
}

type openFile struct {
	path    string
	segment *servedlog.Segment
	users   int
}

// mostOpen is how many segments are open that nobody reads, and one.
const mostOpen = 8

// use calls f with a segment.
func (o *openFiles) use(path string, f func(*servedlog.Segment) error) error {
	x, err := o.open(path)
	if err != nil {
		return err
	}
	err = f(x.segment)
	o.mu.Lock()
	defer o.mu.Unlock()
	x.users--
	for i := len(o.list) - 1; i >= mostOpen; i-- {
		if o.list[i].users == 0 {
			err = errors.Join(err, o.list[i].segment.Close())
			o.list = slices.Delete(o.list, i, i+1)
		}
	}
	return err
}

func (o *openFiles) open(path string) (*openFile, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := slices.IndexFunc(o.list, func(x *openFile) bool { return x.path == path })
	x := &openFile{path: path}
	if i >= 0 {
		x = o.list[i]
		o.list = slices.Delete(o.list, i, i+1)
	} else {
		var err error
		if x.segment, err = servedlog.Open(path); err != nil {
			return nil, err
		}
	}
	x.users++
	o.list = slices.Insert(o.list, 0, x)
	return x, nil
}

func (o *openFiles) close() (err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, x := range o.list {
		err = errors.Join(err, x.segment.Close())
	}
	o.list = nil
	return err
}

// units are the row groups of a segment.
func (o *openFiles) units(path string, from, to plan.EventTime) (units []Unit, err error) {
	read := func(g int, f func(*servedlog.Segment, int) (*servedlog.Batch, error)) (b *servedlog.Batch, err error) {
		err = o.use(path, func(s *servedlog.Segment) (err error) {
			b, err = f(s, g)
			return err
		})
		return b, err
	}
	err = o.use(path, func(s *servedlog.Segment) error {
		if s.Last < from || s.First >= to {
			return nil
		}
		for g, rows := range s.Groups() {
			units = append(units, Unit{
				Rows: rows, Fingerprint: s.Fingerprint, KeysHashed: s.KeysHashed, Keys: s.Keys, Request: s.Request, Outputs: s.Outputs,
				Read:    func() (*servedlog.Batch, error) { return read(g, (*servedlog.Segment).Group) },
				Sources: func() (*servedlog.Batch, error) { return read(g, (*servedlog.Segment).Sources) },
			})
		}
		return nil
	})
	return units, err
}

// shape is how the rows of a unit relate to the service as it is now.
type shape struct {
	version bool   // another version served them
	why     Reason // not compared: why none of them can be computed
	outputs []int  // by output of the service: its column in the rows, -1 if there is none
	views   bool   // the states of views are those of the service's views
}

// shapeOf compares the rows of a unit with the service.
func shapeOf(u *Unit, s *plan.Service) shape {
	sh := shape{version: u.Fingerprint != s.Fingerprint.String()}
	for _, o := range s.Outputs() {
		sh.outputs = append(sh.outputs, slices.IndexFunc(u.Outputs, func(f plan.Field) bool { return f.Name == o.Name && f.Type.Equal(o.Type) }))
	}
	switch {
	case u.KeysHashed:
		sh.why = keysHashed
	case !sh.version:
		sh.views = true
	case !slices.EqualFunc(u.Keys, s.Keys, sameField) || !slices.EqualFunc(u.Request, requestOnly(s), sameField):
		sh.why = otherFields
	}
	return sh
}

func sameField(f, g plan.Field) bool { return f.Name == g.Name && f.Type.Equal(g.Type) }

// requestOnly lists the request fields that are no keys, as the served log has them.
func requestOnly(s *plan.Service) []plan.Field {
	return slices.DeleteFunc(slices.Clone(s.Request), func(f plan.Field) bool {
		return slices.ContainsFunc(s.Keys, func(k plan.Field) bool { return k.Name == f.Name })
	})
}
