package sdk

import (
	"fmt"
	"sync"

	"github.com/unskew/unskew/internal/wire"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

// known is what a client has learned about services from earlier answers. A service that has
// not changed since then omits names and types, which are most of an answer.
type known struct {
	mu       sync.Mutex
	services map[string]*shape
}

// shape is the outputs of a service under one fingerprint. It is immutable.
type shape struct {
	fingerprint string
	all         []string          // nil until an answer had all of them
	types       map[string]string // of the outputs seen so far
}

// expect adds the known fingerprint to the request, if enough is known to decode a compact
// answer.
func (k *known) expect(req *unskewv1.GetFeaturesRequest) *shape {
	k.mu.Lock()
	s := k.services[req.GetService()]
	k.mu.Unlock()
	if s == nil || len(req.GetFeatures()) == 0 && s.all == nil {
		return nil
	}
	for _, name := range req.GetFeatures() {
		if _, ok := s.types[name]; !ok {
			return nil
		}
	}
	req.KnownFingerprint = s.fingerprint
	return s
}

// learn records the outputs of a full answer.
func (k *known) learn(req *unskewv1.GetFeaturesRequest, res *unskewv1.GetFeaturesResponse) {
	s := &shape{fingerprint: res.GetFingerprint(), types: map[string]string{}}
	var names []string
	for _, o := range res.GetOutputs() {
		s.types[o.GetColumn().GetName()] = o.GetType()
		names = append(names, o.GetColumn().GetName())
	}
	if len(req.GetFeatures()) == 0 {
		s.all = names
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if old := k.services[req.GetService()]; old != nil && old.fingerprint == s.fingerprint {
		if s.all == nil {
			s.all = old.all
		}
		for name, typ := range old.types {
			s.types[name] = typ
		}
	}
	if k.services == nil {
		k.services = map[string]*shape{}
	}
	k.services[req.GetService()] = s
}

// complete fills in what a compact answer omits.
func (s *shape) complete(req *unskewv1.GetFeaturesRequest, res *unskewv1.GetFeaturesResponse) error {
	names := s.all
	if len(req.GetFeatures()) > 0 {
		names = req.GetFeatures()
	}
	if len(res.GetOutputs()) != len(names) {
		return fmt.Errorf("the server's answer has %d features, not the %d of the service", len(res.GetOutputs()), len(names))
	}
	res.Fingerprint = s.fingerprint
	for i, o := range res.GetOutputs() {
		if o.GetColumn() == nil {
			return fmt.Errorf("the server's answer has no values for feature %s", names[i])
		}
		o.Column.Name, o.Type = names[i], s.types[names[i]]
		if len(o.GetStatuses()) == 0 {
			o.Statuses = present(wire.Rows(o.GetColumn()))
		}
	}
	return nil
}

// somePresent is shared by the features of small answers in which all rows are PRESENT.
var somePresent = func() []unskewv1.Status {
	list := make([]unskewv1.Status, 1024)
	for i := range list {
		list[i] = unskewv1.Status_STATUS_PRESENT
	}
	return list
}()

func present(n int) []unskewv1.Status {
	if n <= len(somePresent) {
		return somePresent[:n:n]
	}
	list := make([]unskewv1.Status, n)
	for i := range list {
		list[i] = unskewv1.Status_STATUS_PRESENT
	}
	return list
}
