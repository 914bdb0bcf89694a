package duckdb

import "strings"

// namesIn lists the parts of sql that may name a file: string literals and names of tables,
// quoted or not, possibly with dots. Comments are skipped.
func namesIn(sql string) []string {
	var names []string
	for i := 0; i < len(sql); {
		rest := sql[i:]
		switch {
		case strings.HasPrefix(rest, "--"):
			i += indexAfter(rest, "\n")
		case strings.HasPrefix(rest, "/*"):
			i += indexAfter(rest, "*/")
		case rest[0] == '\'':
			text, n := quotedText(rest)
			names = append(names, text)
			i += n
		case rest[0] == '$':
			text, n := dollarText(rest)
			names = append(names, text)
			i += n
		case rest[0] == '"' || isNamePart(rest[0]):
			name, n := dottedName(rest)
			names = append(names, name)
			i += n
		default:
			i++
		}
	}
	return names
}

// dottedName reads the name of a table, qualified by those of its schema and database.
func dottedName(s string) (name string, n int) {
	for {
		part := ""
		if s[n] == '"' {
			text, size := quotedText(s[n:])
			part, n = text, n+size
		} else {
			end := n
			for end < len(s) && isNamePart(s[end]) {
				end++
			}
			part, n = s[n:end], end
		}
		name += part
		if n+1 >= len(s) || s[n] != '.' || s[n+1] != '"' && !isNamePart(s[n+1]) {
			return name, n
		}
		name += "."
		n++
	}
}

func isNamePart(c byte) bool {
	return c == '_' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// dollarText reads a text between $$ or $tag$.
func dollarText(s string) (text string, n int) {
	end := 1
	for end < len(s) && isNamePart(s[end]) {
		end++
	}
	if end >= len(s) || s[end] != '$' {
		return "", 1 // a parameter
	}
	tag := s[:end+1]
	text, _, ok := strings.Cut(s[len(tag):], tag)
	if !ok {
		return text, len(s)
	}
	return text, len(text) + 2*len(tag)
}

// indexAfter returns the index after the first sep, or the length of s.
func indexAfter(s, sep string) int {
	if i := strings.Index(s, sep); i >= 0 {
		return i + len(sep)
	}
	return len(s)
}

// quotedText reads a text that begins with a quote; quotes within it are doubled. The
// length n includes the quotes.
func quotedText(s string) (text string, n int) {
	q := s[:1]
	for i := 1; i < len(s); i++ {
		if s[i] != q[0] {
			continue
		}
		if i+1 < len(s) && s[i+1] == q[0] {
			i++
			continue
		}
		return strings.ReplaceAll(s[1:i], q+q, q), i + 1
	}
	return s[1:], len(s)
}
