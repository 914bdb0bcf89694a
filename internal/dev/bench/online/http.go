package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// caller sends requests one after another over its own connection. It uses as little processor
// time as possible, because it shares the processors with the server.
type caller interface {
	// call sends the bytes of a request and returns the body of the response, which is valid
	// until the next call.
	call(request []byte) ([]byte, error)
	close() error
}

// plainCaller speaks HTTP/1.1.
type plainCaller struct {
	conn net.Conn
	r    *bufio.Reader
	body []byte
}

func dialPlain(address string) (caller, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &plainCaller{conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}, nil
}

func (c *plainCaller) close() error { return c.conn.Close() }

// plainRequest is the bytes of a request for plainCaller.
func plainRequest(path, contentType string, body []byte) []byte {
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nContent-Type: %s\r\nContent-Length: %d\r\n", path, contentType, len(body))
	if strings.HasPrefix(path, "/unskew") {
		head += "Connect-Protocol-Version: 1\r\nAccept-Encoding: gzip\r\n"
	}
	return append([]byte(head+"\r\n"), body...)
}

func (c *plainCaller) call(request []byte) ([]byte, error) {
	if _, err := c.conn.Write(request); err != nil {
		return nil, err
	}
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	ok := bytes.HasPrefix(line, []byte("HTTP/1.1 200"))
	status := ""
	if !ok {
		status = string(line)
	}
	length := -1
	for {
		if line, err = c.r.ReadSlice('\n'); err != nil {
			return nil, err
		}
		if len(line) <= 2 {
			break
		}
		if name, value, _ := bytes.Cut(line, []byte(":")); bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return nil, err
			}
		}
	}
	c.body = c.body[:0]
	if length >= 0 {
		err = c.read(length)
	} else {
		err = c.readChunks()
	}
	if err == nil && !ok {
		err = fmt.Errorf("%s: %s", strings.TrimSpace(status), c.body)
	}
	return c.body, err
}

// read appends n bytes to the body.
func (c *plainCaller) read(n int) error {
	at := len(c.body)
	if need := at + n; need > cap(c.body) {
		c.body = append(c.body, make([]byte, n)...)
	}
	c.body = c.body[:at+n]
	_, err := io.ReadFull(c.r, c.body[at:])
	return err
}

func (c *plainCaller) readChunks() error {
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 31)
		if err != nil {
			return errors.New("the answer has neither a length nor chunks")
		}
		if err := c.read(int(n)); err != nil {
			return err
		}
		if _, err := c.r.Discard(2); err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
	}
}
