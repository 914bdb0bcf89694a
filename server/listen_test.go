package server

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/unskew/unskew/proto/unskew/v1/unskewv1connect"
)

// pipes is a listener whose connections have no buffers.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p pipes) Close() error { return nil }

func (p pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// A client that does not read its answer is disconnected when the time to send it is over, and so
// does not keep it in memory.
func TestClientsThatDoNotReadAreDisconnected(t *testing.T) {
	f := start(t, func(cfg *Config) { cfg.Timeout = 50 * time.Millisecond })
	srv := f.httpServer(100 * time.Millisecond)
	closed := make(chan struct{})
	srv.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateClosed {
			close(closed)
		}
	}
	ln := make(pipes, 1)
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ln) }()
	client, server := net.Pipe()
	ln <- server
	body := encoded(t, messages()["a good one"], "proto")
	request := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/proto\r\nContent-Length: %d\r\n\r\n%s",
		unskewv1connect.FeatureServiceGetFeaturesProcedure, len(body), body)
	if _, err := io.WriteString(client, request); err != nil {
		t.Fatal(err)
	}
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Error("the connection is still open")
	}
	close(ln)
	_ = client.Close()
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
	<-ended
}
