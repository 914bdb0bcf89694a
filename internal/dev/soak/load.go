package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unskew/unskew/internal/dev/bench"
)

// The load: users are drawn by Zipf, and so are those of pushed events. Of the events a third happened a while ago, some were
// pushed before, and some get their outcome later.
const (
	served  = "10%"   // of the answers are recorded and computed again
	recent  = 1 << 14 // pushed events that are remembered, to be pushed again
	oldest  = 2 * time.Hour
	users   = 20_000
	readers = 4
	pushers = 2
	batch   = 50 // events of a push
	rebuild = 20 * time.Second
)

const definitions = `kind: Entity
name: user
keys: [{name: user_id, type: int}]
---
kind: Source
name: orders
from: data/orders.csv
stream: true
event_time: at
event_id: id
columns:
  id: {type: string}
  at: {type: timestamp}
  user_id: {type: int}
  amount: {type: double}
  refunded: {type: bool, outcome: true, known_at: {delay: 1m}}
---
kind: FeatureView
name: spending
entity: user
source: orders
features:
  orders: count("10s")
  spent: sum(amount, "1h")
  largest: max(amount, "30s")
  last: latest_n(amount, 20)
  refunds: count("1h").where(refunded)
---
kind: FeatureService
name: spending_v1
features: [spending]
`

func writeProject(dir string) error {
	var csv strings.Builder
	csv.WriteString("id,at,user_id,amount,refunded\n")
	for u := range users {
		fmt.Fprintf(&csv, "h%d,2025-01-01T00:00:00Z,%d,%d.5,\n", u, u, u%97)
	}
	return bench.WriteFiles(dir, map[string]string{"unskew.yaml": "project: soak\n", "features/soak.yaml": definitions, "data/orders.csv": csv.String()})
}

// load is a server and what is done to it.
type load struct {
	command, dir, kind                string
	env                               []string
	redis                             *bench.Redis
	server                            *bench.Server
	reads, pushed, rebuilds, failures atomic.Int64
	failure                           atomic.Pointer[string] // one of them

	mu     sync.Mutex
	recent []order // pushed
}

// order is a pushed event.
type order struct {
	id   uint64
	at   string
	user uint64
}

// next draws an event: mostly a new one, perhaps of a while ago, or else one that was pushed before, perhaps with its outcome.
func (l *load) next(zipf *rand.Zipf) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	row := func(o order, more string) string {
		return fmt.Sprintf(`{"id": "%x", "at": "%s", "user_id": %d, "amount": 1.5%s}`, o.id, o.at, o.user, more)
	}
	kind := rand.IntN(100)
	if kind < 10 && len(l.recent) > 0 {
		o := l.recent[rand.IntN(len(l.recent))]
		if kind < 5 {
			return row(o, "")
		}
		return row(o, fmt.Sprintf(`, "refunded": %t`, o.id%2 == 0))
	}
	at := time.Now()
	if kind < 40 {
		at = at.Add(-time.Duration(rand.Int64N(int64(oldest))))
	}
	o := order{rand.Uint64(), at.UTC().Format(time.RFC3339Nano), zipf.Uint64()}
	if len(l.recent) < recent {
		l.recent = append(l.recent, o)
	} else {
		l.recent[rand.IntN(recent)] = o
	}
	return row(o, "")
}

func (l *load) failed(err error) {
	l.failures.Add(1)
	text := err.Error()
	l.failure.CompareAndSwap(nil, &text)
}

// materialize builds the states of the view anew, and so promotes another generation.
func (l *load) materialize(ctx context.Context) error {
	c := exec.CommandContext(ctx, l.command, "materialize", "--full", "-q", "-C", l.dir)
	c.Env = append(os.Environ(), l.env...)
	out, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("unskew materialize: %w: %s", err, out)
	}
	return nil
}

// run loads the server for some time and samples it.
func (l *load) run(ctx context.Context, length time.Duration) (samples []sample, err error) {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	var all sync.WaitGroup
	for i := range readers {
		all.Go(func() { l.repeat(ctx, uint64(i), l.read) })
	}
	for i := range pushers {
		all.Go(func() { l.repeat(ctx, uint64(readers+i), l.push) })
	}
	// Another process can open only a store on Redis; the embedded one belongs to the server.
	if l.kind == "redis" {
		all.Go(func() { l.rebuild(ctx, min(rebuild, length/4)) })
	}
	begin, every := time.Now(), time.NewTicker(max(length/120, 200*time.Millisecond))
	defer every.Stop()
	for err == nil && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-every.C:
			var s sample
			if s, err = l.sample(); err == nil {
				s.seconds = time.Since(begin).Seconds()
				samples = append(samples, s)
			}
		}
	}
	cancel()
	all.Wait()
	if err == nil && len(samples) < 3 {
		err = errors.New("the run was too short to sample it")
	}
	return samples, err
}

// repeat makes calls one after the other until ctx ends.
func (l *load) repeat(ctx context.Context, seed uint64, call func(ctx context.Context, r *rand.Zipf) error) {
	zipf := rand.NewZipf(rand.New(rand.NewPCG(seed, 7)), 1.1, 1, users-1)
	for ctx.Err() == nil {
		if err := call(ctx, zipf); err != nil && ctx.Err() == nil {
			l.failed(err)
		}
	}
}

func (l *load) post(ctx context.Context, path, body string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+l.server.Address+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: status %d: %s", path, res.StatusCode, text)
	}
	return err
}

func (l *load) read(ctx context.Context, zipf *rand.Zipf) error {
	err := l.post(ctx, "/v1/services/spending_v1:read", fmt.Sprintf(`{"rows": [{"user_id": %d}, {"user_id": %d}]}`, zipf.Uint64(), zipf.Uint64()))
	if err == nil {
		l.reads.Add(1)
	}
	return err
}

func (l *load) push(ctx context.Context, zipf *rand.Zipf) error {
	var rows []string
	for range batch {
		rows = append(rows, l.next(zipf))
	}
	err := l.post(ctx, "/v1/sources/orders:push", `{"rows": [`+strings.Join(rows, ", ")+`]}`)
	if err == nil {
		l.pushed.Add(batch)
	}
	// The log keeps every event; at full speed it would be what the run measures.
	select {
	case <-ctx.Done():
	case <-time.After(100 * time.Millisecond):
	}
	return err
}

func (l *load) rebuild(ctx context.Context, every time.Duration) {
	again := time.NewTicker(every)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
			if err := l.materialize(ctx); err == nil {
				l.rebuilds.Add(1)
			} else if ctx.Err() == nil {
				l.failed(err)
			}
		}
	}
}

// sample measures the server and its state.
func (l *load) sample() (s sample, err error) {
	m, err := l.server.Memory()
	if err != nil {
		return s, err
	}
	s.memory = float64(m.Own)
	files, err := l.server.Files()
	if err != nil {
		return s, err
	}
	s.files = float64(files)
	if s.heap, err = l.metric("go_memstats_heap_inuse_bytes"); err != nil {
		return s, err
	}
	if s.goroutines, err = l.metric("go_goroutines"); err != nil {
		return s, err
	}
	if l.kind == "redis" {
		s.store, err = l.keys()
	} else {
		s.store, err = folderSize(filepath.Join(l.dir, ".unskew", "store"))
	}
	return s, err
}

// metric reads one of the server's metrics.
func (l *load) metric(name string) (float64, error) {
	res, err := http.Get("http://" + l.server.Address + "/metrics")
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("there is no metric %s", name)
}

// keyBytes stands for the size of a key on Redis, whose number is what could grow: those of
// generations that are not live.
const keyBytes = 500

// keys is the number of keys on Redis, in bytes.
func (l *load) keys() (float64, error) {
	conn, err := net.Dial("tcp", l.redis.Address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "DBSIZE\r\n"); err != nil {
		return 0, err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseFloat(strings.Trim(line, ":\r\n"), 64)
	return n * keyBytes, err
}

// folderSize is the size of the tables in a folder, which may come and go meanwhile. A write-ahead log
// grows to the size of a memtable and begins again.
func folderSize(dir string) (total float64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() || filepath.Ext(d.Name()) == ".log" {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += float64(info.Size())
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return total, err
}
