package main

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/internal/redistest"
)

// clusterEnv makes commands and servers use a Redis at addresses, through sentinels if master is not "".
func clusterEnv(t *testing.T, addresses, master string) {
	t.Setenv(featuredefs.EnvRedisAddresses, addresses)
	t.Setenv("UNSKEW_REDIS_SENTINEL_MASTER", master)
}

// traffic pushes payments of customers 100 to 119 through servers and reads them meanwhile. A push is sent again, to the next server,
// until it is acknowledged.
type traffic struct {
	*testProject
	servers []*running
	next    atomic.Int64 // id of the next payment
	pause   time.Duration
	stop    chan struct{}
	done    sync.WaitGroup

	mu       sync.Mutex
	acked    map[int]int // payments by customer
	sent     map[int]int
	refusals map[string]int // of pushes and reads, by code
	wrong    []string
}

const firstCustomer, someCustomers = 100, 20

func (p *testProject) traffic(servers ...*running) *traffic {
	l := &traffic{testProject: p, servers: servers, pause: 2 * time.Millisecond, stop: make(chan struct{}), acked: map[int]int{}, sent: map[int]int{}, refusals: map[string]int{}}
	if testing.Short() {
		l.pause = 10 * time.Millisecond
	}
	for k := range 4 {
		l.done.Go(func() { l.repeat(func() { l.pushOne(k) }) })
	}
	for k := range servers {
		l.done.Go(func() { l.repeat(func() { l.readOne(k) }) })
	}
	return l
}

func (l *traffic) repeat(f func()) {
	again := time.NewTicker(l.pause)
	defer again.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-again.C:
			f()
		}
	}
}

var codeOf = regexp.MustCompile(`"code": ?"([a-z_]+)"`)

// refused counts an answer that is no success; only such that say to come again are right.
func (l *traffic) refused(what string, status int, header http.Header, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	code := codeOf.FindStringSubmatch(text)
	if status != http.StatusServiceUnavailable || code == nil || code[1] != "unavailable" || header.Get("Retry-After") == "" {
		l.wrong = append(l.wrong, fmt.Sprintf("%s: %d %v %s", what, status, header, text))
		return
	}
	l.refusals[what]++
}

func (l *traffic) pushOne(k int) {
	id := int(l.next.Add(1))
	customer := firstCustomer + id%someCustomers
	l.mu.Lock()
	l.sent[customer]++
	l.mu.Unlock()
	row := fmt.Sprintf(`{"rows": [{"id":"t%d","paid_at":"2025-03-05T10:00:00Z","customer_id":%d,"amount":1,"country":"DE"}]}`, id, customer)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for n, late := k, time.Now().Add(2*time.Minute); ; n++ {
		status, header, text, err := ask(l.servers[n%len(l.servers)].url+"/v1/sources/payments:push", row)
		if err == nil && status == http.StatusOK && (strings.Contains(text, "APPENDED") || strings.Contains(text, "DUPLICATE")) {
			break
		}
		if err != nil || time.Now().After(late) {
			l.mu.Lock()
			l.wrong = append(l.wrong, fmt.Sprintf("push of %d: %v, %d %s", id, err, status, text))
			l.mu.Unlock()
			return
		}
		l.refused("push", status, header, text)
		<-again.C
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked[customer]++
}

func (l *traffic) readOne(k int) {
	customer := firstCustomer + int(l.next.Load())%someCustomers
	n, status, err := l.read(l.servers[k], customer, true)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.wrong = append(l.wrong, fmt.Sprintf("read: %v", err))
	} else if status == http.StatusOK && n > l.sent[customer] {
		l.wrong = append(l.wrong, fmt.Sprintf("customer %d has %d payments of %d", customer, n, l.sent[customer]))
	}
}

var paymentsOf = regexp.MustCompile(`"spending\.payments": ?"?(\d+)`)

// read returns how many payments a server says a customer has.
func (l *traffic) read(s *running, customer int, count bool) (n, status int, err error) {
	status, header, text, err := ask(s.url+"/v1/services/churn_v1:read", fmt.Sprintf(`{"rows": [{"customer_id": %d, "basket": 1}]}`, customer))
	if err != nil {
		return 0, 0, err
	}
	if status != http.StatusOK {
		if count {
			l.refused("read", status, header, text)
		}
		return 0, status, nil
	}
	if m := paymentsOf.FindStringSubmatch(text); m != nil {
		n, err = strconv.Atoi(m[1])
	} else if !strings.Contains(text, "UNKNOWN_ENTITY") {
		err = fmt.Errorf("an answer without a count: %s", text)
	}
	return n, status, err
}

// go on until so many more payments were acknowledged.
func (l *traffic) more(n int) {
	l.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for want, late := l.sum()+n, time.Now().Add(time.Minute); l.sum() < want; <-again.C {
		if time.Now().After(late) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.Fatalf("nothing goes on: %v; %v", l.refusals, l.wrong)
		}
	}
}

// moreRefused goes on until so many more pushes were refused.
func (l *traffic) moreRefused(n int) {
	l.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	refused := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.refusals["push"]
	}
	for want, late := refused()+n, time.Now().Add(time.Minute); refused() < want; <-again.C {
		if time.Now().After(late) {
			l.Fatal("no push is refused while the slot of the log is half moved")
		}
	}
}

func (l *traffic) sum() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.acked {
		n += k
	}
	return n
}

// end stops it and reports what was answered wrongly.
func (l *traffic) end() {
	l.Helper()
	close(l.stop)
	l.done.Wait()
	for i, w := range l.wrong {
		if l.Error(w); i == 5 {
			break
		}
	}
	l.Logf("%d payments acknowledged, refused before: %v", l.sum(), l.refusals)
}

// verify waits until every server answers with every acknowledged payment, each once.
func (l *traffic) verify() {
	l.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for _, s := range l.servers {
		for customer, want := range l.acked {
			for late := time.Now().Add(time.Minute); ; <-again.C {
				n, _, err := l.read(s, customer, false)
				l.check(err)
				if n == want {
					break
				}
				if n > want || time.Now().After(late) {
					_, _, ready, _ := ask(s.url+"/readyz", "")
					l.Fatalf("customer %d has %d payments, %d were acknowledged; readyz: %s", customer, n, want, ready)
				}
			}
		}
	}
	if got, _ := l.run("parity", "--replay", "-q"); !strings.HasSuffix(got, ", 0 different\n") {
		l.Errorf("parity: %s", got)
	}
}

// rounds is how often a long test does what a short one does once.
func rounds() int {
	if testing.Short() {
		return 1
	}
	return 4
}

// logKey is a key of the log of the payments, which is on one server of a cluster.
const logKey = "unskew.shop:log:{spayments}:head"

// Two servers on a cluster: masters are killed and their replicas take over, killed ones come back as replicas, the slots of the log and of
// states move to other masters, all under load. Every payment that was acknowledged is applied once, nothing but unavailable is answered meanwhile.
func TestClusterFailsOverUnderLoad(t *testing.T) {
	p := newTestProject(t)
	c := redistest.StartReplicated(t, 3, redistest.Access{}, redistest.Durable...)
	clusterEnv(t, c.Addresses(), "")
	p.run("materialize", "-q")
	slot := c.Slot(t, logKey)
	start := func() *running {
		s, err := startServer(p.dir, nil)
		p.check(err)
		t.Cleanup(func() { s.signal(syscall.SIGKILL) })
		p.awaitReady(s.url, http.StatusOK)
		return s
	}
	l := p.traffic(start(), start())
	for range rounds() {
		l.more(50)
		master, replica := c.Owner(t, slot)
		master.KillInSync(t, replica)
		replica.AwaitMaster(t)
		l.more(50)
		master.Restart(t)
		master.AwaitReplica(t)
		l.more(20)
		for _, s := range c.Servers {
			if now, _ := c.Owner(t, slot); s != now && s != master {
				if isMaster(t, s) {
					c.Move(t, slot, s, func() { l.moreRefused(10) })
					break
				}
			}
		}
		l.more(50)
	}
	l.end()
	l.verify()
}

func isMaster(t *testing.T, s *redistest.Server) bool {
	return strings.Contains(s.Ask(t, "INFO", "replication"), "role:master")
}

// Sentinels promote the replica of a master that was killed, and servers and commands go on with it.
func TestSentinelsFailOverUnderLoad(t *testing.T) {
	p := newTestProject(t)
	w := redistest.StartSentinels(t, redistest.Access{}, "", redistest.Durable...)
	clusterEnv(t, w.Addresses(), redistest.SentinelMaster)
	p.run("materialize", "-q")
	var servers []*running
	for range 2 {
		s, err := startServer(p.dir, nil)
		p.check(err)
		t.Cleanup(func() { s.signal(syscall.SIGKILL) })
		p.awaitReady(s.url, http.StatusOK)
		servers = append(servers, s)
	}
	l := p.traffic(servers...)
	l.more(50)
	w.Master.KillInSync(t, w.Replica)
	w.Replica.AwaitMaster(t)
	l.more(50)
	if !testing.Short() {
		w.Master.Restart(t)
		w.Master.AwaitReplica(t)
		l.more(50)
	}
	l.end()
	l.verify()
}

// The replica lagged when the master died: what was acknowledged meanwhile is gone. The server says so and how to go on, does not apply
// other events in place of those, and goes on after the command that it names. With sentinels log and states go back together; of a cluster
// only what the server had that died, which had the log.
func TestFailoverToALaggingReplicaIsSaid(t *testing.T) {
	t.Run("sentinels", func(t *testing.T) {
		w := redistest.StartSentinels(t, redistest.Access{}, "", redistest.Durable...)
		clusterEnv(t, w.Addresses(), redistest.SentinelMaster)
		testLaggingReplica(t, func() (master, replica *redistest.Server) { return w.Master, w.Replica })
	})
	t.Run("cluster", func(t *testing.T) {
		c := redistest.StartReplicated(t, 3, redistest.Access{}, redistest.Durable...)
		clusterEnv(t, c.Addresses(), "")
		testLaggingReplica(t, func() (master, replica *redistest.Server) { return c.Owner(t, c.Slot(t, logKey)) })
	})
}

func testLaggingReplica(t *testing.T, ofLog func() (master, replica *redistest.Server)) {
	p := newTestProject(t)
	p.run("materialize", "-q")
	master, replica := ofLog()
	f := &fleet{testProject: p}
	s := f.start()
	p.awaitReady(s.url, http.StatusOK)
	f.push(s, 3)
	f.await(s)
	master.Ask(t, "WAIT", "1", "5000")
	replica.Pause(t)
	master.Ask(t, "CLIENT", "KILL", "TYPE", "replica") // or it would find in its socket what is sent now
	f.push(s, 4)
	f.await(s)
	master.Kill()
	replica.Resume(t)
	replica.AwaitMaster(t)
	for late, again := time.Now().Add(time.Minute), time.NewTicker(5*time.Millisecond); ; <-again.C {
		if _, _, text, err := ask(s.url+"/readyz", ""); err == nil && strings.Contains(text, "ended at position 7 and then at 3") && strings.Contains(text, "unskew materialize --full") {
			break
		} else if time.Now().After(late) {
			t.Fatalf("readyz does not say what was lost: %s, %v", text, err)
		}
	}
	// What can be sent again is, and the command is run that is named; then all is as if nothing had been lost.
	f.pushed = 3
	f.push(s, 6)
	p.run("materialize", "--full", "-q")
	p.check(s.terminate())
	if !strings.Contains(s.log.String(), "ended at position 7 and then at 3") {
		t.Errorf("the server's log: %s", s.log.String())
	}
	s = f.start()
	p.awaitReady(s.url, http.StatusOK)
	f.push(s, 1)
	f.await(s)
	if got, _ := p.run("parity", "--replay", "-q"); !strings.HasSuffix(got, ", 0 different\n") {
		t.Errorf("parity: %s", got)
	}
}
