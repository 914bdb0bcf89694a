// Command bounds starts the real server and loads it in the ways in which servers are brought down:
// large requests, requests that become large, answers that nobody reads, connections that
// do nothing. It measures how much memory the server takes and checks that each request gets an
// answer or the documented error, while a client beside it is served.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"

	"github.com/unskew/unskew/internal/dev/bench"
)

// The bounds of memory, in bytes: of a server's own before a load, which is more by the pages of the
// executable that it has used, and of all that it takes at most.
const (
	idleBytes   = 60 << 20
	loadedBytes = 512 << 20
)

// report is the last line of the output. Sizes are in MiB.
type report struct {
	Bench  string `json:"bench"`
	Idle   int64  `json:"idle"`     // before a load
	Own    int64  `json:"idle_own"` // of it, without pages of the executable
	Loaded int64  `json:"loaded"`   // the most under any load
	Worst  string `json:"worst"`    // that load
	Failed int    `json:"failed"`   // loads
}

type options struct {
	command string
	only    string
	short   bool
	redis   bool
}

func main() {
	var o options
	flag.StringVar(&o.command, "unskew", "bin/unskew", "the `COMMAND` that is loaded")
	flag.StringVar(&o.only, "run", "", "only the loads whose names match this regular `EXPRESSION`")
	flag.BoolVar(&o.short, "short", false, "fewer and shorter loads")
	flag.BoolVar(&o.redis, "redis", false, "keep log and store on Redis")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	r, err := run(ctx, o, func(line string) { fmt.Println(line) })
	if err == nil {
		err = bench.Report(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bounds:", err)
		os.Exit(2)
	}
	if r.Failed > 0 {
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, print func(string)) (r report, err error) {
	only, err := regexp.Compile(o.only)
	if err != nil {
		return r, err
	}
	dir, err := os.MkdirTemp("", "unskew-bounds-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	users := usersOfList
	if o.short {
		users = usersOfList / 4
	}
	p := &project{command: o.command, dir: dir, users: users, short: o.short}
	if o.redis {
		redis, err := bench.StartRedis()
		if err != nil {
			return r, err
		}
		defer func() { _ = redis.Close() }()
		p.env = []string{"UNSKEW_REDIS_ADDRESSES=" + redis.Address}
	}
	if err := p.make(); err != nil {
		return r, err
	}
	r.Bench = "bounds"
	for _, l := range loads {
		if !only.MatchString(l.name) {
			continue
		}
		m := p.measure(ctx, l)
		print(m.String())
		r.Idle, r.Own = max(r.Idle, m.idle.Now>>20), max(r.Own, m.idle.Own>>20)
		if most := m.most.Most >> 20; most > r.Loaded {
			r.Loaded, r.Worst = most, l.name
		}
		if m.err != nil {
			r.Failed++
		}
	}
	return r, nil
}

// project is the project that is served.
type project struct {
	command, dir string
	env          []string
	users        int
	short        bool
}

// make writes the project and builds its online state.
func (p *project) make() error {
	if err := writeProject(p.dir, p.users); err != nil {
		return err
	}
	c := exec.Command(p.command, "materialize", "-q", "-C", p.dir)
	c.Env = append(os.Environ(), p.env...)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("unskew materialize: %w\n%s", err, out)
	}
	// The first start reads what materialize has left in the write-ahead logs.
	s, err := bench.StartServer(p.command, p.dir, p.env)
	if err != nil {
		return err
	}
	return s.Stop()
}

// measured is what a load did.
type measured struct {
	name       string
	idle, most bench.Memory
	beside     tally // of the client beside the load
	outcomes   map[string]int
	err        error
}

func (m measured) String() string {
	verdict := "ok"
	if m.err != nil {
		verdict = "FAILED: " + m.err.Error()
	}
	return fmt.Sprintf("%-16s idle %3d MiB (%d of its own), loaded %4d MiB, beside it %d answers, outcomes %v: %s", m.name, m.idle.Now>>20, m.idle.Own>>20, m.most.Most>>20, m.beside.answered, m.outcomes, verdict)
}

// measure starts a server, loads it and stops it.
func (p *project) measure(ctx context.Context, l load) (m measured) {
	m.name = l.name
	s, err := bench.StartServer(p.command, p.dir, p.env)
	if err != nil {
		m.err = err
		return m
	}
	t := &target{server: s, project: p, outcomes: map[string]int{}}
	beside := newNeighbour(t)
	if m.err = beside.once(ctx); m.err == nil {
		m.idle, m.err = s.Memory()
	}
	if m.err == nil {
		beside.start(ctx)
		m.err = l.run(ctx, t)
		m.beside = beside.stop()
		m.outcomes = t.outcomes
		var memory error
		m.most, memory = s.Memory()
		m.err = errors.Join(m.err, memory, m.check(), t.check(l.want), beside.once(ctx))
	}
	m.err = errors.Join(m.err, s.Stop())
	if m.err != nil {
		// The next load needs to know nothing of it, people do.
		m.err = errors.Join(m.err, os.WriteFile(filepath.Join(os.TempDir(), "unskew-bounds.log"), []byte(s.Log()), 0o600))
	}
	return m
}

func (m measured) check() error {
	var errs []error
	if m.idle.Own > idleBytes {
		errs = append(errs, fmt.Errorf("it has %d MiB of its own before the load, at most %d are allowed", m.idle.Own>>20, idleBytes>>20))
	}
	if m.most.Most > loadedBytes {
		errs = append(errs, fmt.Errorf("it took %d MiB, at most %d are allowed", m.most.Most>>20, loadedBytes>>20))
	}
	if m.beside.answered == 0 {
		errs = append(errs, errors.New("the client beside it was not served"))
	}
	if m.beside.failed > 0 {
		errs = append(errs, fmt.Errorf("%d calls of the client beside it failed, such as: %s", m.beside.failed, m.beside.failure))
	}
	return errors.Join(errs...)
}
