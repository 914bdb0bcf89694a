package kernel

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel/expr"
)

// ErrorText says why feature c failed on a row of the results, running it again in
// cel-go. It is asked before the next results, of rows whose status is Failed.
func (f *Features) ErrorText(c, row int) string {
	of := &f.from.features[c]
	text := of.program.ErrorText(of.inputs, row)
	if text != expr.InputFailed {
		return ShownError(text)
	}
	for i, leaf := range of.leaves {
		if of.inputs[i].IsErr(row) {
			return f.from.cause(leaf, row)
		}
	}
	return text
}

// ErrorText says why output number o failed on a row of the results that Assemble was
// given last, of a view's own rows for a feature of a view; see Features.ErrorText.
func (s *Service) ErrorText(views []*Features, derived *Features, o, row int) string {
	if d := o - len(s.plan.Features); d >= 0 {
		return derived.ErrorText(d, row)
	}
	f := s.plan.Features[o]
	return views[f.Ref].ErrorText(f.Feature, row)
}

// aggregateError says why the value of a slot can fail.
func aggregateError(s *plan.Slot) string {
	row := s.Func.Row()
	switch {
	case s.Group != nil && row.Failure != "" && s.Type.Elem.Kind != plan.Double:
		return fmt.Sprintf("%s(…).by(…) has more than 1,000 keys, or a %[1]s that %s", s.Func, row.Failure)
	case s.Group != nil:
		return string(s.Func) + "(…).by(…) has more than 1,000 keys"
	case row.Capped:
		return fmt.Sprintf("%s(…) %s of %d; .cap(n) raises it up to %d, approx_distinct has none", s.Func, row.Failure, cmp.Or(s.N, plan.DistinctCap), plan.MaxDistinctCap)
	}
	return fmt.Sprintf("%s(…) %s", s.Func, row.Failure)
}

// shownError bounds the bytes of an error text that is shown.
const shownError = 200

// values are what cel-go quotes of the data in an error: texts in double quotes, and keys
// that a map does not have.
var values = regexp.MustCompile(`"(?:[^"\\]|\\.)*(?:"|$)|(?s:no such key: .*)`)

// ShownError makes an error text fit for summaries and manifests: on one line, of
// bounded length, without the values in it, which may be those of keys. A text that is
// empty, as cel-go's is when it has no error where the engine has one, says so.
func ShownError(text string) string {
	if text == "" {
		return "failed here, though not in cel-go: please report this"
	}
	text = values.ReplaceAllStringFunc(text, func(s string) string {
		if s[0] == '"' {
			return "…"
		}
		return "no such key: …"
	})
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	if len(text) <= shownError {
		return text
	}
	cut := shownError
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
