package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/text"
	"github.com/unskew/unskew/internal/vector"
	"github.com/unskew/unskew/internal/wire"
	"github.com/unskew/unskew/sdk"
)

// given holds the keys or request fields that were given by flags.
type given struct {
	kind, flag string            // "key" and "--key", for messages
	text       map[string]string // by name
}

func parseGiven(kind, flag string, pairs []string) (*given, error) {
	g := &given{kind: kind, flag: flag, text: map[string]string{}}
	for _, p := range pairs {
		name, value, ok := strings.Cut(p, "=")
		if !ok {
			return nil, fmt.Errorf("%s %q: write %s NAME=VALUE", kind, p, flag)
		}
		if _, twice := g.text[name]; twice {
			return nil, fmt.Errorf("%s %s is given twice", kind, name)
		}
		g.text[name] = value
	}
	return g, nil
}

// only checks that every given name is one of the fields.
func (g *given) only(fields []sdk.Field) error {
	names := fieldNames(fields)
	for _, name := range slices.Sorted(maps.Keys(g.text)) {
		if !slices.Contains(names, name) {
			return noSuch(g.kind, name, names)
		}
	}
	return nil
}

func fieldNames(fields []sdk.Field) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return names
}

// columns returns the fields as columns of one row. Those in null are null. A field that was
// not given takes its value from other, because a key may also be a request field.
func (g *given) columns(fields []sdk.Field, null []string, other *given) ([]sdk.Column, error) {
	var out []sdk.Column
	for _, f := range fields {
		t, known := plan.ParseColumnType(f.Type)
		if !known {
			return nil, fmt.Errorf("%s %s has the type %s, which this version does not know", g.kind, f.Name, f.Type)
		}
		written, ok := g.text[f.Name]
		switch elsewhere, too := other.text[f.Name]; {
		case slices.Contains(null, f.Name) && (ok || too):
			return nil, fmt.Errorf("%s %s is given both a value and --null", g.kind, f.Name)
		case !ok && too:
			written, ok = elsewhere, true
		}
		v := plan.NullValue()
		if ok {
			var err error
			if v, err = text.Parse(written, t.Kind); err != nil {
				return nil, fmt.Errorf("%s %s: %w", g.kind, f.Name, err)
			}
		}
		col, err := wire.Column(f.Name, vector.Of(t, v))
		if err != nil {
			return nil, err
		}
		out = append(out, sdk.FromWire(col))
	}
	return out, nil
}

// asked parses the keys and request fields of one read. All must be given, even if only as
// null: one left out by mistake would be answered like an unknown entity.
func asked(info *sdk.ServiceInfo, keys, request, null []string) (keyCols, requestCols []sdk.Column, err error) {
	k, err := parseGiven("key", "--key", keys)
	if err != nil {
		return nil, nil, err
	}
	r, err := parseGiven("request field", "--request", request)
	if err != nil {
		return nil, nil, err
	}
	if err := cmp.Or(k.only(info.Keys), r.only(info.Request)); err != nil {
		return nil, nil, err
	}
	all := append(fieldNames(info.Keys), fieldNames(info.Request)...)
	for _, name := range null {
		if !slices.Contains(all, name) {
			return nil, nil, fmt.Errorf("--null: %w", noSuch("key or request field", name, all))
		}
	}
	if err := missing(info, k, r, null); err != nil {
		return nil, nil, err
	}
	if keyCols, err = k.columns(info.Keys, null, r); err != nil {
		return nil, nil, err
	}
	requestCols, err = r.columns(info.Request, null, k)
	return keyCols, requestCols, err
}

// missing returns an error that lists what was not given.
func missing(info *sdk.ServiceInfo, keys, request *given, null []string) error {
	var flags []string
	name := ""
	see := func(fields []sdk.Field, flag string) {
		for _, f := range fields {
			_, key := keys.text[f.Name]
			_, field := request.text[f.Name]
			if key || field || slices.Contains(null, f.Name) {
				continue
			}
			if !slices.ContainsFunc(flags, func(s string) bool { return strings.Contains(s, " "+f.Name+"=") }) {
				flags = append(flags, fmt.Sprintf("%s %s=… (%s)", flag, f.Name, f.Type))
				name = cmp.Or(name, f.Name)
			}
		}
	}
	see(info.Keys, keys.flag)
	see(info.Request, request.flag)
	if len(flags) == 0 {
		return nil
	}
	return fmt.Errorf("service %s also needs %s; if there is no value, give --null %s", info.Name, strings.Join(flags, ", "), name)
}
