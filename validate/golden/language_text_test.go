package golden

import "strings"

// code is text as code in a Markdown table.
func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + strings.ReplaceAll(s, "|", `\|`) + "`"
}

// written is a function or operator as it is written in expressions.
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
