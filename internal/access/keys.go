package access

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

// Bounds of the keys of an issuer, which come from elsewhere.
const (
	maxKeySet   = 1 << 20 // bytes of a key set
	maxKeys     = 100     // keys of a set
	minRSA      = 2048    // bits
	maxRSA      = 8192    // bits; to verify with longer ones takes long
	fetchTime   = 5 * time.Second
	keysAfter   = 10 * time.Second // between attempts, however many tokens name unknown keys
	keysFor     = 10 * time.Minute // after that keys are read again, so that withdrawn ones go
	keysAgain   = time.Minute      // the same after an attempt that failed
	keptTokens  = 4096             // verified tokens that are kept by their hash
	redirection = "it answers with a redirection, which is not followed; name the address that it leads to"
)

// keySet are the keys of an issuer, from a file or a URL. While they cannot be read, those that were read
// last stay in use. Methods may be called concurrently.
type keySet struct {
	from    string // a path or a URL
	remote  bool
	client  *http.Client
	now     func() time.Time
	current atomic.Pointer[keyring]

	mu      sync.Mutex // held while keys are read
	tried   time.Time  // when that was last begun
	problem error      // what the last attempt ended with
}

// keyring are keys as they were read at once, with what was verified by them.
type keyring struct {
	keys []jose.JSONWebKey

	mu       sync.Mutex
	verified map[[32]byte]verified // by the hash of the token
}

// verified is a caller that a token stands for, until it expires.
type verified struct {
	caller *Caller
	until  time.Time
}

// newKeySet makes a set that has no keys yet.
func newKeySet(from string, remote bool, now func() time.Time) *keySet {
	// Keys are read so seldom that no connection is worth keeping.
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10}
	return &keySet{from: from, remote: remote, now: now, client: &http.Client{
		Transport: transport, Timeout: fetchTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New(redirection) },
	}}
}

// find returns the key that a token names; without a name, the only key that there is. An unknown one makes the
// keys be read again, if the last time is long enough ago.
func (s *keySet) find(ctx context.Context, id string) (*keyring, *jose.JSONWebKey) {
	ring := s.current.Load()
	if key := ring.find(id); key != nil {
		return ring, key
	}
	_ = s.refresh(ctx, keysAfter) // Run reports what is wrong with the keys
	ring = s.current.Load()
	return ring, ring.find(id)
}

func (r *keyring) find(id string) *jose.JSONWebKey {
	switch {
	case r == nil:
		return nil
	case id == "" && len(r.keys) == 1:
		return &r.keys[0]
	}
	for i := range r.keys {
		if r.keys[i].KeyID == id && id != "" {
			return &r.keys[i]
		}
	}
	return nil
}

// refresh reads the keys if that was last tried longer than some time ago. Requests that need it at once wait for one attempt.
func (s *keySet) refresh(ctx context.Context, after time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if !s.tried.IsZero() && now.Sub(s.tried) < after {
		return s.problem
	}
	s.tried = now
	text, err := s.read(ctx)
	if err == nil {
		var keys []jose.JSONWebKey
		if keys, err = parseKeys(text); err == nil {
			s.current.Store(&keyring{keys: keys, verified: map[[32]byte]verified{}})
		}
	}
	if err != nil {
		err = fmt.Errorf("keys of %s: %w", s.from, err)
	}
	s.problem = err
	return err
}

// due reports whether it is time to read the keys again.
func (s *keySet) due() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	after := keysFor
	if s.problem != nil {
		after = keysAgain
	}
	return s.tried.IsZero() || s.now().Sub(s.tried) >= after
}

// read reads the text of the keys. The reading of a URL does not end with the request that caused it, since others wait for it too.
func (s *keySet) read(ctx context.Context) ([]byte, error) {
	if !s.remote {
		in, err := os.Open(s.from)
		if err != nil {
			return nil, err
		}
		text, err := bounded(in)
		return text, errors.Join(err, in.Close())
	}
	req, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodGet, s.from, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers with status %d", res.StatusCode)
	}
	return bounded(res.Body)
}

func bounded(in io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxKeySet+1))
	if err == nil && len(text) > maxKeySet {
		err = fmt.Errorf("they have more than %d bytes", maxKeySet)
	}
	return text, err
}

// parseKeys reads a JSON Web Key Set. Keys that tokens cannot be verified with are left out, as RFC 7517 says: those for encryption, of
// unknown kinds, and secrets, which a set that others can read must not have.
func parseKeys(text []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("they are not a JSON Web Key Set: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("they are %d, more than %d", len(set.Keys), maxKeys)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		// The library reads private parameters as well, and checks them, which a hostile set could make expensive.
		var secret struct{ K, D, P, Q any }
		if json.Unmarshal(raw, &secret) != nil || secret.K != nil || secret.D != nil || secret.P != nil || secret.Q != nil {
			continue
		}
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) == nil && key.Valid() && (key.Use == "" || key.Use == "sig") && verifies(key.Key) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("there is none that signatures can be verified with")
	}
	return keys, nil
}

// verifies reports whether a key is a public one of a kind and size that signatures are verified with.
func verifies(key any) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= minRSA && k.N.BitLen() <= maxRSA
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}

// known returns the caller of a token that has been verified; nil if it has not been, or has expired.
func (r *keyring) known(token [32]byte, now time.Time) *Caller {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if v, ok := r.verified[token]; ok && now.Before(v.until) {
		return v.caller
	}
	return nil
}

// keep keeps a verified token. All are forgotten once they are many: to verify them again costs little.
func (r *keyring) keep(token [32]byte, v verified) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.verified) >= keptTokens {
		clear(r.verified)
	}
	r.verified[token] = v
}
