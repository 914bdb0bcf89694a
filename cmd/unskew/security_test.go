package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/unskew/unskew/internal/access/accesstest"
)

// TestP17_ServeBeyondThisMachine: with TLS and callers a server listens on every interface, and commands
// reach it with their token.
func TestP17_ServeBeyondThisMachine(t *testing.T) {
	p := newTestProject(t)
	p.run("materialize", "-q")
	authority := accesstest.New(t)
	var made struct{ Token, SHA256 string }
	out, _ := p.run("token", "shop", "--json")
	p.check(json.Unmarshal([]byte(out), &made))
	p.write("callers.yaml", fmt.Sprintf("callers:\n- name: shop\n  roles: [read]\n  services: [churn_v1, churn_v2]\n  tokens: [\"%s\"]\n  certificates: [shop.internal]\n", made.SHA256))
	failed := func(want string, args ...string) {
		t.Helper()
		var stderr bytes.Buffer
		c := p.command(args...)
		c.Stderr = &stderr
		p.check(c.Start())
		if code := p.exitCode(c); code != exitFailed || !strings.Contains(stderr.String(), want) || strings.Contains(stderr.String(), made.Token) {
			t.Errorf("unskew %s: exit code %d, %s; want %q", strings.Join(args, " "), code, stderr.String(), want)
		}
	}
	certificate := []string{"--tls-cert", authority.ServerCertificate, "--tls-key", authority.ServerKey}
	failed("which needs TLS and known callers", append([]string{"serve", "--listen", "0.0.0.0:0"}, certificate...)...)
	failed("which needs TLS and known callers", "serve", "--listen", "0.0.0.0:0", "--callers", "callers.yaml")
	failed("TLS needs both --tls-cert and --tls-key", "serve", "--tls-key", authority.ServerKey)
	failed("--client-ca needs --callers", append([]string{"serve", "--client-ca", authority.Certificate}, certificate...)...)
	failed("callers: stat none.yaml: no such file or directory", "serve", "--callers", "none.yaml")

	s, err := startServer(p.dir, nil, append(certificate, "--listen", "0.0.0.0:0", "--callers", "callers.yaml")...)
	p.check(err)
	u, err := url.Parse(s.url)
	p.check(err)
	u.Host = "127.0.0.1:" + u.Port()
	read := []string{"get", "churn_v1", "-k", "customer_id=1", "-r", "basket=1", "--server", u.String()}
	failed("let SSL_CERT_FILE name a PEM file", read...)
	t.Setenv("SSL_CERT_FILE", authority.Certificate)
	failed("unauthenticated", read...)
	t.Setenv(envToken, made.Token)
	if got, _ := p.run(read...); !strings.Contains(got, "spending.payments") {
		t.Errorf("with the token: %s", got)
	}
	t.Setenv(envToken, made.Token+"\n")
	failed("the token has a space, a line break", read...)
	t.Setenv(envToken, made.Token)
	p.write("new.jsonl", paymentLine(1))
	failed("permission_denied: caller shop has the roles read, and this needs the role push", "push", "payments", "new.jsonl", "-q", "--server", u.String())
	failed("a token is not sent to 192.0.2.1 without TLS", "get", "churn_v1", "-k", "customer_id=1", "-r", "basket=1", "--server", "http://192.0.2.1")
	p.check(s.terminate())
	if log := s.log.String(); !strings.Contains(log, "request refused") || !strings.Contains(log, "without --client-ca") || !strings.Contains(log, `did you mean \"churn_v1\"?`) || strings.Contains(log, made.Token) {
		t.Errorf("the log: %s", log)
	}
	if text, err := os.ReadFile(p.dir + "/callers.yaml"); err != nil || strings.Contains(string(text), made.Token) {
		t.Errorf("%v: the callers file has the token", err)
	}
}
