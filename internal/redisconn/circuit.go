package redisconn

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// How a server that does not answer is treated.
const (
	// breakAfter is after how many failures in a row, with no answer between, calls to a server are refused. Of calls that found no answer within
	// their time limit one is enough, if none that was sent later was answered.
	breakAfter = 3
	probeFirst = 50 * time.Millisecond
	probeMost  = time.Second
	probeLimit = time.Second // for the answer to a probe
)

// circuit refuses calls to a server that does not answer, until a probe is answered.
type circuit struct {
	address  string
	open     atomic.Bool
	answered atomic.Int64 // when the server answered last, since begin
	failures atomic.Int64 // since then
}

var begin = time.Now()

// openError is the error of calls that are not sent.
type openError struct{ address string }

func (e *openError) Error() string {
	return fmt.Sprintf("redis at %s does not answer; nothing is sent to it until it does", e.address)
}

// circuits are those of the servers that own keys.
type circuits struct {
	all   []*circuit
	slots []*circuit // of a cluster, by slot; nil where the owner is not known
}

// breaker has the circuits of a connection. At most one probe is under way.
type breaker struct {
	now     atomic.Pointer[circuits]
	mu      sync.Mutex
	probing bool
	ended   context.Context
	end     context.CancelFunc
	done    sync.WaitGroup
}

const slots = 16384

// of is the circuit of the server that gets a command; nil if that is not known.
func (c *circuits) of(cmd rueidis.Completed) *circuit {
	if c.slots == nil {
		return c.all[0]
	}
	if s := cmd.Slot(); int(s) < len(c.slots) {
		return c.slots[s]
	}
	return nil
}

// Circuits returns to how many servers nothing is sent at present, because they do not answer, and how many own keys.
func (c *Conn) Circuits() (open, all int) {
	now := c.breaker.now.Load()
	for _, k := range now.all {
		if k.open.Load() {
			open++
		}
	}
	return open, len(now.all)
}

// Do implements rueidis.Client. A call to a server that does not answer fails at once.
func (c *Conn) Do(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResult {
	k := c.breaker.now.Load().of(cmd)
	if k != nil && k.open.Load() {
		return rueidis.NewErrorResult(&openError{k.address})
	}
	sent := time.Since(begin)
	answer := c.Client.Do(ctx, cmd)
	c.report(ctx, k, sent, answer.Error())
	return answer
}

// DoMulti implements rueidis.Client. Nothing is sent if one of the servers does not answer.
func (c *Conn) DoMulti(ctx context.Context, commands ...rueidis.Completed) []rueidis.RedisResult {
	now := c.breaker.now.Load()
	to := make([]*circuit, len(commands))
	for i, cmd := range commands {
		to[i] = now.of(cmd)
		if k := to[i]; k != nil && k.open.Load() {
			answers := make([]rueidis.RedisResult, len(commands))
			for i := range answers {
				answers[i] = rueidis.NewErrorResult(&openError{k.address})
			}
			return answers
		}
	}
	sent := time.Since(begin)
	answers := c.Client.DoMulti(ctx, commands...)
	for i, answer := range answers {
		if err := answer.NonRedisError(); i == 0 || err != nil || to[i] != to[i-1] {
			c.report(ctx, to[i], sent, err)
			if err != nil {
				break // one failure of a call
			}
		}
	}
	return answers
}

// report notes what became of a call.
func (c *Conn) report(ctx context.Context, k *circuit, sent time.Duration, err error) {
	if k == nil {
		return
	}
	var answer *rueidis.RedisError
	if err == nil || errors.As(err, &answer) {
		if k.failures.Load() != 0 {
			k.failures.Store(0)
		}
		k.answered.Store(int64(time.Since(begin)))
		return
	}
	err = Cause(ctx, err)
	if !Unavailable(err) || errors.Is(err, rueidis.ErrClosing) && c.breaker.ended.Err() != nil {
		return // the caller has gone, or the connection is closed
	}
	var late *lateError
	var network net.Error
	silent := errors.As(err, &late) || errors.As(err, &network) && network.Timeout()
	if k.failures.Add(1) >= breakAfter || silent && k.answered.Load() < int64(sent) {
		k.open.Store(true)
		c.breaker.probe(c)
	}
}

// probe begins to probe, unless that is done already.
func (b *breaker) probe(c *Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.probing || b.ended.Err() != nil {
		return
	}
	b.probing = true
	b.done.Go(func() { b.probeUntilClosed(c) })
}

// probeUntilClosed asks the servers that did not answer, one after the other, until all answer. The pauses grow, and are never equally long, so
// that many processes do not come together.
func (b *breaker) probeUntilClosed(c *Conn) {
	for pause := probeFirst; ; pause = min(2*pause, probeMost) {
		wait := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-b.ended.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
		if c.Cluster() {
			// A replica may own the slots by now. If nobody says so, they are where they were.
			_ = c.findOwners(b.ended)
		}
		left := false
		for _, k := range b.now.Load().all {
			if k.open.Load() && !c.probeOne(b.ended, k) {
				left = true
			}
		}
		if left {
			continue
		}
		b.mu.Lock()
		if open, _ := c.Circuits(); open == 0 {
			b.probing = false
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
	}
}

// probeOne closes a circuit if its server answers.
func (c *Conn) probeOne(ctx context.Context, k *circuit) bool {
	ctx, cancel := c.BoundBy(ctx, probeLimit)
	defer cancel()
	node := c.Client
	if c.Cluster() {
		node = c.Nodes()[k.address]
	}
	if node == nil || node.Do(ctx, node.B().Arbitrary("PING").Build()).Error() != nil {
		return false
	}
	k.failures.Store(0)
	k.answered.Store(int64(time.Since(begin)))
	k.open.Store(false)
	return true
}

// findOwners asks the servers of a cluster, until one answers, who owns which slots.
func (c *Conn) findOwners(ctx context.Context) error {
	err := errors.New("no server of the cluster is known")
	for _, node := range c.Nodes() {
		var rows []rueidis.RedisMessage
		if rows, err = c.askOwners(ctx, node); err == nil {
			c.breaker.setOwners(rows)
			return nil
		}
	}
	return fmt.Errorf("ask a cluster for its slots: %w", err)
}

func (c *Conn) askOwners(ctx context.Context, node rueidis.Client) ([]rueidis.RedisMessage, error) {
	ctx, cancel := c.BoundBy(ctx, probeLimit)
	defer cancel()
	rows, err := node.Do(ctx, node.B().ClusterSlots().Build()).ToArray()
	return rows, Cause(ctx, err)
}

// setOwners keeps the circuits of servers that still own slots. A row has the first and the last slot, and then its servers, of which the first
// is the master, with address, port and more.
func (b *breaker) setOwners(rows []rueidis.RedisMessage) {
	old, found := map[string]*circuit{}, map[string]*circuit{}
	for _, k := range b.now.Load().all {
		old[k.address] = k
	}
	out := &circuits{slots: make([]*circuit, slots)}
	for i := range rows {
		row, err := rows[i].ToArray()
		if err != nil || len(row) < 3 {
			continue
		}
		first, err1 := row[0].AsInt64()
		last, err2 := row[1].AsInt64()
		master, err3 := row[2].ToArray()
		if err1 != nil || err2 != nil || err3 != nil || len(master) < 2 || first < 0 || last >= slots {
			continue
		}
		host, err1 := master[0].ToString()
		port, err2 := master[1].AsInt64()
		if err1 != nil || err2 != nil || host == "" || host == "?" {
			continue
		}
		address := net.JoinHostPort(host, strconv.FormatInt(port, 10))
		k := found[address]
		if k == nil {
			if k = old[address]; k == nil {
				k = &circuit{address: address}
			}
			found[address], out.all = k, append(out.all, k)
		}
		for s := first; s <= last; s++ {
			out.slots[s] = k
		}
	}
	b.now.Store(out)
}

// begin makes the circuits of a new connection.
func (b *breaker) begin(address string) {
	b.ended, b.end = context.WithCancel(context.Background())
	b.now.Store(&circuits{all: []*circuit{{address: address}}})
}

// close ends probing and waits for that.
func (b *breaker) close() {
	b.mu.Lock()
	b.end()
	b.mu.Unlock()
	b.done.Wait()
}
