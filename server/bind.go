package server

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/nearest"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/internal/vector"
	"github.com/unskew/unskew/internal/wire"
)

// query is a validated read: exactly the declared columns, with the declared types. Queries are
// pooled, and bind reuses their memory.
type query struct {
	n        int
	keys     []*vector.Vector // in the order of the service's keys
	request  vector.Batch
	outputs  []int // indexes into the service's outputs, in the order of the answer
	selected []int // buffer for outputs
	sets     []entitySet
	queries  []registry.Query // of the views
	fetched  []fetched        // of the views
	demand
	fresh   []viewFreshness // of each view, once its states are fetched
	sampled []int           // the rows that the served log records
	stale   []bool          // for each output of the service, whether it is STALE; nil: none is
}

// reset drops the references to the bound request, so that it can be collected.
func (q *query) reset() {
	clear(q.keys)
	clear(q.request.Cols)
	clear(q.queries)
	clear(q.fetched)
	q.outputs = nil
	q.demand, q.stale = demand{}, nil
}

// bind validates a request against its service. The query shares the request's columns.
func (s *service) bind(q *query, req *wire.Read, maxRows int) (err error) {
	if err := s.checkFingerprint(req.Fingerprint); err != nil {
		return err
	}
	if q.n, err = rowCount(maxRows, req.Keys, req.Request); err != nil {
		return err
	}
	if q.keys, err = s.bindColumns(q.keys[:0], "key", s.plan.Keys, req.Keys); err != nil {
		return err
	}
	request, err := s.bindColumns(q.request.Cols[:0], "request field", s.plan.Request, req.Request)
	if err != nil {
		return err
	}
	q.request = vector.Batch{N: q.n, Fields: s.plan.Request, Cols: request}
	if err := s.checkTexts(request); err != nil {
		return err
	}
	if err := s.checkSharedNames(q.keys, request, q.n); err != nil {
		return err
	}
	return s.selectOutputs(q, req.Features)
}

// shortestFingerprint is how many digits of a fingerprint the commands print, and the shortest
// prefix that a request may send.
const shortestFingerprint = 12

// checkFingerprint compares the fingerprint, or the prefix of one, that a request expects with that
// of the service.
func (s *service) checkFingerprint(want string) error {
	live := s.fingerprint
	switch {
	case want == "", len(want) >= shortestFingerprint && strings.HasPrefix(live, want):
		return nil
	case len(want) < shortestFingerprint:
		return invalid("fingerprint %q is too short; send the service_fingerprint of the training set's manifest.json, or its first %d digits or more", want, shortestFingerprint)
	}
	return precondition("service %s is live with fingerprint %s, and the request expects %s; serve the definitions that the model was trained on (check out their commit and materialize them), or retrain the model",
		s.plan.Name, live, want)
}

func rowCount(maxRows int, cols ...[]wire.Sent) (int, error) {
	n, err := wire.EqualRows(cols...)
	if err != nil {
		return 0, invalid("%v", err)
	}
	if n == 0 {
		return 0, invalid("the request has no rows; send at least one value in every column")
	}
	if n > maxRows {
		return 0, tooMuch("the request has %d rows and this server takes at most %d; send it in parts", n, maxRows)
	}
	return n, nil
}

// bindColumns appends one column to out for each declared field. Columns are matched by name, and
// each must be sent exactly once.
func (s *service) bindColumns(out []*vector.Vector, what string, fields []plan.Field, cols []wire.Sent) ([]*vector.Vector, error) {
	for range fields {
		out = append(out, nil)
	}
	for c := range cols {
		col := &cols[c]
		i := slices.IndexFunc(fields, func(f plan.Field) bool { return f.Name == col.Name })
		if i < 0 {
			return nil, s.unknownColumn(what, fields, col.Name)
		}
		if out[i] != nil {
			return nil, invalid("%s %q is sent twice; send each column once", what, col.Name)
		}
		v, err := col.As(fields[i].Type)
		if err != nil {
			return nil, invalid("%s %v", what, err)
		}
		out[i] = v
	}
	if i := slices.Index(out, nil); i >= 0 {
		return nil, invalid("%s %q (%v) of service %s is missing; it needs %s", what, fields[i].Name, fields[i].Type, s.plan.Name, listFields(fields))
	}
	return out, nil
}

// checkTexts refuses texts longer than those for which the cost of expressions is bounded.
func (s *service) checkTexts(request []*vector.Vector) error {
	for f, v := range request {
		for i, text := range v.Str {
			if what := limits.RequestText(len(text)); what != "" && v.Valid(i) {
				return invalid("row %d: request field %q of service %s: %s; send the part that the features need", i, s.plan.Request[f].Name, s.plan.Name, what)
			}
		}
	}
	return nil
}

// checkSharedNames makes sure that a key and a request field of the same name have equal values,
// because training reads both from one column of the spine.
func (s *service) checkSharedNames(keys, request []*vector.Vector, n int) error {
	for k, key := range s.plan.Keys {
		r := slices.IndexFunc(s.plan.Request, func(f plan.Field) bool { return f.Name == key.Name })
		if r < 0 {
			continue
		}
		for i := range n {
			a, b := keys[k].Value(i), request[r].Value(i)
			if !bytes.Equal(plan.AppendCanonical(nil, a), plan.AppendCanonical(nil, b)) {
				return invalid("row %d: %q is %v as a key and %v as a request field of service %s; it is one column of a training set, so send one value", i, key.Name, a, b, s.plan.Name)
			}
		}
	}
	return nil
}

func (s *service) unknownColumn(what string, fields []plan.Field, name string) error {
	return invalid("service %s has no %s %q%s; it has %s", s.plan.Name, what, name, nearest.Hint(name, fieldNames(fields)), listFields(fields))
}

// selectOutputs resolves the names of the outputs to answer; no names means all of them.
func (s *service) selectOutputs(q *query, names []string) error {
	if len(names) == 0 {
		q.outputs = s.all
		return nil
	}
	q.selected = q.selected[:0]
	seen := make([]bool, len(s.outputs))
	for _, name := range names {
		i, ok := s.index[name]
		if !ok {
			return invalid("service %s has no feature %q%s", s.plan.Name, name, nearest.Hint(name, s.outputNames()))
		}
		if seen[i] {
			return invalid("feature %q is selected twice; name each feature once", name)
		}
		seen[i] = true
		q.selected = append(q.selected, i)
	}
	q.outputs = q.selected
	return nil
}

func (s *service) outputNames() []string {
	names := make([]string, len(s.outputs))
	for i, o := range s.outputs {
		names[i] = o.Name
	}
	return names
}

func fieldNames(fields []plan.Field) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return names
}

func listFields(fields []plan.Field) string {
	if len(fields) == 0 {
		return "none"
	}
	parts := make([]string, len(fields))
	for i, f := range fields {
		parts[i] = fmt.Sprintf("%s (%v)", f.Name, f.Type)
	}
	return strings.Join(parts, ", ")
}
