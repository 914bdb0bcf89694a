package serving

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"slices"
	"strconv"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/access"
	"github.com/unskew/unskew/internal/nearest"
	"github.com/unskew/unskew/server"
)

// security is what the flags say of who may call the server, and how.
type security struct {
	tls     *tls.Config
	callers *access.File
	hosts   []string
	// What reads the callers and the certificate again; nil: there is none.
	readCallers, readPair func() (changed bool, err error)
}

// security reads the files of the flags. The log gets what is wrong with later versions of the certificate.
func (f *Flags) security(log *slog.Logger) (s security, err error) {
	if (f.TLS.Certificate == "") != (f.TLS.Key == "") || f.TLS.Certificate == "" && f.TLS.ClientCA != "" {
		return s, errors.New("TLS needs both --tls-cert and --tls-key")
	}
	if f.TLS.ClientCA != "" && f.Callers == "" {
		return s, errors.New("--client-ca needs --callers, which says what the callers with certificates may do")
	}
	if f.TLS.Certificate != "" {
		if s.tls, s.readPair, err = f.TLS.Config(func(err error) { log.Error("the certificate stays as it was", "reason", err) }); err != nil {
			return s, err
		}
	}
	if f.Callers != "" {
		if s.callers, err = access.Open(f.Callers); err != nil {
			return s, err
		}
		s.readCallers = s.callers.Refresh
		if name := s.callers.ByCertificate(); name != "" && f.TLS.ClientCA == "" {
			log.Warn("no client certificate is accepted without --client-ca, so a caller cannot use its own", "caller", name)
		}
	}
	s.hosts = f.Hosts
	return s, nil
}

// warn says which services and sources in the callers file the project does not have.
func (s *security) warn(p *plan.Plan, log *slog.Logger) {
	if s.callers == nil {
		return
	}
	say := func(kind string, limited, known []string) {
		for _, name := range limited {
			if !slices.Contains(known, name) {
				log.Warn("the callers file names a " + kind + " that the project does not have: " + strconv.Quote(name) + nearest.Hint(name, known))
			}
		}
	}
	services, sources := s.callers.Limits()
	var serviceNames, streamNames []string
	for _, x := range p.Services {
		serviceNames = append(serviceNames, x.Name)
	}
	for _, x := range p.Sources {
		if x.Stream {
			streamNames = append(streamNames, x.Name)
		}
	}
	say("service", services, serviceNames)
	say("stream source", sources, streamNames)
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
	return s.callers.Run(ctx, func(err error) { log.Error("the callers, or the keys of an issuer, stay as they were", "reason", err) })
}
