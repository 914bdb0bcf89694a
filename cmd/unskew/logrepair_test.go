package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/internal/pebbledir"
	"github.com/unskew/unskew/internal/redistest"
)

// A log that has lost the record of an event says so, takes no events, and is repaired: the event can be pushed again, counts once in
// serving and training, and everything goes on, on both stores. [p5]
func TestP5_ALostRecordIsRepaired(t *testing.T) {
	for _, store := range []string{"embedded", "redis"} {
		t.Run(store, func(t *testing.T) {
			p := &testProject{t, t.TempDir()}
			p.check(os.Mkdir(filepath.Join(p.dir, "features"), 0o755))
			p.write("features/defs.yaml", strings.NewReplacer("LIMIT", "", "FEATURE", "").Replace(limitedVisits))
			p.write("unskew.yaml", "project: torn\n")
			lose := func() {
				db, err := pebbledir.Open(filepath.Join(p.dir, ".unskew", "log"), "unskew eventlog 4", pebbledir.Options{})
				p.check(err)
				it, err := db.NewIter(nil)
				p.check(err)
				n := 0
				for ok := it.First(); ok; ok = it.Next() {
					if value, err := it.ValueAndErr(); err == nil && it.Key()[0] == 'e' && bytes.Contains(value, []byte("lost-id")) {
						p.check(db.Delete(bytes.Clone(it.Key()), nil))
						n++
					}
				}
				p.check(it.Close())
				p.check(db.Close())
				if n != 1 {
					t.Fatalf("%d records", n)
				}
			}
			if store == "redis" {
				server := redistest.Start(t, redistest.Durable...)
				t.Setenv(featuredefs.EnvRedisAddresses, server.Address)
				p.write("unskew.yaml", "project: torn\nonline: {redis: {addresses: [nowhere:1]}}\n")
				lose = func() {
					conn, err := net.Dial("unix", server.Address)
					p.check(err)
					defer conn.Close()
					answers := bufio.NewReader(conn)
					ask := func(command string, lines int) (last string) {
						_, err := fmt.Fprint(conn, command+"\r\n")
						p.check(err)
						for range lines {
							last, err = answers.ReadString('\n')
							p.check(err)
						}
						return strings.TrimSpace(last)
					}
					key := ask("KEYS *:log:{svisits}:events", 3)
					if got := ask("XDEL "+key+" 0-2", 1); got != ":1" {
						t.Fatal(key, got)
					}
				}
			}
			event := func(id string, x int) string {
				return fmt.Sprintf(`{"id": "%s", "user_id": "a", "ts": "2025-01-02T00:00:00Z", "x": %d.0}`+"\n", id, x)
			}
			p.write("visits.jsonl", event("first", 1)+event("lost-id", 2)+event("third", 4))
			p.run("push", "visits", "visits.jsonl", "-q")
			if out, _ := p.run("log", "repair"); out != "log of visits: 3 records, nothing is missing\n" {
				t.Errorf("a whole log: %s", out)
			}
			lose()
			if out := p.wrong("log", "repair"); !strings.Contains(out, "3 records; 1 record lost (position 2); 1 event whose id is to be forgotten") || !strings.Contains(out, "run: unskew log repair --yes") {
				t.Errorf("log repair: %s", out)
			}
			s, err := startServer(p.dir, nil)
			p.check(err)
			if out, _ := p.run("log", "repair", "visits", "--yes", "--json"); !strings.Contains(out, `"forgotten_ids": 1`) || !strings.Contains(out, `"repaired": true`) {
				t.Errorf("log repair --yes: %s", out)
			}
			if out, _ := p.run("log", "repair"); out != "log of visits: 3 records, 1 lost before, nothing is missing\n" {
				t.Errorf("after it: %s", out)
			}
			p.write("visits.jsonl", event("first", 1)+event("lost-id", 2)+event("third", 4)+event("new", 8))
			if out, _ := p.run("push", "visits", "visits.jsonl", "-q"); !strings.Contains(out, "4 events: 2 appended, 2 duplicates") {
				t.Errorf("pushed again: %s", out)
			}
			p.check(s.terminate())
			if out, _ := p.run("materialize", "--full", "-q"); !strings.Contains(out, "5 rows, 1 skipped (lost_record)") {
				t.Errorf("materialize: %s", out)
			}
			out, _ := p.run("get", "s", "-k", "user_id=a")
			if got := strings.Join(strings.Fields(out), " "); !strings.Contains(got, "v.n 4 ") || !strings.Contains(got, "v.total 15.0 ") {
				t.Errorf("get: %s", got)
			}
			if out, _ := p.run("log", "dead-letters"); !strings.HasSuffix(out, "\n0 dead letters\n") && out != "0 dead letters\n" {
				t.Errorf("dead letters: %s", out)
			}
		})
	}
}
