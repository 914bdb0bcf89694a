package server

import (
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/nearest"
	"github.com/unskew/unskew/internal/servedlog"
	"github.com/unskew/unskew/internal/wire"
)

// deployment is one plan, compiled for serving. It is immutable: a call keeps the one it began
// with, whatever Promote does meanwhile.
type deployment struct {
	plan     *plan.Plan
	services map[string]*service
	names    []string // of the services, ascending
	openAPI  []byte
}

// service is a feature service ready to be read.
type service struct {
	plan        *plan.Service
	fingerprint string
	outputs     []plan.Output
	types       []string       // of the outputs, as the definitions write them
	names       [][]byte       // of the outputs, encoded as members of a JSON object: with quotes and colon
	rowFields   []plan.Field   // the fields of a row in a row-shaped read
	elements    []int          // for each output, the maximum elements in a value; 0 for scalars
	index       map[string]int // of an output, by its name
	all         []int          // the indexes of all outputs
	sets        [][]int        // for each distinct set of keys that views read, the indexes of those keys in the request
	setOf       []int          // for each view, the index of its set
	behind      [][]int        // for each output, the views that it reads
	purposes    []uint64       // for each view, what its reader keeps of states; see registry.Query
	runs        []run          // all outputs
	full, short []oneValue     // for each output, how one row is written, and how in a compact answer
	sizes       []stateSize    // of the states of each view
	readers     *pool
	served      *servedlog.Stream           // nil: no row is recorded
	fieldsOnly  []int                       // the request fields that are no keys
	metrics     atomic.Pointer[readMetrics] // nil before the first read
}

func deploy(p *plan.Plan, served *servedlog.Log) (*deployment, error) {
	d := &deployment{plan: p, services: map[string]*service{}}
	for _, ps := range p.Services {
		s, err := newService(ps)
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", ps.Name, err)
		}
		if served != nil {
			if s.served, err = served.Stream(ps); err != nil {
				return nil, err
			}
		}
		d.services[ps.Name] = s
		d.names = append(d.names, ps.Name)
	}
	slices.Sort(d.names)
	var err error
	d.openAPI, err = openAPI(d, p)
	return d, err
}

func newService(p *plan.Service) (*service, error) {
	s := &service{plan: p, fingerprint: p.Fingerprint.String(), outputs: p.Outputs(), index: map[string]int{}, rowFields: rowFields(p), sizes: make([]stateSize, len(p.Views))}
	for i, o := range s.outputs {
		s.index[o.Name] = i
		s.all = append(s.all, i)
		s.types = append(s.types, o.Type.String())
		s.names = append(s.names, append(wire.AppendJSONString(nil, o.Name), ':'))
		s.elements = append(s.elements, maxElements(p, i))
	}
	for _, ref := range p.Views {
		index := make([]int, len(ref.Keys))
		for k, name := range ref.Keys {
			index[k] = slices.IndexFunc(p.Keys, func(f plan.Field) bool { return f.Name == name })
			if index[k] < 0 {
				return nil, fmt.Errorf("view %s reads key %q, which is not a key of the service", ref.As, name)
			}
		}
		set := slices.IndexFunc(s.sets, func(other []int) bool { return slices.Equal(other, index) })
		if set < 0 {
			set = len(s.sets)
			s.sets = append(s.sets, index)
		}
		s.setOf = append(s.setOf, set)
	}
	for i, f := range p.Request {
		if !slices.ContainsFunc(p.Keys, func(key plan.Field) bool { return key.Name == f.Name }) {
			s.fieldsOnly = append(s.fieldsOnly, i)
		}
	}
	first, err := newReader(s)
	if err != nil {
		return nil, err
	}
	for _, f := range p.Features {
		s.behind = append(s.behind, []int{f.Ref})
	}
	for d := range p.Derived {
		s.behind = append(s.behind, first.derive.Behind(d))
	}
	for range p.Views {
		s.purposes = append(s.purposes, lastPurpose.Add(1))
	}
	s.runs = runsOf(p)
	for o := range s.outputs {
		s.full, s.short = append(s.full, s.newOneValue(o, false)), append(s.short, s.newOneValue(o, true))
	}
	s.readers = newPool(runtime.GOMAXPROCS(0), first)
	return s, nil
}

// service finds a feature service by name.
func (d *deployment) service(name string) (*service, error) {
	if s, ok := d.services[name]; ok {
		return s, nil
	}
	return nil, notFound("no feature service %q%s", name, nearest.Hint(name, d.names))
}

// source finds a stream source by name.
func (d *deployment) source(name string) (*plan.Source, error) {
	src, ok := d.plan.Source(name)
	if !ok {
		names := make([]string, len(d.plan.Sources))
		for i, s := range d.plan.Sources {
			names[i] = s.Name
		}
		return nil, notFound("no source %q%s", name, nearest.Hint(name, names))
	}
	if !src.Stream {
		return nil, precondition("source %s does not accept pushed events; declare it with stream: true", name)
	}
	return src, nil
}
