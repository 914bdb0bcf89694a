package access

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/yamldoc"
)

// Callers are the callers of a server.
type Callers struct {
	all           []*Caller
	byToken       map[[sha256.Size]byte]*Caller
	byCertificate map[string]*Caller // by the name in the certificate
	issuers       []*issuer
}

// Errors of Authenticate.
var (
	ErrNoCredentials = errors.New("the request has no credentials; send the header Authorization: Bearer TOKEN, or use a client certificate")
	ErrUnknown       = errors.New("the credentials are not those of a known caller")
)

// Authenticate returns the caller of a request: that of its bearer token or, without one, that of the
// client certificate, which TLS has verified.
func (c *Callers) Authenticate(r *http.Request) (*Caller, error) {
	if headers := r.Header["Authorization"]; len(headers) > 0 {
		token, ok := bearer(headers[0])
		if !ok || len(headers) > 1 {
			return nil, ErrUnknown
		}
		// The lookup is by hash, so its duration says nothing about the tokens.
		if caller := c.byToken[sha256.Sum256([]byte(token))]; caller != nil {
			return caller, nil
		}
		if len(c.issuers) > 0 && isJWT(token) {
			return c.byIssuer(r.Context(), token)
		}
		return nil, ErrUnknown
	}
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return nil, ErrNoCredentials
	}
	for _, name := range certificateNames(r.TLS.PeerCertificates[0]) {
		if caller := c.byCertificate[name]; caller != nil {
			return caller, nil
		}
	}
	return nil, ErrUnknown
}

// Limits lists the services and the sources that callers are limited to, sorted, each once.
func (c *Callers) Limits() (services, sources []string) {
	for _, caller := range c.all {
		services, sources = append(services, caller.services...), append(sources, caller.sources...)
	}
	for _, i := range c.issuers {
		services, sources = append(services, i.services...), append(sources, i.sources...)
	}
	slices.Sort(services)
	slices.Sort(sources)
	return slices.Compact(services), slices.Compact(sources)
}

// certificateNames are the names that a certificate is issued to: its DNS names and URIs or, if it has
// none, its common name.
func certificateNames(c *x509.Certificate) []string {
	names := slices.Clone(c.DNSNames)
	for _, u := range c.URIs {
		names = append(names, u.String())
	}
	if len(names) == 0 && c.Subject.CommonName != "" {
		names = append(names, c.Subject.CommonName)
	}
	return names
}

// ruleCaller is the rule of findings about the content of a callers file.
var ruleCaller = diag.Rule{ID: "caller", Severity: diag.Error}

// Parse reads a callers file: lists under the keys callers and issuers. The error has a line for each finding. Paths in it are
// relative to the working directory.
func Parse(name string, text []byte) (*Callers, error) { return parse("", name, text) }

// parse is Parse of a file in a folder.
func parse(dir, name string, text []byte) (*Callers, error) {
	p := &parser{dir: dir, callers: &Callers{byToken: map[[sha256.Size]byte]*Caller{}, byCertificate: map[string]*Caller{}}, names: map[string]bool{}}
	docs := p.Documents(p.File(name, text))
	if len(docs) == 1 {
		p.file(docs[0])
	} else if len(p.Found) == 0 {
		return nil, fmt.Errorf("%s: it must be one YAML document with a list of callers", name)
	}
	if found := p.Found.Sorted(); len(found) > 0 {
		errs := make([]error, len(found))
		for i, d := range found {
			errs[i] = errors.New(d.String())
		}
		return nil, errors.Join(errs...)
	}
	return p.callers, nil
}

type parser struct {
	yamldoc.Reader
	dir     string // of the file
	callers *Callers
	names   map[string]bool
}

func (p *parser) file(n *yamldoc.Node) {
	o := p.Object(n, "the callers file", "callers", "issuers")
	if o == nil {
		return
	}
	if o.Get("issuers") == nil {
		o.Need("callers")
	}
	p.list(o, "callers", p.caller)
	p.list(o, "issuers", p.issuer)
	if len(p.callers.issuers) > maxIssuers {
		p.Errorf(o.Get("issuers").Pos, ruleCaller, "there are %d issuers, and at most %d may be", len(p.callers.issuers), maxIssuers)
	}
	for _, i := range p.callers.issuers {
		for _, c := range p.callers.all {
			if strings.HasPrefix(c.Name, i.name+":") {
				p.Errorf(o.Get("callers").Pos, ruleCaller, "caller %q has a name that the issuer %q may give as well; rename it", c.Name, i.name)
			}
		}
	}
}

// list reads the items of a list.
func (p *parser) list(o *yamldoc.Object, key string, item func(*yamldoc.Node)) {
	n := o.Get(key)
	if n == nil {
		return
	}
	if n.Kind != yamldoc.Sequence {
		p.Errorf(n.Pos, yamldoc.RuleWrongValue, "%s must be a list of %s, found %s", key, key, n.Describe())
		return
	}
	for _, i := range n.Items {
		item(i)
	}
}

func (p *parser) caller(n *yamldoc.Node) {
	o := p.Object(n, "caller", "name", "roles", "tokens", "certificates", "services", "sources", "description")
	if o == nil {
		return
	}
	c := &Caller{Name: o.NeedText("name"), services: names(o, "services"), sources: names(o, "sources")}
	if p.names[c.Name] && c.Name != "" {
		p.Errorf(n.Pos, ruleCaller, "there are two callers %q; give each its own name", c.Name)
	}
	p.names[c.Name] = true
	p.callers.all = append(p.callers.all, c)
	c.roles = p.roleList(o, "roles")
	if len(c.roles) == 0 {
		p.Errorf(n.Pos, ruleCaller, "caller %q has no roles; the roles are read, push, train and admin", c.Name)
	}
	tokens, certificates := o.Texts("tokens"), o.Texts("certificates")
	if len(tokens)+len(certificates) == 0 {
		p.Errorf(n.Pos, ruleCaller, "caller %q has neither tokens nor certificates; unskew token makes a token", c.Name)
	}
	for _, text := range tokens {
		hash, err := hex.DecodeString(text)
		if err != nil || len(hash) != sha256.Size {
			// The text may be a token, so it is not shown.
			p.Found = append(p.Found, diag.Diagnostic{Pos: o.Get("tokens").Pos, Rule: ruleCaller.ID,
				Message: "a token is written as its SHA-256 in 64 hexadecimal digits; unskew token makes a token and prints its hash"})
			continue
		}
		if other := p.callers.byToken[[sha256.Size]byte(hash)]; other != nil {
			p.Errorf(o.Get("tokens").Pos, ruleCaller, "callers %q and %q have the same token", other.Name, c.Name)
		}
		p.callers.byToken[[sha256.Size]byte(hash)] = c
	}
	for _, name := range certificates {
		if other := p.callers.byCertificate[name]; other != nil {
			p.Errorf(o.Get("certificates").Pos, ruleCaller, "callers %q and %q have the same certificate name %q", other.Name, c.Name, name)
		}
		p.callers.byCertificate[name] = c
	}
}

// roleList reads a list of roles.
func (p *parser) roleList(o *yamldoc.Object, key string) (roles []Role) {
	for _, r := range o.Texts(key) {
		if !slices.Contains(Roles, Role(r)) {
			p.Errorf(o.Get(key).Pos, ruleCaller, "%q is not a role; the roles are read, push, train and admin", r)
		}
		roles = append(roles, Role(r))
	}
	return roles
}

// names reads a list of names; nil if there is none. An empty list allows nothing.
func names(o *yamldoc.Object, key string) []string {
	list := o.Texts(key)
	if list == nil && o.Get(key) != nil {
		return []string{}
	}
	return list
}
