package celenv

import (
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
)

// Signature is a function, operator or macro in the language reference.
type Signature struct {
	Name      string   // as CEL names it: startsWith, _+_, @in
	Overloads []string // for example "string.(string) → bool"; none for a macro
}

// Signatures lists everything that expressions can call except aggregates, by name.
func Signatures() ([]Signature, error) {
	env, err := NewEnv()
	if err != nil {
		return nil, err
	}
	var out []Signature
	functions := env.Functions()
	for _, name := range slices.Sorted(maps.Keys(functions)) {
		if internal(name) {
			continue
		}
		s := Signature{Name: name}
		for _, o := range functions[name].OverloadDecls() {
			if text := signature(o.IsMemberFunction(), o.ArgTypes(), o.ResultType()); !mixed(name, o.ArgTypes()) && !slices.Contains(s.Overloads, text) {
				s.Overloads = append(s.Overloads, text)
			}
		}
		out = append(out, s)
	}
	for _, m := range env.Macros() {
		if !slices.ContainsFunc(out, func(s Signature) bool { return s.Name == m.Function() }) {
			out = append(out, Signature{Name: m.Function()})
		}
	}
	return out, nil
}

// internal reports functions that users cannot or need not write. _?._ takes dyn, which the
// language does not have; m[?k] does the same.
func internal(name string) bool {
	return strings.HasPrefix(name, "@") && name != "@in" || strings.Contains(name, ".@") ||
		slices.Contains([]string{"__not_strictly_false__", "_in_", "in", "_?._"}, name)
}

// mixed reports an operator between two kinds of number, which can be reached only with dyn.
func mixed(name string, args []*cel.Type) bool {
	return strings.HasPrefix(name, "_") && len(args) == 2 && number(args[0]) && number(args[1]) && args[0].String() != args[1].String()
}

func number(t *cel.Type) bool { return slices.Contains([]string{"int", "uint", "double"}, t.String()) }

func signature(member bool, args []*cel.Type, result *cel.Type) string {
	receiver := ""
	if member {
		receiver, args = typeText(args[0])+".", args[1:]
	}
	var parts []string
	for _, a := range args {
		parts = append(parts, typeText(a))
	}
	return receiver + "(" + strings.Join(parts, ", ") + ") → " + typeText(result)
}

var typeNames = strings.NewReplacer("google.protobuf.Duration", "duration", "google.protobuf.Timestamp", "timestamp",
	"optional_type", "optional", "<A>", "A", "<B>", "B", "<T>", "T", "<V>", "V", "<K>", "K")

func typeText(t *cel.Type) string { return typeNames.Replace(t.String()) }
