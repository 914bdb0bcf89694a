package access

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/unskew/unskew/featuredefs/yamldoc"
)

// Bounds of what is taken from an issuer.
const (
	maxIssuers    = 16
	maxName       = 200 // bytes of the claim that names a caller
	defaultLeeway = 30 * time.Second
	maxLeeway     = 5 * time.Minute
)

// algorithms are those that tokens may be signed with. None takes a secret, so that a public key is never taken for one.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}

// issuer is an OpenID provider whose tokens stand for callers.
type issuer struct {
	name       string // begins the names of its callers
	url        string
	audiences  []string
	algorithms []jose.SignatureAlgorithm
	leeway     time.Duration
	caller     string   // the claim that names the caller
	claim      []string // the path to the claim that says the roles
	roles      map[string][]Role
	services   []string
	sources    []string
	keys       *keySet
}

// Errors of tokens of issuers. None shows any part of a token.
var (
	errMalformed = errors.New("the token is neither one that the server knows nor a signed JWT with an allowed algorithm")
	errIssuer    = errors.New("the token is of an issuer that the server does not know")
	errAudience  = errors.New("the token is for another audience")
	errAlgorithm = errors.New("the token is signed with an algorithm that its issuer may not use")
	errKey       = errors.New("the token is signed with a key that the server does not know")
	errSignature = errors.New("the signature of the token is wrong")
	errExpired   = errors.New("the token has expired; get a new one")
	errEarly     = errors.New("the token is not valid yet; compare the clocks of this server and of the issuer")
	errLifetime  = errors.New("the token does not say when it expires")
	errName      = errors.New("the token does not name its caller in the claim that the server looks at")
	errRoles     = errors.New("the token gives its caller no role")
)

// isJWT reports whether a token has the three parts of a signed JWT, which no token of unskew token has.
func isJWT(token string) bool { return strings.Count(token, ".") == 2 }

// byIssuer returns the caller that a JWT stands for.
func (c *Callers) byIssuer(ctx context.Context, token string) (*Caller, error) {
	parsed, err := jwt.ParseSigned(token, algorithms)
	if err != nil {
		return nil, errMalformed
	}
	var says jwt.Claims
	if err := parsed.UnsafeClaimsWithoutVerification(&says); err != nil {
		return nil, errMalformed
	}
	for _, i := range c.issuers {
		if i.url == says.Issuer {
			return i.authenticate(ctx, token, parsed)
		}
	}
	return nil, errIssuer
}

// authenticate returns the caller of a token that says to be of this issuer.
func (i *issuer) authenticate(ctx context.Context, token string, parsed *jwt.JSONWebToken) (*Caller, error) {
	now, hash := i.keys.now(), sha256.Sum256([]byte(token))
	if c := i.keys.current.Load().known(hash, now); c != nil {
		return c, nil
	}
	header := parsed.Headers[0]
	if !slices.Contains(i.algorithms, jose.SignatureAlgorithm(header.Algorithm)) {
		return nil, errAlgorithm
	}
	ring, key := i.keys.find(ctx, header.KeyID)
	if key == nil {
		return nil, errKey
	}
	if key.Algorithm != "" && key.Algorithm != header.Algorithm {
		return nil, errAlgorithm
	}
	var claims jwt.Claims
	var all map[string]any
	if err := parsed.Claims(key.Key, &claims, &all); err != nil {
		return nil, errSignature
	}
	if err := i.valid(claims, now); err != nil {
		return nil, err
	}
	caller, err := i.callerOf(all)
	if err != nil {
		return nil, err
	}
	ring.keep(hash, verified{caller, claims.Expiry.Time().Add(i.leeway)})
	return caller, nil
}

// valid checks whom a verified token is for, and when.
func (i *issuer) valid(claims jwt.Claims, now time.Time) error {
	err := claims.ValidateWithLeeway(jwt.Expected{Issuer: i.url, AnyAudience: i.audiences, Time: now}, i.leeway)
	switch {
	case errors.Is(err, jwt.ErrInvalidAudience):
		return errAudience
	case errors.Is(err, jwt.ErrExpired):
		return errExpired
	case errors.Is(err, jwt.ErrNotValidYet), errors.Is(err, jwt.ErrIssuedInTheFuture):
		return errEarly
	case err != nil:
		return errIssuer
	case claims.Expiry == nil:
		return errLifetime
	}
	return nil
}

// callerOf returns the caller that claims are of.
func (i *issuer) callerOf(claims map[string]any) (*Caller, error) {
	name, _ := claims[i.caller].(string)
	if name == "" || len(name) > maxName || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return nil, errName
	}
	c := &Caller{Name: i.name + ":" + name, services: i.services, sources: i.sources}
	for _, value := range texts(claims, i.claim) {
		for _, r := range i.roles[value] {
			if !slices.Contains(c.roles, r) {
				c.roles = append(c.roles, r)
			}
		}
	}
	if len(c.roles) == 0 {
		return nil, errRoles
	}
	return c, nil
}

// texts returns the texts of a claim: those of a list, or the words of a text, as OAuth writes scopes.
func texts(claims map[string]any, path []string) []string {
	for _, name := range path[:len(path)-1] {
		claims, _ = claims[name].(map[string]any)
	}
	switch v := claims[path[len(path)-1]].(type) {
	case string:
		return strings.Fields(v)
	case []any:
		var out []string
		for _, item := range v {
			if text, ok := item.(string); ok {
				out = append(out, text)
			}
		}
		return out
	}
	return nil
}

// issuer reads an entry of the list of issuers.
func (p *parser) issuer(n *yamldoc.Node) {
	o := p.Object(n, "issuer", "name", "issuer", "audiences", "jwks", "algorithms", "leeway", "caller", "roles", "services", "sources", "description")
	if o == nil {
		return
	}
	i := &issuer{
		name: o.NeedText("name"), url: o.NeedText("issuer"), audiences: o.Texts("audiences"), caller: o.Text("caller"),
		leeway: defaultLeeway, services: names(o, "services"), sources: names(o, "sources"),
	}
	if i.caller == "" {
		i.caller = "sub"
	}
	for _, other := range p.callers.issuers {
		if other.url == i.url || other.name == i.name {
			p.Errorf(n.Pos, ruleCaller, "there are two issuers %q of %s; write one, whose roles say what its tokens allow", i.name, i.url)
		}
	}
	if len(i.audiences) == 0 {
		p.Errorf(n.Pos, ruleCaller, "issuer %q has no audiences; name those that its tokens for this server have, so that tokens for others are refused", i.name)
	}
	if span, ok := o.Span("leeway"); ok {
		if i.leeway = time.Duration(span) * time.Microsecond; i.leeway < 0 || i.leeway > maxLeeway {
			p.Errorf(o.Get("leeway").Pos, ruleCaller, "the leeway may be at most %v; correct the clocks instead", maxLeeway)
		}
	}
	p.algorithms(o, i)
	p.keys(o, i)
	p.rolesOf(o, i)
	p.callers.issuers = append(p.callers.issuers, i)
}

// algorithms reads what the tokens of an issuer may be signed with.
func (p *parser) algorithms(o *yamldoc.Object, i *issuer) {
	for _, text := range o.Texts("algorithms") {
		a := jose.SignatureAlgorithm(text)
		if !slices.Contains(algorithms, a) {
			p.Errorf(o.Get("algorithms").Pos, ruleCaller, "%q is no algorithm for tokens; there are RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 and EdDSA", text)
		}
		i.algorithms = append(i.algorithms, a)
	}
	if len(i.algorithms) == 0 {
		i.algorithms = algorithms
	}
}

// keys reads where the keys of an issuer are.
func (p *parser) keys(o *yamldoc.Object, i *issuer) {
	from := o.NeedText("jwks")
	if from == "" {
		return
	}
	u, err := url.Parse(from)
	remote := err == nil && (u.Scheme == "https" || u.Scheme == "http")
	if err != nil || remote && (u.Host == "" || u.User != nil) || u.Scheme != "" && !remote {
		p.Errorf(o.Get("jwks").Pos, ruleCaller, "jwks must be a URL such as https://login.example.com/keys, without a password, or the path of a file")
		return
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme == "http" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		p.Errorf(o.Get("jwks").Pos, ruleCaller, "the keys of an issuer on another machine must be read by https, since whoever changes them on the way can be any caller")
	}
	if !remote && !filepath.IsAbs(from) {
		from = filepath.Join(p.dir, from)
	}
	i.keys = newKeySet(from, remote, time.Now)
}

// rolesOf reads which values of a claim give which roles.
func (p *parser) rolesOf(o *yamldoc.Object, i *issuer) {
	n := o.Need("roles")
	if n == nil {
		return
	}
	r := p.Object(n, "roles", "claim", "values")
	if r == nil {
		return
	}
	if i.claim = r.Texts("claim"); len(i.claim) == 0 {
		p.Errorf(n.Pos, ruleCaller, "claim must be the path to the claim that says the roles, as in [groups] or [realm_access, roles]")
	}
	values := r.Need("values")
	if values == nil {
		return
	}
	keys := make([]string, len(values.Entries))
	for j, e := range values.Entries {
		keys[j] = e.Key.Text
	}
	of := p.Object(values, "values", keys...)
	if of == nil {
		return
	}
	i.roles = map[string][]Role{}
	for _, value := range keys {
		i.roles[value] = p.roleList(of, value)
	}
	if len(keys) == 0 {
		p.Errorf(values.Pos, ruleCaller, "issuer %q gives nobody a role; write the values of the claim with their roles, as in ml-serving: [read]", i.name)
	}
}

// adopt takes over the keys that were read for an issuer of before, so that a change of the file needs no issuer to answer.
func (c *Callers) adopt(before *Callers) {
	if before == nil {
		return
	}
	for _, i := range c.issuers {
		for _, old := range before.issuers {
			if old.keys.from == i.keys.from {
				// What was verified is not taken over: it says what the issuer's tokens allowed.
				if ring := old.keys.current.Load(); ring != nil {
					i.keys.current.Store(&keyring{keys: ring.keys, verified: map[[32]byte]verified{}})
				}
			}
		}
	}
}

// readKeys reads the keys of issuers that are due; of files alone, or of all issuers.
func (c *Callers) readKeys(ctx context.Context, files bool) error {
	var errs []error
	for _, i := range c.issuers {
		if files && i.keys.remote || !i.keys.due() {
			continue
		}
		if err := i.keys.refresh(ctx, 0); err != nil {
			errs = append(errs, fmt.Errorf("issuer %s: %w", i.name, err))
		}
	}
	return errors.Join(errs...)
}
