package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/internal/clock"
	"github.com/unskew/unskew/internal/eventlog"
	pebblelog "github.com/unskew/unskew/internal/eventlog/pebble"
	pebblestore "github.com/unskew/unskew/internal/onlinestore/pebble"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/materializer/offline"
)

// Every test here runs a command once undisturbed, then kills it at different points, runs
// it again and compares the results.

// kills is the number of points of a run at which it is killed.
const kills = 4

// killedAt numbers these points, with -short every second one from a drawn one on.
func killedAt() []int {
	if testing.Short() {
		first := rand.IntN(2)
		return []int{first, first + 2}
	}
	return []int{0, 1, 2, 3}
}

// pushed is the number of events that are pushed or in the history.
const pushed = 15_000

// customers of the generated events; few, so that every state changes often.
const customers = 4

// event is one payment, as CSV and as JSON.
type event struct{ csv, json string }

func payments(n int) []event {
	rng := rand.New(rand.NewPCG(1, 2))
	begin := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	out := make([]event, n)
	for i := range out {
		at := begin.Add(time.Duration(rng.IntN(100*86_400)) * time.Second).Format(time.RFC3339)
		customer, amount, country := rng.IntN(customers), rng.Float64(), []string{"DE", "FR", "IT"}[rng.IntN(3)]
		out[i] = event{
			fmt.Sprintf("e%d,%s,%d,%v,%s\n", i, at, customer, amount, country),
			fmt.Sprintf(`{"id":"e%d","paid_at":"%s","customer_id":%d,"amount":%v,"country":"%s"}`+"\n", i, at, customer, amount, country),
		}
	}
	return out
}

// testProject is a copy of testdata/shop.
type testProject struct {
	*testing.T
	dir string
}

func newTestProject(t *testing.T) *testProject {
	t.Helper()
	p := &testProject{t, t.TempDir()}
	p.check(os.CopyFS(p.dir, os.DirFS("testdata/shop")))
	return p
}

// again is a new copy of p.
func (p *testProject) again() *testProject {
	q := newTestProject(p.T)
	p.check(os.RemoveAll(q.dir))
	p.check(os.CopyFS(q.dir, os.DirFS(p.dir)))
	return q
}

func (p *testProject) check(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

func (p *testProject) write(name, text string) {
	p.Helper()
	p.check(os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o644))
}

func (p *testProject) command(args ...string) *exec.Cmd {
	c := exec.Command("unskew", args...)
	c.Dir = p.dir
	return c
}

// run runs a command to its end and returns how long that took.
func (p *testProject) run(args ...string) (stdout string, took time.Duration) {
	p.Helper()
	var out, stderr bytes.Buffer
	c := p.command(args...)
	c.Stdout, c.Stderr = &out, &stderr
	begun := time.Now()
	if err := c.Run(); err != nil {
		p.Fatalf("unskew %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out.String(), time.Since(begun)
}

// kill runs a command and kills it after a time; it reports whether that came before
// the end.
func (p *testProject) kill(after time.Duration, args ...string) bool {
	p.Helper()
	c := p.command(args...)
	p.check(c.Start())
	return p.killed(c, after)
}

// killed kills a command after a time and waits for it.
func (p *testProject) killed(c *exec.Cmd, after time.Duration) bool {
	p.Helper()
	timer := time.AfterFunc(after, func() { _ = c.Process.Kill() })
	defer timer.Stop()
	err := c.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return true
	}
	p.check(err)
	return false
}

// feed starts a command that reads from standard input and writes lines to it. When feed
// returns, the command has read all of them except what fits into a pipe.
func (p *testProject) feed(lines []string, args ...string) (*exec.Cmd, io.WriteCloser) {
	p.Helper()
	c := p.command(args...)
	in, err := c.StdinPipe()
	p.check(err)
	p.check(c.Start())
	_, err = io.WriteString(in, strings.Join(lines, ""))
	p.check(err)
	return c, in
}

// eachKill calls f with times between begun and took, which say when an undisturbed run
// began to work and when it ended. f must report a kill at least once.
func eachKill(t *testing.T, begun, took time.Duration, f func(t *testing.T, after time.Duration) bool) {
	killed := 0
	for _, i := range killedAt() {
		begun = min(begun, took/2)
		after := begun + (took-begun)*time.Duration(i+1)/(kills+1)
		t.Run(fmt.Sprintf("%d of %d", i+1, kills+1), func(t *testing.T) {
			if f(t, after) {
				killed++
			} else {
				took = after // the machine is faster now than when it was measured
			}
		})
	}
	// A run may be faster than the one that was measured.
	for after := took / 2; killed == 0 && after > time.Millisecond; after /= 2 {
		t.Run(fmt.Sprintf("after %v", after), func(t *testing.T) {
			if f(t, after) {
				killed++
			}
		})
	}
	if killed == 0 {
		t.Error("every run ended before it was killed")
	}
}

// states is the live state of every view by entity key; a view that is not live has
// none.
func (p *testProject) states() map[string]map[string]string {
	p.Helper()
	project, found, err := featuredefs.Load(p.dir, featuredefs.Options{})
	p.check(err)
	if found.HasErrors() {
		p.Fatal(found)
	}
	ctx := context.Background()
	store, err := pebblestore.Open(filepath.Join(p.dir, ".unskew", "store"), pebblestore.Options{})
	p.check(err)
	defer func() { p.check(store.Close()) }()
	all := map[string]map[string]string{}
	for _, v := range project.Plan.Views {
		g, err := registry.Live(ctx, store, v)
		if none := (*registry.NotMaterialized)(nil); errors.As(err, &none) {
			continue
		}
		p.check(err)
		states := map[string]string{}
		p.check(store.Scan(ctx, g.Prefix(), func(key, value []byte) error {
			states[strings.TrimPrefix(string(key), string(g.Prefix()))] = string(value)
			return nil
		}))
		all[v.Name] = states
	}
	return all
}

func TestO7_KilledMaterialize(t *testing.T) {
	p := newTestProject(t)
	var text strings.Builder
	text.WriteString("id,paid_at,customer_id,amount,country\n")
	for _, e := range payments(pushed) {
		text.WriteString(e.csv)
	}
	p.write("data/payments.csv", text.String())
	whole := p.again()
	_, took := whole.run("materialize", "-q")
	want := whole.states()
	if len(want["spending"]) != customers || len(want["support"]) != 2 {
		t.Fatalf("%d and %d states", len(want["spending"]), len(want["support"]))
	}
	_, begun := whole.run("materialize", "-q") // nothing to do
	eachKill(t, begun, took, func(t *testing.T, after time.Duration) bool {
		q := (&testProject{t, p.dir}).again()
		killed := q.kill(after, "materialize", "-q")
		if _, err := os.Stat(filepath.Join(q.dir, ".unskew", "store")); err == nil {
			for view, states := range q.states() {
				if !maps.Equal(states, want[view]) {
					t.Errorf("after the kill, view %s is live and incomplete", view)
				}
				t.Logf("view %s was live", view)
			}
		}
		q.kill(begun, "materialize", "-q")
		q.run("materialize", "-q")
		if got := q.states(); !reflect.DeepEqual(got, want) {
			t.Error("the states are not those of an undisturbed run")
		}
		return killed
	})
}

// values is what get returns for every customer, without the time and the staleness.
func (p *testProject) values() [customers]map[string]any {
	p.Helper()
	var all [customers]map[string]any
	for i := range all {
		out, _ := p.run("get", "churn_v1", "-k", fmt.Sprintf("customer_id=%d", i), "-r", "basket=1", "--json")
		p.check(json.Unmarshal([]byte(out), &all[i]))
		delete(all[i], "staleness")
		delete(all[i], "as_of")
		delete(all[i], "staleness")
	}
	return all
}

// logged is the ids in the log of the payments, with the number of records of each.
func (p *testProject) logged() map[string]int {
	p.Helper()
	log, err := pebblelog.Open(filepath.Join(p.dir, ".unskew", "log"), pebblelog.Options{Clock: clock.Now})
	p.check(err)
	defer func() { p.check(log.Close()) }()
	ids := map[string]int{}
	for after := eventlog.Position(0); ; {
		records, err := log.Read(context.Background(), "payments", after, 1000)
		p.check(err)
		if len(records) == 0 {
			return ids
		}
		for _, r := range records {
			ids[r.ID]++
		}
		after = records[len(records)-1].Position
	}
}

// pushing is a materialized project with events to push, and the expected results.
type pushing struct {
	*testProject
	lines  []string
	logged map[string]int
	values [customers]map[string]any
}

func newPushing(t *testing.T) *pushing {
	want := &pushing{testProject: newTestProject(t)}
	for _, e := range payments(pushed) {
		want.lines = append(want.lines, e.json)
	}
	want.write("events.jsonl", strings.Join(want.lines, ""))
	want.run("materialize", "-q")
	whole := want.again()
	whole.run("push", "payments", "events.jsonl", "-q")
	want.logged, want.values = whole.logged(), whole.values()
	if len(want.logged) != pushed {
		t.Fatalf("%d events in the log", len(want.logged))
	}
	return want
}

// verify compares the results of pushing with the expected ones.
func (want *pushing) verify(p *testProject) {
	p.Helper()
	if got := p.logged(); !maps.Equal(got, want.logged) {
		p.Errorf("the log has %d events, not each of %d once", len(got), len(want.logged))
	}
	if got := p.values(); !reflect.DeepEqual(got, want.values) {
		p.Errorf("values are\n%v\nwithout a kill they are\n%v", got, want.values)
	}
}

func TestO7_KilledWhilePushing(t *testing.T) {
	want := newPushing(t)
	for _, i := range killedAt() {
		n := pushed * (i + 1) / (kills + 1)
		t.Run(fmt.Sprintf("after %d lines", n), func(t *testing.T) {
			q := (&testProject{t, want.dir}).again()
			c, _ := q.feed(want.lines[:n], "push", "payments", "-q")
			if !q.killed(c, 0) {
				t.Error("it ended before its input did")
			}
			t.Logf("%d events were in the log", len(q.logged()))
			q.run("push", "payments", "events.jsonl", "-q")
			want.verify(q)
		})
	}
}

// Events that are all in the log are applied.
func TestO7_KilledWhileApplying(t *testing.T) {
	want := newPushing(t)
	for _, i := range killedAt() {
		after := []time.Duration{0, 5, 20, 50}[i] * time.Millisecond
		t.Run(after.String(), func(t *testing.T) {
			q := (&testProject{t, want.dir}).again()
			c, in := q.feed(want.lines, "push", "payments", "-q")
			q.check(in.Close())
			t.Logf("killed: %v", q.killed(c, after))
			q.run("push", "payments", "events.jsonl", "-q")
			want.verify(q)
		})
	}
}

// A server applies while it takes events.
func TestO7_KilledServer(t *testing.T) {
	want := newPushing(t)
	for _, i := range killedAt() {
		n := pushed * (i + 1) / (kills + 1)
		t.Run(fmt.Sprintf("after %d lines", n), func(t *testing.T) {
			q := (&testProject{t, want.dir}).again()
			s, err := startServer(q.dir, nil)
			q.check(err)
			push, in := q.feed(want.lines[:n], "push", "payments", "-q", "--server", s.url)
			s.signal(syscall.SIGKILL)
			// One more event, in case all others were answered; the push may have failed already.
			_, _ = io.WriteString(in, want.lines[n])
			_ = in.Close()
			if err := push.Wait(); err == nil {
				t.Error("the push did not notice that the server had died")
			}
			t.Logf("%d events were in the log", len(q.logged()))
			s, err = startServer(q.dir, nil)
			q.check(err)
			q.run("push", "payments", "events.jsonl", "-q", "--server", s.url)
			q.check(s.terminate())
			// What the server had not applied yet is applied by the next command.
			q.run("push", "payments", os.DevNull, "-q")
			want.verify(q)
		})
	}
}

// The directory has the old training set, the new one or, for a moment, none.
func TestKilledTrain(t *testing.T) {
	p := newTestProject(t)
	var spine strings.Builder
	spine.WriteString("customer_id,asked_at,basket,churned\n")
	for i := range 50_000 {
		fmt.Fprintf(&spine, "%d,2025-03-05T00:00:00Z,%d,false\n", i%10, i)
	}
	p.write("data/spine.csv", spine.String())
	p.run("train", "-q", "--out", "set")
	whole := p.again()
	_, begun := whole.run("validate")
	_, took := whole.run("train", "-q", "--out", "set", "--with-status")
	want := whole.hashes("set")
	eachKill(t, begun, took, func(t *testing.T, after time.Duration) bool {
		q := (&testProject{t, p.dir}).again()
		killed := q.kill(after, "train", "-q", "--out", "set", "--with-status")
		m, err := offline.ReadManifest(filepath.Join(q.dir, "set"))
		if !errors.Is(err, os.ErrNotExist) {
			q.check(err)
			if got := q.hashes("set")["data.parquet"]; got != m.Files[0].SHA256 {
				t.Errorf("data.parquet is not what the manifest says it is")
			}
		}
		q.run("train", "-q", "--out", "set", "--with-status")
		if got := q.hashes("set"); !maps.Equal(got, want) {
			t.Errorf("the directory holds %v, want %v", got, want)
		}
		return killed
	})
}

// hashes is the files of a directory of the project and their hashes.
func (p *testProject) hashes(dir string) map[string]string {
	p.Helper()
	entries, err := os.ReadDir(filepath.Join(p.dir, dir))
	p.check(err)
	out := map[string]string{}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(p.dir, dir, e.Name()))
		p.check(err)
		sum := sha256.Sum256(text)
		out[e.Name()] = hex.EncodeToString(sum[:])
	}
	return out
}
