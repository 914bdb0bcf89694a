package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// http2Caller implements as much of HTTP/2 as sequential calls need.
type http2Caller struct {
	grpc   bool // the response is a gRPC message, followed by the status
	conn   net.Conn
	w      *bufio.Writer
	framer *http2.Framer
	stream uint32
	credit int // bytes received since the last WINDOW_UPDATE
	body   []byte
	fields *hpack.Decoder
	status string
}

// window is the number of bytes that the server may send before a WINDOW_UPDATE: more than any
// response has.
const window = 64 << 20

func dialHTTP2(address string, grpc bool) (caller, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c := &http2Caller{grpc: grpc, conn: conn, w: bufio.NewWriterSize(conn, 64<<10), stream: 1}
	c.framer = http2.NewFramer(c.w, bufio.NewReaderSize(conn, 64<<10))
	c.framer.SetReuseFrames()
	c.fields = hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		if grpc && f.Name == "grpc-status" || !grpc && f.Name == ":status" {
			c.status = f.Value
		}
	})
	_, _ = c.w.WriteString(http2.ClientPreface)
	return c, errors.Join(
		c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}, http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20}),
		c.framer.WriteWindowUpdate(0, window), c.w.Flush())
}

func (c *http2Caller) close() error { return c.conn.Close() }

// grpcRequest is the bytes of a gRPC call for http2Caller.
func grpcRequest(path string, body []byte) []byte {
	message := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body)))
	return http2Request(path, append(message, body...),
		"content-type", "application/grpc+proto", "te", "trailers", "grpc-accept-encoding", "gzip")
}

// http2Request is the length of the header block, the header block, and the body.
func http2Request(path string, body []byte, headers ...string) []byte {
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	e.SetMaxDynamicTableSize(0) // so that every request can have the same bytes
	headers = append([]string{":method", "POST", ":scheme", "http", ":path", path, ":authority", "localhost"}, headers...)
	for i := 0; i < len(headers); i += 2 {
		// Writing to a buffer cannot fail.
		_ = e.WriteField(hpack.HeaderField{Name: headers[i], Value: headers[i+1], Sensitive: true})
	}
	out := binary.BigEndian.AppendUint32(nil, uint32(block.Len()))
	out = append(out, block.Bytes()...)
	return append(out, body...)
}

func (c *http2Caller) call(request []byte) ([]byte, error) {
	n := binary.BigEndian.Uint32(request)
	block, data := request[4:4+n], request[4+n:]
	err := errors.Join(
		c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: c.stream, BlockFragment: block, EndHeaders: true}),
		c.framer.WriteData(c.stream, true, data), c.w.Flush())
	if err != nil {
		return nil, err
	}
	c.body, c.status = c.body[:0], ""
	for ended := false; !ended; {
		if ended, err = c.receive(); err != nil {
			return nil, err
		}
	}
	c.stream += 2
	if !c.grpc {
		if c.status != "200" {
			return nil, fmt.Errorf("the call ended with HTTP status %q: %s", c.status, c.body)
		}
		return c.body, nil
	}
	if c.status != "0" {
		return nil, fmt.Errorf("the call ended with gRPC status %q", c.status)
	}
	if len(c.body) < 5 || c.body[0] != 0 {
		return c.body[min(5, len(c.body)):], nil // compressed, or nothing
	}
	return c.body[5:], nil
}

// receive reads a frame; ended is true if it is the last one of the response.
func (c *http2Caller) receive() (ended bool, err error) {
	frame, err := c.framer.ReadFrame()
	if err != nil {
		return false, err
	}
	switch f := frame.(type) {
	case *http2.DataFrame:
		c.body = append(c.body, f.Data()...)
		if c.credit += len(f.Data()); c.credit > window/2 {
			err = c.framer.WriteWindowUpdate(0, uint32(c.credit))
			c.credit = 0
		}
		return f.StreamEnded(), err
	case *http2.HeadersFrame:
		if _, err := c.fields.Write(f.HeaderBlockFragment()); err != nil {
			return false, err
		}
		return f.StreamEnded(), c.fields.Close()
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return false, errors.Join(c.framer.WriteSettingsAck(), c.w.Flush())
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return false, errors.Join(c.framer.WritePing(true, f.Data), c.w.Flush())
		}
	case *http2.RSTStreamFrame:
		return false, fmt.Errorf("the server reset the call: %v", f.ErrCode)
	case *http2.GoAwayFrame:
		return false, fmt.Errorf("the server goes away: %v", f.ErrCode)
	}
	return false, nil
}
