package server

import (
	"net"
	"sync"
)

// limitConnections wraps a listener so that at most as many connections are open at a time as the
// budget has. When all are taken, the next one waits; one that exceeds its caller's share is
// closed.
func limitConnections(ln net.Listener, b *budget) net.Listener {
	return &limitedListener{Listener: ln, budget: b, open: make(chan struct{}, b.connections.total), closed: make(chan struct{})}
}

type limitedListener struct {
	net.Listener
	budget *budget
	open   chan struct{}
	once   sync.Once
	closed chan struct{}
}

// Accept implements net.Listener.
func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.open <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			<-l.open
			return nil, err
		}
		caller := hostOf(c.RemoteAddr().String())
		if l.budget.connections.take(caller, 1) == nil {
			return &limitedConn{Conn: c, listener: l, caller: caller}, nil
		}
		_ = c.Close() // nothing was sent on it
	}
}

// Close implements net.Listener.
func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	listener *limitedListener
	caller   string
	once     sync.Once
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	c.once.Do(func() {
		c.listener.budget.connections.give(c.caller, 1)
		<-c.listener.open
	})
	return c.Conn.Close()
}
