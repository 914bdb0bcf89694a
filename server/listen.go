package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"syscall"
	"time"

	"github.com/unskew/unskew/internal/limits"
)

// Listen opens a listener on an address such as 127.0.0.1:7171, localhost:7171 or :7171. It refuses
// any but a loopback address unless the server is secured: Config has Access and TLS.
func Listen(address string, secured bool) (net.Listener, error) {
	addr, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen address %q: %w; write one such as 127.0.0.1:7171 or :7171", address, err)
	}
	if err := checkLoopback(addr, secured); err != nil {
		return nil, err
	}
	ln, err := net.ListenTCP("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("another program, perhaps a server, listens on %s already; stop it, or choose another address with serve --listen", address)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return ln, nil
}

func checkLoopback(addr net.Addr, secured bool) error {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || secured || tcp.IP.IsLoopback() {
		return nil
	}
	return fmt.Errorf("refusing to listen on %s: other machines can reach it, which needs TLS and known callers "+
		"(serve --tls-cert, --tls-key and --callers); or listen on 127.0.0.1", addr)
}

// protocols allows HTTP/1.1 and HTTP/2, which gRPC needs, also without TLS.
func protocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetHTTP2(true)
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
		Handler:           s.checked(s.Handler()),
		TLSConfig:         s.cfg.TLS,
		Protocols:         protocols(),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       s.cfg.Timeout + transfer,
		// Bounds how long a client that does not read keeps its answer in memory.
		WriteTimeout: s.cfg.Timeout + transfer,
		IdleTimeout:  5 * time.Minute,
		// net/http lets headers have 4 KiB more.
		MaxHeaderBytes: limits.HeaderBytes,
		HTTP2:          &http.HTTP2Config{MaxConcurrentStreams: limits.HTTP2Streams},
		ErrorLog:       slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelWarn),
	}
}

// Serve answers calls on ln until ctx ends. Then it is not ready, but answers for Config.Grace, so that
// callers can go elsewhere. After that it refuses new calls, waits for the running ones
// (at most Config.Drain) and returns nil. It closes ln, which must be on a loopback address or a
// unix socket unless Config has Access and TLS.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	if err := checkLoopback(ln.Addr(), s.cfg.Access != nil && s.cfg.TLS != nil); err != nil {
		return errors.Join(err, ln.Close())
	}
	srv := s.httpServer(transferTime)
	ballast := make([]byte, ballastBytes)
	defer runtime.KeepAlive(ballast)
	served := make(chan error, 1)
	go func() {
		limited := limitConnections(ln, s.budget)
		if s.cfg.TLS != nil {
			served <- srv.ServeTLS(limited, "", "") // the certificate is in the configuration
			return
		}
		served <- srv.Serve(limited)
	}()
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
