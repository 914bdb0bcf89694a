package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"time"
)

// Listen opens a listener on a loopback address such as 127.0.0.1:7171 or localhost:7171. It
// refuses any other address, because the server does not authenticate callers.
func Listen(address string) (net.Listener, error) {
	addr, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen address %q: %w", address, err)
	}
	if err := checkLoopback(addr); err != nil {
		return nil, err
	}
	ln, err := net.ListenTCP("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return ln, nil
}

func checkLoopback(addr net.Addr) error {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || tcp.IP.IsLoopback() {
		return nil
	}
	return fmt.Errorf("refusing to listen on %s: other machines can reach it, and the server has no authentication yet; "+
		"listen on 127.0.0.1 (or [::1]) and put a proxy that authenticates in front", addr)
}

// protocols allows HTTP/1.1 and HTTP/2 without TLS, which gRPC needs.
func protocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

// ballastBytes is memory that a server allocates and never touches, so it takes address space but
// no physical memory. The garbage collector starts when the heap has doubled. Between requests the
// heap is only a few megabytes, so the collector would run thirty times a second, which costs a
// small read more time than its own garbage does.
const ballastBytes = 24 << 20

// transferTime is how long a request, and then its answer, may take to be transferred, in addition to
// the time that computing the answer may take.
const transferTime = 30 * time.Second

// httpServer returns the HTTP server with its time limits.
func (s *Server) httpServer(transfer time.Duration) *http.Server {
	return &http.Server{
		Handler:           s.Handler(),
		Protocols:         protocols(),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       s.cfg.Timeout + transfer,
		// Bounds how long a client that does not read keeps its answer in memory.
		WriteTimeout: s.cfg.Timeout + transfer,
		IdleTimeout:  5 * time.Minute,
		ErrorLog:     slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelWarn),
	}
}

// Serve answers calls on ln until ctx ends. Then it is not ready, but answers for Config.Grace, so that
// callers can go elsewhere. After that it refuses new calls, waits for the running ones
// (at most Config.Drain) and returns nil. It closes ln, which must be on a loopback address or a
// unix socket.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	if err := checkLoopback(ln.Addr()); err != nil {
		return errors.Join(err, ln.Close())
	}
	srv := s.httpServer(transferTime)
	ballast := make([]byte, ballastBytes)
	defer runtime.KeepAlive(ballast)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(limitConnections(ln, s.cfg.MaxConnections)) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve on %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	s.draining.Store(true)
	select {
	case err := <-served:
		return fmt.Errorf("serve on %s: %w", ln.Addr(), err)
	case <-time.After(s.cfg.Grace):
	}
	s.stop()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Drain)
	defer cancel()
	err := srv.Shutdown(drain)
	if err != nil {
		err = errors.Join(fmt.Errorf("shutdown: requests were still running after %v and were cut off", s.cfg.Drain), srv.Close())
	}
	<-served
	return err
}
