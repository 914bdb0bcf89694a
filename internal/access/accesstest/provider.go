package accesstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Provider signs tokens for a test as an OpenID provider does, by RFC 7515 and without the library that verifies them.
type Provider struct {
	Keys string // file with its JSON Web Key Set
	key  *ecdsa.PrivateKey
}

// NewProvider makes a provider with one key, named 1. Its file is removed at the end of the test.
func NewProvider(t testing.TB) *Provider {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes() // 4, and two coordinates of 32 bytes
	if err != nil {
		t.Fatal(err)
	}
	p := &Provider{Keys: filepath.Join(t.TempDir(), "keys.json"), key: key}
	public := map[string]any{"kty": "EC", "crv": "P-256", "kid": "1", "x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:])}
	if err := os.WriteFile(p.Keys, encode(t, map[string]any{"keys": []any{public}}), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// Token is a signed token with claims.
func (p *Provider) Token(t testing.TB, claims map[string]any) string {
	t.Helper()
	text := base64.RawURLEncoding.EncodeToString(encode(t, map[string]string{"alg": "ES256", "kid": "1"})) + "." + base64.RawURLEncoding.EncodeToString(encode(t, claims))
	hash := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, p.key, hash[:])
	if err != nil {
		t.Fatal(err)
	}
	var signature [64]byte
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature[:])
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
