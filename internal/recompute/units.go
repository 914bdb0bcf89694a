package recompute

import (
	"errors"
	"io/fs"
	"slices"

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
}

// Find returns the rows of a service in a served log that were read from a time on and before another. Some of the rows may
// be of other times.
func Find(dir, service string, from, to plan.EventTime) ([]Unit, error) {
	files, err := servedlog.List(dir)
	if err != nil {
		return nil, err
	}
	var units []Unit
	for _, f := range files {
		if f.Service != service {
			continue
		}
		of, err := unitsOf(f.Path, from, to)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was removed because of its age
		}
		if err != nil {
			return nil, err
		}
		units = append(units, of...)
	}
	return units, nil
}

// unitsOf are the row groups of a segment.
func unitsOf(path string, from, to plan.EventTime) (units []Unit, err error) {
	s, err := servedlog.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if s.Last < from || s.First >= to {
		return nil, nil
	}
	for g, rows := range s.Groups() {
		units = append(units, Unit{
			Rows: rows, Fingerprint: s.Fingerprint, KeysHashed: s.KeysHashed, Keys: s.Keys, Request: s.Request, Outputs: s.Outputs,
			Read: func() (*servedlog.Batch, error) { return readGroup(path, g) },
		})
	}
	return units, nil
}

func readGroup(path string, g int) (b *servedlog.Batch, err error) {
	s, err := servedlog.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.Group(g)
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
