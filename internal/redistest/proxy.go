package redistest

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy stands between clients and a server, and loses what it is told to lose. Its methods are safe for concurrent use.
type Proxy struct {
	Address string

	to     string
	listen net.Listener
	ended  chan struct{}
	done   sync.WaitGroup
	mu     sync.Mutex
	mended chan struct{} // nil while nothing is cut; closed by Mend
	delay  time.Duration
	conns  map[net.Conn]bool
}

// StartProxy starts a proxy on a loopback port that ends with the test.
func StartProxy(t testing.TB, to string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Address: l.Addr().String(), to: to, listen: l, ended: make(chan struct{}), conns: map[net.Conn]bool{}}
	p.done.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Cut lets nothing through, without telling anybody, as a network does that is interrupted.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mended == nil {
		p.mended = make(chan struct{})
	}
}

// Mend ends Cut.
func (p *Proxy) Mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mended != nil {
		close(p.mended)
		p.mended = nil
	}
}

// Delay lets each piece of data wait from now on.
func (p *Proxy) Delay(by time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = by
}

func (p *Proxy) accept() {
	for {
		from, err := p.listen.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", p.to)
		if err != nil {
			_ = from.Close()
			continue
		}
		p.mu.Lock()
		p.conns[from], p.conns[to] = true, true
		p.mu.Unlock()
		p.done.Go(func() { p.copy(from, to) })
		p.done.Go(func() { p.copy(to, from) })
	}
}

// copy copies until one side is closed, and closes both.
func (p *Proxy) copy(to, from net.Conn) {
	defer p.drop(to, from)
	for buffer := make([]byte, 64<<10); ; {
		n, err := from.Read(buffer)
		if err != nil || !p.wait() {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil && err != io.EOF {
			return
		}
	}
}

// wait returns when data may go on; false if the test has ended.
func (p *Proxy) wait() bool {
	p.mu.Lock()
	mended, delay := p.mended, p.delay
	p.mu.Unlock()
	if mended == nil && delay == 0 {
		return true
	}
	later := time.NewTimer(delay)
	defer later.Stop()
	if mended == nil {
		mended = make(chan struct{})
		close(mended)
	}
	select {
	case <-p.ended:
		return false
	case <-mended:
	}
	select {
	case <-p.ended:
		return false
	case <-later.C:
		return true
	}
}

func (p *Proxy) drop(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
		delete(p.conns, c)
	}
}

func (p *Proxy) close() {
	close(p.ended)
	_ = p.listen.Close()
	p.mu.Lock()
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.done.Wait()
}
