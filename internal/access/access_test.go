package access

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/unskew/unskew/internal/access/accesstest"
)

func request(headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, h := range headers {
		r.Header.Add("Authorization", h)
	}
	return r
}

func TestAuthenticate(t *testing.T) {
	first, second := NewToken(), NewToken()
	callers, err := Parse("callers.yaml", []byte(`callers:
- {name: checkout, roles: [read], tokens: ["`+HashToken(first)+`", "`+HashToken(second)+`"], services: [fraud_v1], description: The shop}
- {name: nothing, roles: [push], tokens: ["`+HashToken("x")+`"], sources: []}
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range []string{"Bearer " + first, "bearer " + second, "Bearer  " + first} {
		if c, err := callers.Authenticate(request(header)); err != nil || c.Name != "checkout" {
			t.Errorf("%q: %v, %v", header[:8], c, err)
		}
	}
	for _, headers := range [][]string{
		{"Bearer"}, {"Bearer "}, {first}, {"Basic " + first}, {"Bearer " + first + "x"}, {"Bearer " + HashToken(first)},
		{"Bearer " + first, "Bearer " + second}, {"Bearer " + strings.Repeat("x", 1<<20)},
	} {
		if c, err := callers.Authenticate(request(headers...)); !errors.Is(err, ErrUnknown) {
			t.Errorf("%.80q: %v, %v", headers, c, err)
		}
	}
	if _, err := callers.Authenticate(request()); !errors.Is(err, ErrNoCredentials) {
		t.Error(err)
	}
	c, err := callers.Authenticate(request("Bearer " + first))
	if err != nil || !c.MayRead("fraud_v1") || c.MayRead("other") || c.MayPush("s") || c.May(Train) {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err = callers.Authenticate(request("Bearer x")); err != nil || c.MayPush("s") || c.MayRead("fraud_v1") {
		t.Errorf("an empty list of sources: %+v, %v", c, err)
	}
}

func TestParse_Findings(t *testing.T) {
	token := NewToken()
	for text, want := range map[string]string{
		"":                     "callers.yaml: it must be one YAML document",
		"a: [":                 "callers.yaml:1:",
		"callers: 1":           "callers.yaml:1:10: callers must be a list",
		"callers: [{name: a}]": "has no roles",
		"callers: [{name: a, roles: [red], tokens: []}]":                                                      `"red" is not a role`,
		"callers: [{name: a, roles: [read]}]":                                                                 "neither tokens nor certificates",
		"callers: [{name: a, roles: [read], token: []}]":                                                      `no key "token" (did you mean "tokens"?)`,
		"callers: [{name: a, roles: [read], tokens: [" + token + "]}]":                                        "a token is written as its SHA-256",
		"callers: [{name: a, roles: [read], certificates: [x]}, {name: a, roles: [read], certificates: [x]}]": `two callers "a"`,
		"callers: [{name: a, roles: [read], certificates: [x]}, {name: b, roles: [read], certificates: [x]}]": `the same certificate name "x"`,
	} {
		_, err := Parse("callers.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), token) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestFileIsReadAgain when it changes; one with errors changes nothing.
func TestFileIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "callers.yaml")
	clock := time.Now().Add(-time.Hour)
	write := func(text string) {
		t.Helper()
		clock = clock.Add(time.Second)
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chtimes(path, clock, clock)); err != nil {
			t.Fatal(err)
		}
	}
	token := NewToken()
	good := `callers: [{name: a, roles: [read], tokens: ["` + HashToken(token) + `"]}]`
	write(good)
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	known := func() bool { _, err := f.Authenticate(request("Bearer " + token)); return err == nil }
	write("callers: [{name: a}]")
	if _, err := f.Refresh(); err == nil || !known() {
		t.Errorf("a file with errors: %v, known %t", err, known())
	}
	if _, err := f.Refresh(); err != nil {
		t.Errorf("the same errors again: %v", err)
	}
	write("callers: []")
	if _, err := f.Refresh(); err != nil || known() {
		t.Errorf("removed: %v, known %t", err, known())
	}
	write(good)
	if _, err := f.Refresh(); err != nil || !known() {
		t.Errorf("back again: %v, known %t", err, known())
	}
	// Another file takes its place that is as large and as old: a token was replaced.
	other := path + ".new"
	text := strings.Replace(good, HashToken(token), HashToken("another"), 1)
	if err := errors.Join(os.WriteFile(other, []byte(text), 0o600), os.Chtimes(other, clock, clock), os.Rename(other, path)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Refresh(); err != nil || known() {
		t.Errorf("replaced: %v, known %t", err, known())
	}
	write(good)
	if _, err := f.Refresh(); err != nil || !known() {
		t.Errorf("back once more: %v, known %t", err, known())
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Refresh(); err == nil || !known() {
		t.Errorf("without the file: %v, known %t", err, known())
	}
	write(strings.Repeat("#", maxFile+1))
	if _, err := f.Refresh(); err == nil || !known() {
		t.Errorf("a file that is too large: %v, known %t", err, known())
	}
}

// TestCertificatesAreReadAgain when they have been renewed; files that do not belong together, or are
// broken, leave the last pair in use.
func TestCertificatesAreReadAgain(t *testing.T) {
	a := accesstest.New(t)
	var reported []error
	pair := &keyPair{TLS: TLS{Certificate: a.ServerCertificate, Key: a.ServerKey}, report: func(err error) { reported = append(reported, err) }}
	leaf := func() string {
		t.Helper()
		pair.checked = time.Time{}
		c, err := pair.certificate(&tls.ClientHelloInfo{})
		if err != nil {
			t.Fatal(err)
		}
		return string(c.Certificate[0])
	}
	first := leaf()
	key, err := os.ReadFile(a.ServerKey)
	if err != nil {
		t.Fatal(err)
	}
	a.RenewServer(t)
	renewed, err := os.ReadFile(a.ServerKey)
	later := time.Now().Add(time.Minute)
	if err := errors.Join(err, os.WriteFile(a.ServerKey, key, 0o600), os.Chtimes(a.ServerKey, later, later)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if leaf() != first {
			t.Error("a certificate is used with another's key")
		}
	}
	if len(reported) != 1 || !strings.Contains(reported[0].Error(), "private key does not match") {
		t.Errorf("the reason is reported once: %v", reported)
	}
	later = later.Add(time.Minute)
	if err := errors.Join(os.WriteFile(a.ServerKey, renewed, 0o600), os.Chtimes(a.ServerKey, later, later)); err != nil {
		t.Fatal(err)
	}
	if leaf() == first {
		t.Error("the renewed certificate is not used")
	}
	for _, bad := range []TLS{{Certificate: a.ServerCertificate, Key: a.Certificate}, {Certificate: "none", Key: "none"}, {Certificate: a.ServerCertificate, Key: a.ServerKey, ClientCA: a.ServerKey}} {
		if _, _, err := bad.Config(nil); err == nil {
			t.Errorf("%+v has no error", bad)
		}
	}
}
