package golden

import (
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
)

// code is text as Markdown writes code in a table.
func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + strings.ReplaceAll(s, "|", `\|`) + "`"
}

// written is a function's name as people write it.
func written(name string) string {
	switch name {
	case "@in":
		return "in"
	case "_?_:_":
		return "? :"
	case "_[_]":
		return "[ ]"
	case "_[?_]":
		return "[? ]"
	}
	if strings.HasPrefix(name, "_") || strings.HasSuffix(name, "_") {
		return strings.Trim(name, "_")
	}
	switch name {
	case "greatest", "least":
		return "math." + name
	case "bind":
		return "cel.bind"
	}
	return name
}

// signatures lists the overloads of a function, the receiver before the name's dot.
func signatures(env *cel.Env, name string) string {
	f, ok := env.Functions()[name]
	if !ok {
		return "macro"
	}
	var out []string
	for _, o := range f.OverloadDecls() {
		args := o.ArgTypes()
		text := ""
		if o.IsMemberFunction() {
			text, args = typeText(args[0])+".", args[1:]
		}
		var parts []string
		for _, a := range args {
			parts = append(parts, typeText(a))
		}
		text += "(" + strings.Join(parts, ", ") + ") → " + typeText(o.ResultType())
		if mixed(name, o.ArgTypes()) || slices.Contains(out, code(text)) {
			continue
		}
		out = append(out, code(text))
	}
	return strings.Join(out, "<br>")
}

// mixed reports an operator between two kinds of number: only dyn reaches it, which
// the language does not have.
func mixed(name string, args []*cel.Type) bool {
	return strings.HasPrefix(name, "_") && len(args) == 2 && number(args[0]) && number(args[1]) && args[0].String() != args[1].String()
}

func number(t *cel.Type) bool { return slices.Contains([]string{"int", "uint", "double"}, t.String()) }

var typeNames = strings.NewReplacer("google.protobuf.Duration", "duration", "google.protobuf.Timestamp", "timestamp",
	"optional_type", "optional", "<A>", "A", "<B>", "B", "<T>", "T", "<V>", "V", "<K>", "K")

func typeText(t *cel.Type) string { return typeNames.Replace(t.String()) }
