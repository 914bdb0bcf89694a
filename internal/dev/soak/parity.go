package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// found is what the server has found of its own answers: every one of them is right, so what it takes for wrong, or for different
// from training for a reason that is not there, is a false alarm.
type found struct {
	rounds  int64
	checked int64 // values
	alarms  int64
	why     string // the causes, of values different from those over what had been applied, and from those of training
}

// natural are the causes that this load has: training sees what was pushed before it was applied, and views are built anew.
var natural = map[string]bool{"lag": true, "version": true}

func (l *load) parity() (f found, err error) {
	res, err := http.Get("http://" + l.server.Address + "/parity")
	if err != nil {
		return f, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return f, err
	}
	type tally struct {
		Compared, Different int64
		Causes              map[string]int64
	}
	var status struct {
		Rounds   int64
		Failed   string
		Services []struct{ Compute, Data tally }
	}
	if err := json.Unmarshal(text, &status); err != nil {
		return f, fmt.Errorf("/parity: %w: %.200s", err, text)
	}
	if status.Failed != "" {
		return f, fmt.Errorf("a round of parity failed: %s", status.Failed)
	}
	f.rounds = status.Rounds
	var causes []string
	for _, s := range status.Services {
		f.checked += s.Compute.Compared + s.Data.Compared
		f.alarms += s.Compute.Different
		for cause, n := range s.Compute.Causes {
			causes = append(causes, fmt.Sprintf("compute parity: %s %d", cause, n))
		}
		for cause, n := range s.Data.Causes {
			if !natural[cause] {
				f.alarms += n
			}
			causes = append(causes, fmt.Sprintf("data parity: %s %d", cause, n))
		}
	}
	f.why = strings.Join(causes, ", ")
	return f, nil
}
