package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// Fingerprint identifies a meaning: equal definitions have equal fingerprints
// whatever their names of files, comments, order or formatting.
type Fingerprint [32]byte

// String is the fingerprint in hexadecimal.
func (f Fingerprint) String() string { return hex.EncodeToString(f[:]) }

// Short is its first 12 hexadecimal digits, for people.
func (f Fingerprint) Short() string { return f.String()[:12] }

// IsZero reports whether f was never computed.
func (f Fingerprint) IsZero() bool { return f == Fingerprint{} }

// Engine is what besides the definitions decides values; it enters every
// fingerprint. CEL is the version of the CEL library, Env names the pinned
// extension libraries.
type Engine struct{ CEL, Env string }

// encoder writes the canonical, injective encoding that is hashed. Every list is
// preceded by its length and every string by its own.
type encoder struct {
	b      []byte
	view   *View    // resolves Aggregate and, in a view, FeatureRef
	svc    *Service // resolves FeatureRef in derived features
	locals []string // bound comprehension variables, innermost last
}

func newEncoder(domain string, eng Engine) *encoder {
	e := &encoder{}
	e.str(domain)
	e.num(SemanticsVersion)
	e.str(eng.CEL)
	e.str(eng.Env)
	return e
}

func (e *encoder) sum() Fingerprint { return sha256.Sum256(e.b) }
func (e *encoder) num(n int64)      { e.b = appendBig(e.b, uint64(n)) }
func (e *encoder) str(s string)     { e.num(int64(len(s))); e.b = append(e.b, s...) }
func (e *encoder) fp(f Fingerprint) { e.b = append(e.b, f[:]...) }
func (e *encoder) typ(t Type)       { e.str(t.String()) }
func (e *encoder) value(v Value)    { e.b = AppendCanonical(e.b, v) }
func (e *encoder) flag(b bool)      { e.value(BoolValue(b)) }
func (e *encoder) strs(list []string) {
	e.num(int64(len(list)))
	for _, s := range list {
		e.str(s)
	}
}

// FingerprintView sets the fingerprints of v and its features.
func FingerprintView(v *View, eng Engine) {
	for _, i := range v.Order {
		f := v.Features[i]
		e := newEncoder("feature", eng)
		e.view = v
		e.origin(v)
		e.feature(f)
		f.Fingerprint = e.sum()
	}
	// State depends on the slots and windows as they are laid out, so the view's
	// identity keeps the order of its features.
	e := newEncoder("view", eng)
	e.view = v
	e.origin(v)
	e.num(int64(len(v.Aggregates)))
	for i := range v.Aggregates {
		e.aggregate(i)
		e.num(int64(v.Aggregates[i].Slot))
	}
	for _, f := range v.Features {
		e.str(f.Name)
		e.fp(f.Fingerprint)
	}
	v.Fingerprint = e.sum()
}

// FingerprintService sets the fingerprints of s and its derived features; its
// views must have theirs.
func FingerprintService(s *Service, eng Engine) {
	for _, i := range s.Order {
		e := newEncoder("derived", eng)
		e.svc = s
		e.feature(s.Derived[i])
		s.Derived[i].Fingerprint = e.sum()
	}
	e := newEncoder("service", eng)
	for _, f := range s.Features {
		e.str(f.Name)
		e.fp(s.Views[f.Ref].View.Features[f.Feature].Fingerprint)
		e.strs(s.Views[f.Ref].Keys)
	}
	for _, r := range s.Request {
		e.str(r.Name)
		e.typ(r.Type)
	}
	for _, d := range s.Derived {
		e.str(d.Name)
		e.fp(d.Fingerprint)
	}
	s.Fingerprint = e.sum()
}

// origin encodes what the events of a view mean: the types of the entity's keys,
// and the source's semantic fields. Where the data lies does not enter.
func (e *encoder) origin(v *View) {
	e.num(int64(len(v.Entity.Keys)))
	for i, k := range v.Entity.Keys {
		e.typ(k.Type)
		e.str(v.KeyColumns[i])
	}
	s := v.Source
	e.str(s.EventTime)
	e.str(s.EventID)
	e.known(&s.Known)
	e.strs(sqlTokens(s.SQL))
	for _, name := range append([]string{s.EventTime, s.EventID, s.Known.Column}, v.KeyColumns...) {
		e.path(s, name)
	}
}

// path encodes where a column lies, if that is not under its own name. Nothing else that can follow
// a column begins with the number -2.
func (e *encoder) path(s *Source, column string) {
	if path := s.Paths[column]; len(path) > 0 {
		e.num(-2)
		e.str(column)
		e.strs(path)
	}
}

func (e *encoder) known(k *Known) {
	if k == nil {
		e.num(-1)
		return
	}
	e.num(int64(k.Kind))
	e.str(k.Column)
	e.num(int64(k.Delay))
	e.str(k.Schedule)
}

func (e *encoder) feature(f *Feature) {
	e.expr(f.Expr)
	e.flag(f.Default != nil)
	if f.Default != nil {
		e.value(*f.Default)
	}
	e.flag(f.OnErrorDefault)
}

func (e *encoder) aggregate(i int) {
	a := e.view.Aggregates[i]
	s := &e.view.Slots[a.Slot]
	e.slot(s)
	e.num(int64(a.Window.Width))
	e.num(int64(a.Window.Hop))
}

func (e *encoder) expr(x *Expr) {
	e.num(int64(x.Kind))
	e.typ(x.Type)
	switch x.Kind {
	case Literal:
		e.value(x.Lit)
	case Column:
		e.column(x.Name)
	case Aggregate:
		e.aggregate(x.Index)
	case FeatureRef:
		e.featureRef(x)
	case Request:
		e.str(x.Name)
	case Local:
		e.local(x.Name)
	case Call:
		e.str(x.Name)
		e.strs(x.Overloads)
		e.flag(x.Member)
	case Select:
		e.str(x.Name)
		e.flag(x.TestOnly)
	}
	e.num(int64(len(x.Optional)))
	for _, i := range x.Optional {
		e.num(int64(i))
	}
	e.num(int64(len(x.Args)))
	for _, a := range x.Args {
		e.expr(a)
	}
	if x.Comp != nil {
		e.comprehension(x.Comp)
	}
}

func (e *encoder) column(name string) {
	e.str(name)
	if c, ok := e.view.Source.Column(name); ok {
		e.known(c.Known)
		e.path(e.view.Source, name)
		if c.Known != nil {
			e.path(e.view.Source, c.Known.Column)
		}
	}
}

func (e *encoder) featureRef(x *Expr) {
	if e.svc != nil {
		if n := len(e.svc.Features); x.Index >= n {
			e.fp(e.svc.Derived[x.Index-n].Fingerprint)
			return
		}
		sf := e.svc.Features[x.Index]
		ref := e.svc.Views[sf.Ref]
		e.fp(ref.View.Features[sf.Feature].Fingerprint)
		e.strs(ref.Keys)
		return
	}
	e.fp(e.view.Features[x.Index].Fingerprint)
}

// local writes a bound variable by its distance, so that renaming one changes nothing.
func (e *encoder) local(name string) {
	for i := len(e.locals) - 1; i >= 0; i-- {
		if e.locals[i] == name {
			e.num(int64(len(e.locals) - i))
			return
		}
	}
	e.num(0)
	e.str(name)
}

func (e *encoder) comprehension(c *Comp) {
	e.expr(c.Range)
	e.expr(c.Init)
	e.flag(c.IterVar2 != "")
	e.locals = append(e.locals, c.AccuVar)
	depth := len(e.locals)
	e.locals = append(e.locals, c.IterVar)
	if c.IterVar2 != "" {
		e.locals = append(e.locals, c.IterVar2)
	}
	e.expr(c.Cond)
	e.expr(c.Step)
	e.locals = e.locals[:depth]
	e.expr(c.Result)
	e.locals = e.locals[:depth-1]
}

// sqlTokens splits SQL into tokens, dropping white space and comments, so that
// formatting does not change a source's identity.
func sqlTokens(s string) []string {
	var out []string
	for i := 0; i < len(s); {
		c := s[i]
		j := i + 1
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i = j
			continue
		case c == '-' && j < len(s) && s[j] == '-':
			for i < len(s) && s[i] != '\n' {
				i++
			}
			continue
		case c == '/' && j < len(s) && s[j] == '*':
			i = endOfComment(s, j+1)
			continue
		case c == '\'' || c == '"':
			j = endOfQuoted(s, i)
		case isWord(c):
			for j < len(s) && isWord(s[j]) {
				j++
			}
		}
		out = append(out, s[i:j])
		i = j
	}
	return out
}

func endOfComment(s string, i int) int {
	for ; i+1 < len(s); i++ {
		if s[i] == '*' && s[i+1] == '/' {
			return i + 2
		}
	}
	return len(s)
}

func endOfQuoted(s string, i int) int {
	q := s[i]
	for j := i + 1; j < len(s); j++ {
		if s[j] == q {
			if j+1 < len(s) && s[j+1] == q {
				j++
				continue
			}
			return j + 1
		}
	}
	return len(s)
}

func isWord(c byte) bool {
	return c == '_' || c == '.' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// describeIndex names the i-th aggregate in printed plans.
func describeIndex(i int) string { return "@" + strconv.Itoa(i) }
