package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"os"

	"github.com/unskew/unskew/internal/access"
	"github.com/unskew/unskew/sdk"
	"github.com/unskew/unskew/server"
)

// securityFlags are the flags of serve that say who may call it, and how.
type securityFlags struct {
	files   access.TLS
	callers string
	hosts   []string
}

// security is what they say.
type security struct {
	tls     *tls.Config
	callers *access.File
	hosts   []string
}

// read reads the files of the flags. The log gets what is wrong with later versions of the certificate.
func (f *securityFlags) read(log *slog.Logger) (s security, err error) {
	if (f.files.Certificate == "") != (f.files.Key == "") || f.files.Certificate == "" && f.files.ClientCA != "" {
		return s, errors.New("TLS needs both --tls-cert and --tls-key")
	}
	if f.files.ClientCA != "" && f.callers == "" {
		return s, errors.New("--client-ca needs --callers, which says what the callers with certificates may do")
	}
	if f.files.Certificate != "" {
		if s.tls, err = f.files.Config(func(err error) { log.Error("the certificate stays as it was", "reason", err) }); err != nil {
			return s, err
		}
	}
	if f.callers != "" {
		if s.callers, err = access.Open(f.callers); err != nil {
			return s, err
		}
		if name := s.callers.ByCertificate(); name != "" && f.files.ClientCA == "" {
			log.Warn("no client certificate is accepted without --client-ca, so a caller cannot use its own", "caller", name)
		}
	}
	s.hosts = f.hosts
	return s, nil
}

// envToken is the environment variable with the token that commands send to a server.
const envToken = "UNSKEW_TOKEN"

// newClient returns a client of the server at a URL.
func newClient(url string) (*sdk.Client, error) {
	return sdk.New(url, sdk.WithToken(os.Getenv(envToken)))
}

// secured reports whether other machines may reach the server.
func (s *security) secured() bool { return s.tls != nil && s.callers != nil }

// configure sets what a server needs to know.
func (s *security) configure(c *server.Config) {
	c.TLS, c.Hosts = s.tls, s.hosts
	if s.callers != nil {
		c.Access = s.callers
	}
}

// run follows changes of the callers file.
func (s *security) run(ctx context.Context, log *slog.Logger) error {
	if s.callers == nil {
		return nil
	}
	return s.callers.Run(ctx, func(err error) { log.Error("the callers stay as they were", "reason", err) })
}
