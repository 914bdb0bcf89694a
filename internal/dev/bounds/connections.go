package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/unskew/unskew/sdk"
)

func (t *target) dial() (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(attacker)}}
	return d.Dial("tcp", t.server.Address)
}

// hold is how long loads keep connections open that do nothing.
func (t *target) hold() time.Duration {
	if t.project.short {
		return 2 * time.Second
	}
	return 20 * time.Second
}

// wait waits for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func postOf(path, contentType string, length int) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", path, contentType, length)
}

// Clients that ask for the largest answers and never read them.
func neverRead(ctx context.Context, t *target) error {
	body := t.read("recent_v1", 1000)
	for _, n := range []int{12, t.scale(200)} {
		at(n, func(int) {
			conn, err := t.dial()
			if err != nil {
				t.count(err.Error())
				return
			}
			defer conn.Close()
			if _, err := conn.Write(append([]byte(postOf(getFeatures, "application/proto", len(body))), body...)); err != nil {
				t.count(reasonOf(err))
				return
			}
			t.count("never read")
			wait(ctx, t.hold())
		})
	}
	return nil
}

// outcome of a connection on which something was sent: what the server has answered.
func (t *target) answered(conn net.Conn) {
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		t.count("never answered")
	case err != nil:
		t.count(reasonOf(err))
	default:
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<16))
		t.count(codeOf(res.StatusCode, text))
	}
}

// Large bodies of which a byte comes each second.
func sendSlowly(ctx context.Context, t *target) error {
	at(t.scale(700), func(i int) {
		conn, err := t.dial()
		if err != nil {
			t.count(reasonOf(err))
			return
		}
		defer conn.Close()
		path := []string{getFeatures, push, "/v1/services/small_v1:read"}[i%3]
		if _, err := conn.Write([]byte(postOf(path, contentJSON, 8<<20-1))); err != nil {
			t.count(reasonOf(err))
			return
		}
		// Most of the body comes at once.
		if _, err := conn.Write(bytes.Repeat([]byte(" "), 64<<10)); err != nil {
			t.count(reasonOf(err))
			return
		}
		for end := time.Now().Add(t.hold()); time.Now().Before(end) && ctx.Err() == nil; wait(ctx, time.Second) {
			if _, err := conn.Write([]byte(" ")); err != nil {
				break
			}
		}
		t.answered(conn)
	})
	return nil
}

func sendHeadersSlowly(ctx context.Context, t *target) error {
	at(t.scale(700), func(int) {
		conn, err := t.dial()
		if err != nil {
			t.count(reasonOf(err))
			return
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "POST "+getFeatures+" HTTP/1.1\r\nHost: localhost\r\n"); err != nil {
			t.count(reasonOf(err))
			return
		}
		for end := time.Now().Add(t.hold()); time.Now().Before(end) && ctx.Err() == nil; wait(ctx, time.Second) {
			if _, err := io.WriteString(conn, "X-A: b\r\n"); err != nil {
				break
			}
		}
		t.answered(conn)
	})
	return nil
}

// Headers of a megabyte, over both versions of HTTP.
func sendHeaders(ctx context.Context, t *target) error {
	at(t.scale(400), func(i int) {
		conn, err := t.dial()
		if err != nil {
			t.count(reasonOf(err))
			return
		}
		defer conn.Close()
		if i%2 == 0 {
			t.headersOfHTTP2(ctx, conn)
			return
		}
		_, err = io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: localhost\r\n"+strings.Repeat("X-Header: "+strings.Repeat("a", 1000)+"\r\n", 1000)+"\r\n")
		if err != nil {
			t.count(reasonOf(err))
			return
		}
		t.answered(conn)
	})
	return nil
}

// framed begins a connection of HTTP/2.
func framed(conn net.Conn) (*http2.Framer, error) {
	f := http2.NewFramer(conn, conn)
	_, err := io.WriteString(conn, http2.ClientPreface)
	return f, errors.Join(err, f.WriteSettings())
}

// headers is the block of headers of a request.
func headers(more ...string) []byte {
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	list := append([]string{":method", "POST", ":scheme", "http", ":path", getFeatures, ":authority", "localhost", "content-type", "application/grpc", "te", "trailers"}, more...)
	for i := 0; i+1 < len(list); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: list[i], Value: list[i+1], Sensitive: true}) // writing to a buffer cannot fail
	}
	return block.Bytes()
}

// headersOfHTTP2 sends a block of headers that never ends.
func (t *target) headersOfHTTP2(ctx context.Context, conn net.Conn) {
	f, err := framed(conn)
	if err == nil {
		err = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headers()})
	}
	more := headers("x-header", strings.Repeat("a", 10_000))
	for range 1000 {
		if err != nil || ctx.Err() != nil {
			break
		}
		err = f.WriteContinuation(1, false, more)
	}
	t.count("closed")
}

// Streams that are opened and reset at once.
func resetStreams(ctx context.Context, t *target) error {
	block := headers()
	at(t.scale(40), func(int) {
		conn, err := t.dial()
		if err != nil {
			t.count(reasonOf(err))
			return
		}
		defer conn.Close()
		go func() { _, _ = io.Copy(io.Discard, conn) }()
		f, err := framed(conn)
		for stream := uint32(1); err == nil && stream < uint32(t.scale(20_000)) && ctx.Err() == nil; stream += 2 {
			if err = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block, EndHeaders: true}); err == nil {
				err = f.WriteRSTStream(stream, http2.ErrCodeCancel)
			}
		}
		if err != nil {
			t.count(reasonOf(err))
			return
		}
		t.count("reset")
	})
	return nil
}

// As many streams as a connection may have, each with a body that does not end.
func openStreams(ctx context.Context, t *target) error {
	block := headers()
	at(t.scale(400), func(int) {
		conn, err := t.dial()
		if err != nil {
			t.count(reasonOf(err))
			return
		}
		defer conn.Close()
		go func() { _, _ = io.Copy(io.Discard, conn) }()
		f, err := framed(conn)
		message := binary.BigEndian.AppendUint32([]byte{0}, 32<<20)
		for stream := uint32(1); err == nil && stream < 500; stream += 2 {
			if err = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block, EndHeaders: true}); err == nil {
				err = f.WriteData(stream, false, append(message, make([]byte, 200)...))
			}
		}
		if err != nil {
			t.count(reasonOf(err))
			return
		}
		t.count("open")
		wait(ctx, t.hold())
	})
	return nil
}

// Messages of gRPC of the greatest size, and longer ones.
func sendLargeMessages(ctx context.Context, t *target) error {
	users := make([]int64, 1<<20)
	at(t.scale(48), func(i int) {
		c, err := sdk.New(t.url(""), sdk.WithGRPC())
		if err != nil {
			t.count(err.Error())
			return
		}
		text := strings.Repeat("x", []int{31 << 20, 33 << 20}[i%2])
		_, err = c.GetFeatures(ctx, "small_v1", []sdk.Column{sdk.Strings("user_id", text)}, nil)
		t.count(codeOfCall(err))
		_, err = c.GetFeatures(ctx, "small_v1", []sdk.Column{sdk.Ints("user_id", users...)}, nil)
		t.count(codeOfCall(err))
	})
	return nil
}

func codeOfCall(err error) string {
	if err == nil {
		return "ok"
	}
	return connect.CodeOf(err).String()
}

// Spines of one batch each, as large as many clients might send them.
func uploadSpines(ctx context.Context, t *target) error {
	at(t.scale(32), func(i int) {
		c, err := sdk.New(t.url(""))
		if err != nil {
			t.count(err.Error())
			return
		}
		schema := arrow.NewSchema([]arrow.Field{{Name: "user_id", Type: arrow.PrimitiveTypes.Int64}, {Name: "text", Type: arrow.BinaryTypes.String}}, nil)
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		defer b.Release()
		text := strings.Repeat("y", 100)
		for row := range 400_000 {
			b.Field(0).(*array.Int64Builder).Append(int64(row + i))
			b.Field(1).(*array.StringBuilder).Append(text)
		}
		batch := b.NewRecordBatch()
		defer batch.Release()
		r, err := array.NewRecordReader(schema, []arrow.RecordBatch{batch})
		if err != nil {
			t.count(err.Error())
			return
		}
		defer r.Release()
		_, err = c.UploadSpine(ctx, r)
		t.count(codeOfCall(err))
	})
	return nil
}
