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

// ErrorText says why feature c failed on a row of the results, by evaluating it again in
// cel-go. It may be called until the next results are computed, for rows with status Failed.
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

// ErrorText says why output number o failed on a row: of derived for a derived feature, else
// of the results of its view. See Features.ErrorText.
func (s *Service) ErrorText(views []*Features, derived *Features, o, row int) string {
	if d := o - len(s.plan.Features); d >= 0 {
		return derived.ErrorText(d, row)
	}
	f := s.plan.Features[o]
	return views[f.Ref].ErrorText(f.Feature, row)
}

// aggregateError says why the value of a slot failed.
func aggregateError(s *plan.Slot) string {
	row := s.Func.Row()
	switch {
	case s.Group != nil && row.Failure != "" && s.Type.Elem.Kind != plan.Double:
		return fmt.Sprintf("%s(…).by(…) has more than %d keys, or a %[1]s that %[3]s", s.Func, plan.MaxElements, row.Failure)
	case s.Group != nil:
		return fmt.Sprintf("%s(…).by(…) has more than %d keys", s.Func, plan.MaxElements)
	case row.Capped:
		return fmt.Sprintf("%s(…) %s of %d; .cap(n) raises it up to %d, approx_distinct has none", s.Func, row.Failure, cmp.Or(s.N, plan.DistinctCap), plan.MaxDistinctCap)
	}
	return fmt.Sprintf("%s(…) %s", s.Func, row.Failure)
}

// shownError is the largest length of a shown error text, in bytes.
const shownError = 200

// values matches data that cel-go quotes in an error: texts in double quotes, and keys that a
// map does not have.
var values = regexp.MustCompile(`"(?:[^"\\]|\\.)*(?:"|$)|(?s:no such key: .*)`)

// ShownError prepares an error text for summaries and manifests: on one line, of bounded
// length, and without data, which may be keys. An empty text means that cel-go found no error
// where the engine did, and is replaced by a sentence that says so.
func ShownError(text string) string {
	if text == "" {
		return "failed here, but not in cel-go; please report this"
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
