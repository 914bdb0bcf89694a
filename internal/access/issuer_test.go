package access

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// provider is an OpenID provider of a test, whose keys are replaced as real ones are.
type provider struct {
	*httptest.Server
	answer atomic.Pointer[http.HandlerFunc]
	asked  atomic.Int64
}

func newProvider(t *testing.T) *provider {
	p := &provider{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		(*p.answer.Load())(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) answers(h http.HandlerFunc) { p.answer.Store(&h) }

// publishes makes the provider answer with keys.
func (p *provider) publishes(t *testing.T, keys ...jose.JSONWebKey) {
	t.Helper()
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	p.answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) })
}

// signer is a key of a provider.
type signer struct {
	private any
	public  jose.JSONWebKey
}

func newSigner(t *testing.T, id string) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{key, jose.JSONWebKey{Key: key.Public(), KeyID: id, Use: "sig", Algorithm: "ES256"}}
}

// token signs claims.
func (s signer) token(t *testing.T, alg jose.SignatureAlgorithm, id string, claims map[string]any) string {
	t.Helper()
	opts := &jose.SignerOptions{}
	if id != "" {
		opts.WithHeader("kid", id)
	}
	made, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: s.private}, opts)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(made).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

const issuerFile = `issuers:
- name: corp
  issuer: https://login.example.com
  audiences: [unskew]
  jwks: %s
  roles:
    claim: [realm, groups]
    values: {serving: [read], streams: [push, train]}
  services: [fraud_v1]
`

// clocked is a callers file with the issuer, at a time that the test sets.
func clocked(t *testing.T, text string, now *time.Time) *Callers {
	t.Helper()
	c, err := Parse("callers.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	c.issuers[0].keys.now = func() time.Time { return *now }
	return c
}

// claims are good ones, with changes; nil removes one.
func claims(now time.Time, changes map[string]any) map[string]any {
	c := map[string]any{"iss": "https://login.example.com", "aud": []string{"other", "unskew"}, "sub": "ann", "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"realm": map[string]any{"groups": []string{"serving", "unheard of"}}}
	for k, v := range changes {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

func TestIssuer_Tokens(t *testing.T) {
	p, key, other := newProvider(t), newSigner(t, "1"), newSigner(t, "1")
	p.publishes(t, key.public)
	now := time.Unix(1_800_000_000, 0)
	c := clocked(t, fmt.Sprintf(issuerFile, p.URL), &now)
	good := key.token(t, jose.ES256, "1", claims(now, nil))
	caller, err := c.Authenticate(request("Bearer " + good))
	if err != nil || caller.Name != "corp:ann" || !caller.MayRead("fraud_v1") || caller.MayRead("other") || caller.May(Push) || caller.May(Admin) {
		t.Fatalf("%+v, %v", caller, err)
	}
	again, err := c.Authenticate(request("Bearer " + good))
	if err != nil || again != caller {
		t.Errorf("a token that was verified is verified again: %v", err)
	}
	pub, err := x509.MarshalPKIXPublicKey(key.public.Key)
	if err != nil {
		t.Fatal(err)
	}
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"1"}`)) + "." + strings.Split(good, ".")[1] + "."
	groups := func(v any) map[string]any { return map[string]any{"realm": map[string]any{"groups": v}} }
	for name, x := range map[string]struct {
		token string
		want  error
	}{
		"a text as a scope":             {key.token(t, jose.ES256, "1", claims(now, groups("openid serving"))), nil},
		"one key and no name of it":     {key.token(t, jose.ES256, "", claims(now, nil)), nil},
		"within the leeway":             {key.token(t, jose.ES256, "1", claims(now, map[string]any{"exp": now.Add(-29 * time.Second).Unix()})), nil},
		"another issuer":                {key.token(t, jose.ES256, "1", claims(now, map[string]any{"iss": "https://login.example.com/"})), errIssuer},
		"no issuer":                     {key.token(t, jose.ES256, "1", claims(now, map[string]any{"iss": nil})), errIssuer},
		"another audience":              {key.token(t, jose.ES256, "1", claims(now, map[string]any{"aud": "other"})), errAudience},
		"no audience":                   {key.token(t, jose.ES256, "1", claims(now, map[string]any{"aud": nil})), errAudience},
		"expired":                       {key.token(t, jose.ES256, "1", claims(now, map[string]any{"exp": now.Add(-31 * time.Second).Unix()})), errExpired},
		"no expiry":                     {key.token(t, jose.ES256, "1", claims(now, map[string]any{"exp": nil})), errLifetime},
		"not valid yet":                 {key.token(t, jose.ES256, "1", claims(now, map[string]any{"nbf": now.Add(31 * time.Second).Unix()})), errEarly},
		"issued later":                  {key.token(t, jose.ES256, "1", claims(now, map[string]any{"iat": now.Add(time.Minute).Unix()})), errEarly},
		"an unknown key":                {key.token(t, jose.ES256, "2", claims(now, nil)), errKey},
		"another's key":                 {other.token(t, jose.ES256, "1", claims(now, nil)), errSignature},
		"no name":                       {key.token(t, jose.ES256, "1", claims(now, map[string]any{"sub": nil})), errName},
		"a name that is a number":       {key.token(t, jose.ES256, "1", claims(now, map[string]any{"sub": 7})), errMalformed},
		"a long name":                   {key.token(t, jose.ES256, "1", claims(now, map[string]any{"sub": strings.Repeat("a", maxName+1)})), errName},
		"a name with a line break":      {key.token(t, jose.ES256, "1", claims(now, map[string]any{"sub": "a\nb"})), errName},
		"no roles":                      {key.token(t, jose.ES256, "1", claims(now, groups([]string{"unheard of"}))), errRoles},
		"roles elsewhere":               {key.token(t, jose.ES256, "1", claims(now, map[string]any{"realm": "serving"})), errRoles},
		"no signature":                  {unsigned, errMalformed},
		"the public key as secret":      {signer{private: pub}.token(t, jose.HS256, "1", claims(now, nil)), errMalformed},
		"a signature that was cut":      {good[:len(good)-4], errSignature},
		"claims that were changed":      {strings.Replace(good, ".", ".e30", 1), errMalformed},
		"no JWT":                        {"a.b.c", errMalformed},
		"a token that is too large":     {strings.Repeat("a", maxToken) + ".b.c", ErrUnknown},
		"a token of neither kind":       {NewToken(), ErrUnknown},
		"an algorithm of another curve": {rsaSigner(t).token(t, jose.RS256, "1", claims(now, nil)), errAlgorithm},
	} {
		_, err := c.Authenticate(request("Bearer " + x.token))
		if !errors.Is(err, x.want) {
			t.Errorf("%s: %v, want %v", name, err, x.want)
		}
		if err != nil && strings.Contains(err.Error(), x.token) {
			t.Errorf("%s: the error shows the token", name)
		}
	}
	if asked := p.asked.Load(); asked != 1 {
		t.Errorf("keys were read %d times", asked)
	}
	now = now.Add(time.Hour + 31*time.Second)
	if _, err := c.Authenticate(request("Bearer " + good)); !errors.Is(err, errExpired) {
		t.Errorf("a token that was verified before it expired: %v", err)
	}
}

func rsaSigner(t *testing.T) signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, minRSA)
	if err != nil {
		t.Fatal(err)
	}
	return signer{key, jose.JSONWebKey{Key: key.Public(), KeyID: "rsa", Use: "sig"}}
}

// TestIssuer_Algorithms: RSA works, and a list of algorithms excludes the others.
func TestIssuer_Algorithms(t *testing.T) {
	p, key := newProvider(t), rsaSigner(t)
	p.publishes(t, key.public)
	now := time.Unix(1_800_000_000, 0)
	for algs, want := range map[string]error{"[RS256]": nil, "[PS256, ES256]": errAlgorithm} {
		c := clocked(t, fmt.Sprintf(issuerFile, p.URL)+"  algorithms: "+algs+"\n", &now)
		if _, err := c.Authenticate(request("Bearer " + key.token(t, jose.RS256, "rsa", claims(now, nil)))); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", algs, err, want)
		}
	}
}

// TestIssuer_KeysAreReplaced: a new key is found when a token names it, a withdrawn one goes, and no flood of tokens
// makes the server ask more often than its bound.
func TestIssuer_KeysAreReplaced(t *testing.T) {
	p, first, second := newProvider(t), newSigner(t, "1"), newSigner(t, "2")
	p.publishes(t, first.public)
	now := time.Unix(1_800_000_000, 0)
	c := clocked(t, fmt.Sprintf(issuerFile, p.URL), &now)
	try := func(s signer, want error) {
		t.Helper()
		if _, err := c.Authenticate(request("Bearer " + s.token(t, jose.ES256, s.public.KeyID, claims(now, nil)))); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", s.public.KeyID, err, want)
		}
	}
	try(first, nil)
	p.publishes(t, second.public)
	for range 100 {
		try(second, errKey)
	}
	if asked := p.asked.Load(); asked != 1 {
		t.Errorf("tokens with unknown keys made the server ask %d times", asked)
	}
	old := first.token(t, jose.ES256, "1", claims(now, nil))
	now = now.Add(keysAfter)
	try(second, nil)
	if _, err := c.Authenticate(request("Bearer " + old)); !errors.Is(err, errKey) {
		t.Errorf("a token of a withdrawn key: %v", err)
	}
	p.Close()
	now = now.Add(keysFor)
	if err := c.readKeys(t.Context(), false); err == nil || !strings.Contains(err.Error(), "issuer corp: keys of "+p.URL) {
		t.Errorf("the issuer is down: %v", err)
	}
	try(second, nil)
	// So it stays when the callers file changes.
	next := clocked(t, fmt.Sprintf(issuerFile, p.URL)+"  leeway: 1m\n", &now)
	next.adopt(c)
	c = next
	try(second, nil)
}

// TestIssuer_HostileKeys leave the keys that are known in use.
func TestIssuer_HostileKeys(t *testing.T) {
	p, key := newProvider(t), newSigner(t, "1")
	now := time.Unix(1_800_000_000, 0)
	elsewhere := newProvider(t)
	elsewhere.publishes(t, newSigner(t, "1").public)
	released := make(chan struct{})
	defer close(released)
	private := jose.JSONWebKey{Key: rsaSigner(t).private, KeyID: "9"}
	for name, x := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"large":      {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxKeySet+1)) }, "more than"},
		"redirected": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }, "not followed"},
		"slow": {func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-released:
			}
		}, "Timeout"},
		"an error": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "status 500"},
		"a page":   {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "not a JSON Web Key Set"},
		"many": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys": [{}` + strings.Repeat(",{}", maxKeys) + `]}`))
		}, "more than 100"},
		"none": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys": [{"kty": "future"}, 1]}`))
		}, "there is none"},
		"a secret": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys": [{"kty": "oct", "k": "AAAA", "kid": "9"}]}`))
		}, "there is none"},
		"private ones": {func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{private}})
		}, "there is none"},
	} {
		p.publishes(t, key.public)
		c := clocked(t, fmt.Sprintf(issuerFile, p.URL), &now)
		c.issuers[0].keys.client.Timeout = time.Second
		if err := c.readKeys(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		p.answers(x.answer)
		now = now.Add(keysFor)
		if err := c.readKeys(t.Context(), false); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %q", name, err, x.want)
		}
		if _, err := c.Authenticate(request("Bearer " + key.token(t, jose.ES256, "1", claims(now, nil)))); err != nil {
			t.Errorf("%s: the key that is known: %v", name, err)
		}
	}
	if elsewhere.asked.Load() != 0 {
		t.Error("a redirection was followed")
	}
}

// TestIssuer_KeysInAFile beside the callers file; without it the callers file is not taken.
func TestIssuer_KeysInAFile(t *testing.T) {
	dir, key := t.TempDir(), newSigner(t, "1")
	path := filepath.Join(dir, "callers.yaml")
	if err := os.WriteFile(path, fmt.Appendf(nil, issuerFile, "keys.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "issuer corp: keys of ") {
		t.Errorf("without the keys: %v", err)
	}
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.public}})
	if err := errors.Join(err, os.WriteFile(filepath.Join(dir, "keys.json"), text, 0o600)); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := f.Authenticate(request("Bearer " + key.token(t, jose.ES256, "1", claims(time.Now(), nil)))); err != nil || c.Name != "corp:ann" {
		t.Errorf("%v, %v", c, err)
	}
	if services, _ := f.Limits(); !slices.Equal(services, []string{"fraud_v1"}) {
		t.Errorf("limits: %v", services)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := f.Run(ended, func(err error) { t.Error(err) }); err != nil {
		t.Error(err)
	}
}

func TestIssuer_Findings(t *testing.T) {
	with := func(old, text string) string {
		return strings.Replace(fmt.Sprintf(issuerFile, "https://login.example.com/keys"), old, text, 1)
	}
	for text, want := range map[string]string{
		with("[unskew]", "[]"): `issuer "corp" has no audiences`,
		with("https://login.example.com/keys", "http://login.example.com/keys"):  "callers.yaml:5:9: the keys of an issuer on another machine must be read by https",
		with("https://login.example.com/keys", "https://u:p@login.example.com/"): "without a password",
		with("https://login.example.com/keys", "ftp://login.example.com/"):       "jwks must be a URL",
		with("[read]", "[red]"):                                                       `"red" is not a role`,
		with("[realm, groups]", "[]"):                                                 "claim must be the path",
		with("{serving: [read], streams: [push, train]}", "{}"):                       "gives nobody a role",
		with("  services", "  leeway: 6m\n  services"):                                "the leeway may be at most 5m",
		with("  services", "  algorithms: [HS256]\n  services"):                       `"HS256" is no algorithm for tokens`,
		with("  services", "  algorithms: [none]\n  services"):                        `"none" is no algorithm for tokens`,
		with("  services", "  secret: x\n  services"):                                 `no key "secret"`,
		with("", "callers: [{name: 'corp:ann', roles: [read], certificates: [x]}]\n"): `caller "corp:ann" has a name that the issuer "corp" may give`,
		with("", "") + strings.TrimPrefix(with("", ""), "issuers:\n"):                 `two issuers "corp"`,
	} {
		if _, err := Parse("callers.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
