package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Kind is the outermost constructor of a type.
type Kind uint8

// The kinds. Bool to Duration are the scalars; only they can be columns. Their
// numbers are part of the canonical encodings and never change.
const (
	Invalid   Kind = 0
	Null      Kind = 1
	Bool      Kind = 2
	Int       Kind = 3 // int64
	Uint      Kind = 4 // uint64; inside expressions only
	Double    Kind = 5 // IEEE 754 binary64
	String    Kind = 6 // UTF-8
	Bytes     Kind = 7
	Timestamp Kind = 8 // EventTime
	Duration  Kind = 9 // nanoseconds, as CEL has it
	List      Kind = 10
	Map       Kind = 11
	Optional  Kind = 12
	TypeType  Kind = 13 // the type of a type, type(x)
	Dyn       Kind = 14
)

var kindNames = [...]string{"invalid", "null", "bool", "int", "uint", "double", "string", "bytes", "timestamp", "duration", "list", "map", "optional", "type", "dyn"}

func (k Kind) String() string { return kindNames[k] }

// ColumnKinds are the kinds that columns, keys, request fields and scalar features can have.
var ColumnKinds = []Kind{Bool, Int, Double, String, Bytes, Timestamp, Duration}

// Scalar reports whether k holds one value rather than a collection.
func (k Kind) Scalar() bool { return k >= Bool && k <= Duration }

// Type is the type of an expression or a column. Types are immutable.
type Type struct {
	Kind Kind
	Elem *Type // List, Map (its values), Optional
	Key  *Type // Map
}

// T is the scalar type of kind k.
func T(k Kind) Type { return Type{Kind: k} }

// ListOf, MapOf and OptionalOf build the composite types.
func ListOf(e Type) Type { return Type{Kind: List, Elem: &e} }

// MapOf is map(k, v).
func MapOf(k, v Type) Type { return Type{Kind: Map, Key: &k, Elem: &v} }

// OptionalOf is optional(e).
func OptionalOf(e Type) Type { return Type{Kind: Optional, Elem: &e} }

// Equal reports whether t and u are the same type.
func (t Type) Equal(u Type) bool {
	if t.Kind != u.Kind {
		return false
	}
	return equalPtr(t.Elem, u.Elem) && equalPtr(t.Key, u.Key)
}

func equalPtr(a, b *Type) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(*b)
}

// Unwrap is the type a reader gets: E of optional(E), else t itself.
func (t Type) Unwrap() Type {
	if t.Kind == Optional {
		return *t.Elem
	}
	return t
}

// Depth is how many collections a value of type t is nested in; compare MaxDepth.
func (t Type) Depth() int {
	depth := 0
	for _, inner := range []*Type{t.Key, t.Elem} {
		if inner != nil {
			depth = max(depth, 1+inner.Depth())
		}
	}
	return depth
}

// String writes t as the language does: "int", "optional(double)", "map(string, int)".
func (t Type) String() string {
	switch t.Kind {
	case List:
		return "list(" + t.Elem.String() + ")"
	case Map:
		return "map(" + t.Key.String() + ", " + t.Elem.String() + ")"
	case Optional:
		return "optional(" + t.Elem.String() + ")"
	}
	return t.Kind.String()
}

// WithArticle writes t for a sentence: "an int", "a list(string)".
func (t Type) WithArticle() string {
	s := t.String()
	if s[0] == 'i' || s[0] == 'o' { // int, optional; but a uint
		return "an " + s
	}
	return "a " + s
}

// columnTypes are the types a definition may name for columns, keys and request fields.
var columnTypes = map[string]Kind{
	"bool": Bool, "int": Int, "double": Double, "string": String,
	"bytes": Bytes, "timestamp": Timestamp, "duration": Duration,
}

// ParseColumnType reads the name of a scalar column type.
func ParseColumnType(name string) (Type, bool) {
	k, ok := columnTypes[strings.TrimSpace(name)]
	return T(k), ok
}

// ParseType reads what Type.String writes.
func ParseType(s string) (Type, error) {
	t, rest, err := parseType(s)
	if err == nil && rest != "" {
		err = fmt.Errorf("%q after the type", rest)
	}
	if err != nil {
		return Type{}, fmt.Errorf("type %q: %w", s, err)
	}
	return t, nil
}

func parseType(s string) (Type, string, error) {
	end := strings.IndexAny(s, "(,)")
	if end < 0 {
		end = len(s)
	}
	kind := Kind(slices.Index(kindNames[:], s[:end]))
	s = s[end:]
	switch kind {
	case List, Optional:
		elems, rest, err := parseArguments(s, 1)
		if err != nil {
			return Type{}, "", err
		}
		return Type{Kind: kind, Elem: &elems[0]}, rest, nil
	case Map:
		elems, rest, err := parseArguments(s, 2)
		if err != nil {
			return Type{}, "", err
		}
		return MapOf(elems[0], elems[1]), rest, nil
	case Invalid, Kind(255):
		return Type{}, "", errors.New("no such type")
	}
	return T(kind), s, nil
}

// parseArguments reads "(t)" or "(t, u)".
func parseArguments(s string, n int) ([]Type, string, error) {
	var out []Type
	for i := range n {
		open := "("
		if i > 0 {
			open = ", "
		}
		rest, ok := strings.CutPrefix(s, open)
		if !ok {
			return nil, "", fmt.Errorf("%q expected", open)
		}
		t, rest, err := parseType(rest)
		if err != nil {
			return nil, "", err
		}
		out, s = append(out, t), rest
	}
	rest, ok := strings.CutPrefix(s, ")")
	if !ok {
		return nil, "", errors.New("closing parenthesis expected")
	}
	return out, rest, nil
}
