package access

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// TLS are the files of a server's TLS.
type TLS struct {
	Certificate string // chain in PEM, the server's own certificate first
	Key         string // private key in PEM
	ClientCA    string // PEM of authorities of client certificates; "": clients need none
}

// Config reads the files. A changed certificate and key are used within seconds; new authorities need
// a restart. With authorities a client may show a certificate, and one that they have not signed ends the
// connection. While a changed certificate and key cannot be read, the last ones stay in use, and report
// gets the reason once.
// refresh does that at once, and says whether there was a change.
func (t TLS) Config(report func(error)) (c *tls.Config, refresh func() (changed bool, err error), err error) {
	pair := &keyPair{TLS: t, report: report}
	if _, err := pair.refresh(); err != nil {
		return nil, nil, fmt.Errorf("TLS: %w", err)
	}
	refresh = func() (bool, error) {
		pair.mu.Lock()
		defer pair.mu.Unlock()
		return pair.refresh()
	}
	c = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: pair.certificate, NextProtos: []string{"h2", "http/1.1"}}
	if t.ClientCA == "" {
		return c, refresh, nil
	}
	text, err := os.ReadFile(t.ClientCA)
	if err != nil {
		return nil, nil, fmt.Errorf("TLS: %w", err)
	}
	c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.VerifyClientCertIfGiven
	if !c.ClientCAs.AppendCertsFromPEM(text) {
		return nil, nil, fmt.Errorf("TLS: %s has no certificate in PEM", t.ClientCA)
	}
	return c, refresh, nil
}

// keyPair is a certificate with its key, read again when the files change.
type keyPair struct {
	TLS
	report  func(error)
	mu      sync.Mutex
	checked time.Time
	read    [2]stamp
	refused string // the reason that was reported last, "" since files were read
	pair    *tls.Certificate
}

// certificate implements tls.Config.GetCertificate. A pair that cannot be read leaves the last one in
// use: the files may be written at this moment.
func (k *keyPair) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.checked) > recheck {
		if _, err := k.refresh(); err != nil && err.Error() != k.refused {
			k.refused = err.Error()
			k.report(err)
		}
	}
	return k.pair, nil
}

func (k *keyPair) refresh() (changed bool, err error) {
	k.checked = time.Now()
	cert, err1 := stampOf(k.Certificate)
	key, err2 := stampOf(k.Key)
	now := [2]stamp{cert, key}
	if err := errors.Join(err1, err2); err != nil || cert.same(k.read[0]) && key.same(k.read[1]) {
		return false, err
	}
	pair, err := tls.LoadX509KeyPair(k.Certificate, k.Key)
	if err != nil {
		return false, err
	}
	k.pair, k.read, k.refused = &pair, now, ""
	return true, nil
}
