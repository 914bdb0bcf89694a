// Package redisconn connects to Redis for the event log and the online store. It has the options,
// the checks of a server's settings, and the meaning of errors for the outcome of a write.
package redisconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"time"

	"github.com/redis/rueidis"
)

// Secret is a password. Printing or encoding it only shows whether it is set.
type Secret string

// Format implements fmt.Formatter for every verb.
func (s Secret) Format(f fmt.State, _ rune) {
	text, _ := s.MarshalText()
	_, _ = f.Write(text)
}

// MarshalText implements encoding.TextMarshaler.
func (s Secret) MarshalText() ([]byte, error) {
	if s == "" {
		return []byte("(none)"), nil
	}
	return []byte("(secret)"), nil
}

// Options configure a connection. Only Addresses is required.
type Options struct {
	// Addresses are host:port, or the absolute path of a unix socket. One address
	// is enough for a cluster too; more are tried in turn.
	Addresses []string
	Username  string
	Password  Secret
	DB        int         // not in a cluster, which has only 0
	TLS       *tls.Config // nil is no TLS; an empty one trusts the system's roots
	// Namespace begins every key, so that installations can share a server: letters,
	// digits, '.', '_' and '-', at most 64. "" is "unskew".
	Namespace string
	// Timeout bounds connecting and every call except blocking ones. 0 is 5 s.
	Timeout time.Duration
	// AllowEviction accepts, with a warning, a server whose maxmemory-policy is not noeviction.
	// Such a server drops records and states when memory is short, which silently makes windows
	// too small.
	AllowEviction bool
}

// Defaults of Options.
const (
	DefaultNamespace = "unskew"
	DefaultTimeout   = 5 * time.Second
)

var namespacePattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// withDefaults sets the defaults of empty options and checks the others.
func (o Options) withDefaults() (Options, error) {
	if len(o.Addresses) == 0 {
		return o, errors.New("redis: no address: give host:port or the path of a unix socket")
	}
	if o.Namespace == "" {
		o.Namespace = DefaultNamespace
	}
	if !namespacePattern.MatchString(o.Namespace) {
		return o, fmt.Errorf("redis: the namespace %q is not 1 to 64 letters, digits, '.', '_' and '-'", o.Namespace)
	}
	if o.Timeout < 0 {
		return o, fmt.Errorf("redis: the timeout %v is negative", o.Timeout)
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	return o, nil
}

// readAttempts is how often a read is tried when connections break. Writes are tried once, because
// only the caller knows whether a retry is safe.
const readAttempts = 3

func (o Options) clientOption() rueidis.ClientOption {
	return rueidis.ClientOption{
		InitAddress:      o.Addresses,
		Username:         o.Username,
		Password:         string(o.Password),
		SelectDB:         o.DB,
		TLSConfig:        o.TLS,
		ClientName:       "unskew",
		Dialer:           net.Dialer{Timeout: o.Timeout},
		DialCtxFn:        dial,
		ConnWriteTimeout: o.Timeout,
		DisableCache:     true,
		RetryDelay: func(attempts int, _ rueidis.Completed, _ error) time.Duration {
			if attempts >= readAttempts {
				return -1
			}
			return time.Duration(attempts) * 10 * time.Millisecond
		},
	}
}

// dial connects to host:port or, given an absolute path, to a unix socket.
func dial(ctx context.Context, address string, d *net.Dialer, config *tls.Config) (net.Conn, error) {
	network := "tcp"
	if filepath.IsAbs(address) {
		network = "unix"
	}
	if config == nil {
		return d.DialContext(ctx, network, address)
	}
	secure := tls.Dialer{NetDialer: d, Config: config}
	return secure.DialContext(ctx, network, address)
}
