package featuredefs

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/featuredefs/yamldoc"
	"github.com/unskew/unskew/internal/logpos"
)

// parseShards returns the declared number of shards of a source's log, 0 if it is wrong.
func (l *loader) parseShards(o *yamldoc.Object, s *plan.Source) int {
	v, ok := o.Typed("shards", plan.T(plan.Int))
	if !ok {
		return 0
	}
	switch n := v.Int(); {
	case !s.Stream:
		l.Errorf(o.Get("shards").Pos, yamldoc.RuleWrongValue, "source %s accepts no pushed events, so it has no log to divide; remove shards:, or declare stream: true", s.Name)
	case n < 1 || n > logpos.MaxShards:
		l.Errorf(o.Get("shards").Pos, yamldoc.RuleWrongValue, "shards of source %s is %d; a log has 1 to %d shards", s.Name, n, logpos.MaxShards)
	default:
		return int(n)
	}
	return 0
}
