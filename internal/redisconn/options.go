// Package redisconn connects to Redis for the event log and the online store. It has the options,
// the checks of a server's settings, and the meaning of errors for the outcome of a write.
package redisconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
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

// Credentials say who connects.
type Credentials struct {
	Username string // "": the default user
	Password Secret
	// PasswordFile has the password, on its first line; "": Password is it. It is read by Dial.
	PasswordFile string
}

// password is the password, of the file if there is one.
func (c Credentials) password() (string, error) {
	if c.PasswordFile == "" {
		return string(c.Password), nil
	}
	if c.Password != "" {
		return "", fmt.Errorf("redis: there are a password and a file with one, %s: give one of them", c.PasswordFile)
	}
	text, err := os.ReadFile(c.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("redis: read the password: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", fmt.Errorf("redis: the first line of %s is empty: write the password there", c.PasswordFile)
	}
	return line, nil
}

// TLS are files in PEM, which Dial reads.
type TLS struct {
	CA               string // authorities that sign servers' certificates; "": those of the system
	Certificate, Key string // of this client; "": it has none
}

func (t *TLS) config() (*tls.Config, error) {
	if t == nil {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		text, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("redis: read the authorities: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("redis: %s has no certificate in PEM", t.CA)
		}
	}
	if (t.Certificate == "") != (t.Key == "") {
		return nil, errors.New("redis: a client certificate needs its key, and a key its certificate: give both files or none")
	}
	if t.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
		if err != nil {
			return nil, fmt.Errorf("redis: the client certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// Options configure a connection. Only Addresses is required.
type Options struct {
	// Addresses are host:port, or the absolute path of a unix socket. One address
	// is enough for a cluster too; more are tried in turn.
	Addresses []string
	// SentinelMaster is the name under which sentinels know the master, if Addresses are those of sentinels;
	// which server that is they say then, and when it is another one.
	SentinelMaster string
	Credentials
	Sentinel Credentials // for the sentinels, which have users of their own
	DB       int         // not in a cluster, which has only 0
	TLS      *TLS        // nil: without TLS; it holds for sentinels, too
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

// sentinelRefresh is how often sentinels are asked who is the master, in case a message about it was missed.
const sentinelRefresh = 2 * time.Second

func (o Options) clientOption() (rueidis.ClientOption, error) {
	secure, err := o.TLS.config()
	if err != nil {
		return rueidis.ClientOption{}, err
	}
	password, err := o.password()
	if err != nil {
		return rueidis.ClientOption{}, err
	}
	sentinel := rueidis.SentinelOption{}
	if o.SentinelMaster != "" {
		sentinel = rueidis.SentinelOption{
			MasterSet: o.SentinelMaster, Username: o.Sentinel.Username, ClientName: clientName, TLSConfig: secure,
			Dialer: net.Dialer{Timeout: o.Timeout}, TopologyRefreshInterval: sentinelRefresh,
		}
		if sentinel.Password, err = o.Sentinel.password(); err != nil {
			return rueidis.ClientOption{}, err
		}
	}
	return rueidis.ClientOption{
		InitAddress:      o.Addresses,
		Username:         o.Username,
		Password:         password,
		Sentinel:         sentinel,
		SelectDB:         o.DB,
		TLSConfig:        secure,
		ClientName:       clientName,
		Dialer:           net.Dialer{Timeout: o.Timeout},
		DialCtxFn:        dial,
		ConnWriteTimeout: o.Timeout,
		DisableCache:     true,
		RetryDelay:       retryDelay,
	}, nil
}

// clientName is how CLIENT LIST shows connections.
const clientName = "unskew"

// retryDelay is how long a read waits before it is tried again: longer each time, and never equally long, so that those
// that failed together do not come together.
func retryDelay(attempts int, _ rueidis.Completed, _ error) time.Duration {
	if attempts >= readAttempts {
		return -1
	}
	return time.Duration(attempts)*5*time.Millisecond + rand.N(time.Duration(attempts)*10*time.Millisecond)
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
