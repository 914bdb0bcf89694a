package serving

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/redistest"
	"github.com/unskew/unskew/materializer/training"
)

var update = flag.Bool("update", false, "write docs/metrics.md")

const served = `
kind: Entity
name: user
keys: [{name: user_id, type: int}]
---
kind: Source
name: clicks
stream: true
event_time: at
event_id: id
columns: {user_id: {type: int}, at: {type: timestamp}, id: {type: string}}
---
kind: FeatureView
name: user_clicks
entity: user
source: clicks
features: {n: count("1d")}
---
kind: FeatureService
name: ranking
features: [user_clicks]
`

// metric is a metric of a server, as the page has it.
type metric struct{ name, labels, help string }

var description = regexp.MustCompile(`fqName: "([^"]*)", help: "((?:[^"\\]|\\.)*)", unit: "[^"]*", constLabels: \{([^}]*)\}, variableLabels: \{([^}]*)\}`)

// metricsOfAServer lists the metrics of a server on Redis, which has all there are, by name.
func metricsOfAServer(t *testing.T) map[string]metric {
	t.Helper()
	dir := t.TempDir()
	defstest.Write(t, dir, served)
	t.Setenv(featuredefs.EnvRedisAddresses, redistest.Start(t).Address)
	p := defstest.Load(t, dir, featuredefs.Options{})
	p.ServedLog.Rate = 1
	r := newRun(Config{Project: p, Flags: Flags{Parity: true}, Out: io.Discard, Training: func(eventlog.Log, onlinestore.Store, *slog.Logger) (*training.Queue, error) {
		return training.Open(training.Config{Dir: filepath.Join(dir, "training"), Clock: time.Now})
	}}, sizes{near: 1 << 20})
	var err error
	if r.backend, err = backend.Of(p).Open(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	defer r.backend.Close()
	if err := r.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	described := make(chan *prometheus.Desc)
	go func() { r.metrics.Describe(described); close(described) }()
	all := map[string]metric{}
	for d := range described {
		m := description.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("%s is not described as expected", d)
		}
		var labels []string
		for _, l := range strings.Split(m[3]+","+m[4], ",") {
			if name, _, _ := strings.Cut(l, "="); name != "" {
				labels = append(labels, "`"+name+"`")
			}
		}
		if strings.HasPrefix(m[1], "unskew_") {
			all[m[1]] = metric{m[1], strings.Join(labels, ", "), m[2]}
		}
	}
	return all
}

func page(all map[string]metric) string {
	var b strings.Builder
	b.WriteString("# Metrics\n\n`GET /metrics` of a server, for Prometheus; besides these it has those of Go and of the process (`go_…`, `process_…`). Values of labels are names from\n" +
		"the definitions, the contract and this program, so their number is bounded. [`deploy/prometheus`](../deploy/prometheus/unskew.rules.yaml) has rules for alerts,\n" +
		"[`deploy/grafana`](../deploy/grafana/unskew.json) a dashboard. This page is written by a test.\n\n| metric | labels | meaning |\n| --- | --- | --- |\n")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, all[name].labels, all[name].help)
	}
	return b.String()
}

// The page lists every metric, and rules and dashboard use no other.
func TestMetricsAreDescribedAndUsedAsTheyAre(t *testing.T) {
	all := metricsOfAServer(t)
	const path = "../../docs/metrics.md"
	want := page(all)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("docs/metrics.md is not what the server has (%v); run: go test ./internal/serving -update", err)
	}
	used := regexp.MustCompile(`\bunskew_[a-z_]+`)
	for _, path := range []string{"../../deploy/prometheus/unskew.rules.yaml", "../../deploy/grafana/unskew.json"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		names := used.FindAllString(string(text), -1)
		if len(names) == 0 {
			t.Errorf("%s uses no metric", path)
		}
		for _, name := range names {
			base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count")
			if _, known := all[name]; !known && all[base].name == "" {
				t.Errorf("%s: no server has the metric %s", path, name)
			}
		}
	}
}

// A dashboard that Grafana can import: every panel has a place, a title and expressions.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("../../deploy/grafana/unskew.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		UID, Title    string
		SchemaVersion int
		Panels        []struct {
			ID      int
			Title   string
			Type    string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if d.UID == "" || d.Title == "" || d.SchemaVersion == 0 || len(d.Panels) == 0 {
		t.Errorf("%+v", d)
	}
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || p.GridPos.W == 0 || p.GridPos.X+p.GridPos.W > 24 || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %+v", p)
		}
		ids[p.ID] = true
	}
}
