package lang

import (
	"regexp"
	"strings"

	"cel.dev/cel-go/common/types"

	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/internal/celenv"
)

// RuleZoneLiteral is the rule of zoneLiteral.
var RuleZoneLiteral = diag.Rule{ID: "zone-literal", Severity: diag.Error, Purpose: "A time zone is a literal name of the zone database."}

// zoneLiteral checks the argument of accessors like ts.getHours("UTC"). Names are looked up
// in the embedded zone database, as evaluation does, because the host's may have more.
var zoneLiteral = exprRule{RuleZoneLiteral, func(p *part) {
	if !hasZone(p.tree.GetOverloadIDs(p.ID())) {
		return
	}
	zone := p.AsCall().Args()[0]
	if !isString(zone) {
		p.errorf(zone, "a time zone must be a string literal like \"Europe/Berlin\" or \"+02:00\"")
		return
	}
	name := string(zone.AsLiteral().(types.String))
	if zoneOffset.MatchString(name) {
		return
	}
	if _, err := celenv.Location(name); name == "" || err != nil {
		p.errorf(zone, "%q is neither an offset nor a name of the zone database; use one like \"Europe/Berlin\" or \"UTC\"", name)
	}
}}

// hasZone reports whether an overload is an accessor like ts.getHours("UTC").
func hasZone(overloads []string) bool {
	return len(overloads) == 1 && strings.HasPrefix(overloads[0], "timestamp_to_") && strings.HasSuffix(overloads[0], "_with_tz")
}

var zoneOffset = regexp.MustCompile(`^[+-]?(0?[0-9]|1[0-4]):[0-5][0-9]$`)
