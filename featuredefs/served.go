package featuredefs

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/featuredefs/yamldoc"
)

// ServedLog is what a server records of its answers. The zero value records nothing.
type ServedLog struct {
	Rate     float64            // the part of rows that is recorded, from 0 to 1
	Services map[string]float64 // of services that have another one
	Retain   plan.Micros        // how long it is kept; 0: the default
	Folder   string             // relative to the project; "": served in the data folder
	// HashEnv is the environment variable, and HashFile the file relative to the project, with the secret of
	// the HMACs that replace entity keys. If both are "", keys are recorded as they are.
	HashEnv, HashFile string
}

// ParseRate reads a part of the whole, such as 1%.
func ParseRate(text string) (float64, error) {
	if number, ok := strings.CutSuffix(text, "%"); ok {
		if percent, err := strconv.ParseFloat(number, 64); err == nil && percent >= 0 && percent <= 100 {
			return percent / 100, nil
		}
	}
	return 0, fmt.Errorf("%q is not a rate; write a percentage from 0%% to 100%%, like 1%%", text)
}

// parseServedLog reads served_log.
func (l *loader) parseServedLog(n *yamldoc.Node) {
	o := l.Object(n, "served_log", "rate", "services", "retain", "folder", "hash_keys")
	if o == nil {
		return
	}
	s := &l.project.ServedLog
	if rate := o.Get("rate"); rate != nil {
		s.Rate = l.rate(rate, "served_log.rate")
	}
	if services := o.Get("services"); services != nil {
		s.Services = l.serviceRates(services)
	}
	s.Retain, _ = o.Span("retain")
	s.Folder = filepath.FromSlash(o.Text("folder"))
	if h := o.Get("hash_keys"); h != nil {
		l.parseHashKeys(h)
	}
}

func (l *loader) rate(n *yamldoc.Node, what string) float64 {
	errors := l.Errors
	text := l.ScalarText(n, what)
	if l.Errors > errors {
		return 0
	}
	rate, err := ParseRate(text)
	if err != nil {
		l.Errorf(n.Pos, yamldoc.RuleWrongValue, "%s: %v", what, err)
	}
	return rate
}

// serviceRates reads the rates of services, whose names are looked up when all services are known.
func (l *loader) serviceRates(n *yamldoc.Node) map[string]float64 {
	if n.Kind != yamldoc.Mapping {
		l.Errorf(n.Pos, yamldoc.RuleWrongValue, "served_log.services must be a mapping like {fraud_v1: 100%%}, found %s", n.Describe())
		return nil
	}
	l.UniqueKeys(n)
	rates := map[string]float64{}
	for _, e := range n.Entries {
		name := l.ScalarText(e.Key, "service")
		rates[name] = l.rate(e.Value, "served_log.services."+name)
		l.recorded = append(l.recorded, e.Key)
	}
	return rates
}

// parseHashKeys reads where the secret is, which is no part of a project.
func (l *loader) parseHashKeys(n *yamldoc.Node) {
	errors := l.Errors
	o := l.Object(n, "served_log.hash_keys", "env", "file")
	if o == nil {
		return
	}
	s := &l.project.ServedLog
	if s.HashEnv, s.HashFile = o.Text("env"), filepath.FromSlash(o.Text("file")); (s.HashEnv == "") == (s.HashFile == "") && l.Errors == errors {
		l.Errorf(o.Node.Pos, yamldoc.RuleWrongValue, "served_log.hash_keys takes either env, an environment variable, or file; each contains the secret")
	}
}
