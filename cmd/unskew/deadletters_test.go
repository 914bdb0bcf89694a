package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/internal/redistest"
)

const limitedVisits = `kind: Entity
name: user
keys: [{name: user_id, type: string}]
---
{kind: Source, name: visits, stream: true, event_time: ts, event_id: id,LIMIT columns: {id: {type: string}, user_id: {type: string}, ts: {type: timestamp}, x: {type: double}}}
---
kind: FeatureView
name: v
entity: user
source: visits
features: {n: count(), total: sum(x)FEATURE}
---
kind: FeatureService
name: s
features: [v]
`

// An event that was set aside because of a limit is in the state after a replay, once, while a server runs, on both stores. [p6]
func TestP6_DeadLettersAreReplayed(t *testing.T) {
	for _, store := range []string{"embedded", "redis"} {
		t.Run(store, func(t *testing.T) {
			p := &testProject{t, t.TempDir()}
			p.check(os.Mkdir(filepath.Join(p.dir, "features"), 0o755))
			p.write("unskew.yaml", "project: letters\n")
			if store == "redis" {
				server := redistest.Start(t, redistest.Durable...)
				t.Setenv(featuredefs.EnvRedisAddresses, server.Address)
				p.write("unskew.yaml", "project: letters\nonline: {redis: {addresses: [nowhere:1]}}\n")
			}
			define := func(limit, feature string) {
				p.write("features/defs.yaml", strings.NewReplacer("LIMIT", limit, "FEATURE", feature).Replace(limitedVisits))
			}
			// Another feature makes it a new version of the view, which begins with the log.
			const limit, feature = " min_time: 2025-01-01,", ", top: max(x)"
			push := func(events string) {
				p.write("visits.jsonl", events)
				p.run("push", "visits", "visits.jsonl", "-q")
			}
			define("", "")
			push(`{"id": "a", "user_id": "a", "ts": "2025-01-02T00:00:00Z", "x": 1.0}
{"id": "b", "user_id": "a", "ts": "2024-12-31T00:00:00Z", "x": 2.0}
{"id": "c", "user_id": "b", "ts": "2024-12-31T00:00:00Z", "x": 4.0}
`)
			define(limit, feature)
			push(`{"id": "z", "user_id": "z", "ts": "2025-01-02T00:00:00Z", "x": 1.0}`)
			s, err := startServer(p.dir, nil)
			p.check(err)
			value := func(user string) string {
				t.Helper()
				out, _ := p.run("get", "s", "-k", "user_id="+user)
				return strings.Join(strings.Fields(out), " ")
			}
			if got := value("a"); !strings.Contains(got, "v.total 1.0 ") {
				t.Errorf("before: %s", got)
			}
			p.awaitOpen(s, 2)
			if out := p.wrong("log", "dead-letters"); !strings.Contains(out, "\n2 dead letters\n") {
				t.Errorf("%s", out)
			}
			p.check(s.terminate())
			define("", feature)
			if s, err = startServer(p.dir, nil); err != nil {
				t.Fatal(err)
			}
			for n, want := range []string{"\n2 dead letters replayed, 0 still open\n", "0 dead letters replayed, 0 still open\n"} {
				out, _ := p.run("log", "dead-letters", "replay", "-q")
				if p.awaitOpen(s, 0); !strings.HasSuffix(out, want) {
					t.Errorf("replay %d: %s", n, out)
				}
				if a, b := value("a"), value("b"); !strings.Contains(a, "v.n 2 ") || !strings.Contains(a, "v.total 3.0 ") || !strings.Contains(b, "v.total 4.0 ") {
					t.Errorf("after replay %d: %s, %s", n, a, b)
				}
			}
			if out, _ := p.run("log", "dead-letters", "--json"); strings.Count(out, `"status": "replayed"`) != 2 {
				t.Errorf("%s", out)
			}
			push(`{"id": "d", "user_id": "a", "ts": "2025-01-03T00:00:00Z", "x": 8.0}`)
			if a := value("a"); !strings.Contains(a, "v.total 11.0 ") {
				t.Errorf("after another event: %s", a)
			}
			p.check(s.terminate())
		})
	}
}

// awaitOpen waits until the metrics of a server say so many open letters.
func (p *testProject) awaitOpen(s *running, n int) {
	p.Helper()
	want := fmt.Sprintf("\nunskew_dead_letters_open{view=\"v\"} %d\n", n)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-again.C {
		status, _, text, err := ask(s.url+"/metrics", "")
		p.check(err)
		if status == 200 && strings.Contains(text, want) {
			return
		}
		if time.Now().After(deadline) {
			p.Fatalf("the metrics lack %s: %s", want, text)
		}
	}
}
