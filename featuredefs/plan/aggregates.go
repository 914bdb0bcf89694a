package plan

import (
	"slices"
	"strings"
)

// AggFunc names an aggregate; it is also its name in the language.
type AggFunc string

// The aggregates of docs/semantics.md §4.
const (
	Count          AggFunc = "count"
	Sum            AggFunc = "sum"
	Mean           AggFunc = "mean"
	VarPop         AggFunc = "var_pop"
	VarSamp        AggFunc = "var_samp"
	StddevPop      AggFunc = "stddev_pop"
	StddevSamp     AggFunc = "stddev_samp"
	Min            AggFunc = "min"
	Max            AggFunc = "max"
	Latest         AggFunc = "latest"
	Earliest       AggFunc = "earliest"
	LatestN        AggFunc = "latest_n"
	EarliestN      AggFunc = "earliest_n"
	LatestTime     AggFunc = "latest_time"
	EarliestTime   AggFunc = "earliest_time"
	MaxBy          AggFunc = "max_by"
	MinBy          AggFunc = "min_by"
	DistinctCount  AggFunc = "distinct_count"
	ApproxDistinct AggFunc = "approx_distinct"
	ApproxQuantile AggFunc = "approx_quantile"
	TopK           AggFunc = "top_k"
	Any            AggFunc = "any"
	All            AggFunc = "all"
)

// Caps of distinct_count, by docs/semantics.md §4.
const (
	DistinctCap    = 10_000    // of one that declares none
	MaxDistinctCap = 1_000_000 // the greatest one to declare
)

// MaxElements is the largest number of elements of a list, or keys of a map, that the language
// makes, by docs/semantics.md §4 and §5: the n of latest_n and earliest_n, the k of top_k, the
// keys of .by(s), and the n of lists.range.
const MaxElements = 1000

// Role is what an argument of an aggregate is for.
type Role uint8

// The roles.
const (
	RoleValue    Role = iota // what is accumulated
	RoleBy                   // the ordered y of max_by and min_by
	RoleN                    // an int literal from 1 to MaxElements
	RoleQuantile             // a double literal from 0.0 to 1.0
)

// AggRow is a row of the table of docs/semantics.md §4: what an aggregate takes, what
// it gives, and what can be done with its partials. The compiler, the kernel, the
// generators of tests and the reference read it. The oracle does not: it would agree with
// a wrong row.
type AggRow struct {
	Func      AggFunc
	Roles     []Role // of the arguments in order; a window follows them
	NoValue   bool   // the value may be left out, as in count()
	Kinds     []Kind // that the value may have
	Composite bool   // the value may also be a uint, a list or a map
	Nones     bool   // the value may also be an optional; none is left out
	Result    Type   // Dyn stands for the type of the value
	Groups    bool   // it has .by(string)
	Capped    bool   // it has .cap(n)
	Ordered   bool   // the value depends on the order of events
	Removable bool   // a row that was added can be taken out again
	// Family is another aggregate, which keeps the same partials of the same rows; "" when
	// this one has its own.
	Family  AggFunc
	Failure string // completes "a value does not exist when it …"; "" when it always does
}

var (
	oneValue  = []Role{RoleValue}
	withY     = []Role{RoleValue, RoleBy}
	withN     = []Role{RoleValue, RoleN}
	withQ     = []Role{RoleValue, RoleQuantile}
	numeric   = []Kind{Int, Double}
	summable  = []Kind{Int, Double, Duration}
	discrete  = []Kind{Int, String, Bool, Bytes, Timestamp}
	countable = []Kind{String, Int}
	boolean   = []Kind{Bool}

	same        = T(Dyn)
	maybe       = OptionalOf(T(Dyn))
	listed      = ListOf(T(Dyn))
	whole       = T(Int)
	truth       = T(Bool)
	maybeDouble = OptionalOf(T(Double))
	maybeTime   = OptionalOf(T(Timestamp))
)

// OrderedKinds are the kinds that min, max and the y of max_by and min_by can have.
var OrderedKinds = []Kind{Int, Double, String, Timestamp, Duration}

// Aggregates are the rows of docs/semantics.md §4, in its order.
var Aggregates = []AggRow{
	{Func: Count, Roles: oneValue, NoValue: true, Kinds: ColumnKinds, Composite: true, Nones: true, Result: whole, Groups: true, Removable: true},
	{Func: Sum, Roles: oneValue, Kinds: summable, Result: same, Groups: true, Removable: true, Failure: "overflows"},
	{Func: Mean, Roles: oneValue, Kinds: numeric, Result: maybeDouble, Groups: true, Removable: true, Family: Sum},
	{Func: VarPop, Roles: oneValue, Kinds: numeric, Result: maybeDouble, Removable: true},
	{Func: VarSamp, Roles: oneValue, Kinds: numeric, Result: maybeDouble, Removable: true, Family: VarPop},
	{Func: StddevPop, Roles: oneValue, Kinds: numeric, Result: maybeDouble, Removable: true, Family: VarPop},
	{Func: StddevSamp, Roles: oneValue, Kinds: numeric, Result: maybeDouble, Removable: true, Family: VarPop},
	{Func: Min, Roles: oneValue, Kinds: OrderedKinds, Result: maybe, Groups: true},
	{Func: Max, Roles: oneValue, Kinds: OrderedKinds, Result: maybe, Groups: true},
	{Func: Latest, Roles: oneValue, Kinds: ColumnKinds, Composite: true, Result: maybe, Ordered: true},
	{Func: Earliest, Roles: oneValue, Kinds: ColumnKinds, Composite: true, Result: maybe, Ordered: true},
	{Func: LatestN, Roles: withN, Kinds: ColumnKinds, Composite: true, Result: listed, Ordered: true},
	{Func: EarliestN, Roles: withN, Kinds: ColumnKinds, Composite: true, Result: listed, Ordered: true},
	{Func: LatestTime, Result: maybeTime},
	{Func: EarliestTime, Result: maybeTime},
	{Func: MaxBy, Roles: withY, Kinds: ColumnKinds, Composite: true, Result: maybe, Ordered: true},
	{Func: MinBy, Roles: withY, Kinds: ColumnKinds, Composite: true, Result: maybe, Ordered: true},
	{Func: DistinctCount, Roles: oneValue, Kinds: discrete, Result: whole, Capped: true, Removable: true, Failure: "has more values than its cap"},
	{Func: ApproxDistinct, Roles: oneValue, Kinds: discrete, Result: whole},
	{Func: ApproxQuantile, Roles: withQ, Kinds: numeric, Result: maybeDouble, Removable: true},
	{Func: TopK, Roles: withN, Kinds: countable, Result: listed, Removable: true},
	{Func: Any, Roles: oneValue, Kinds: boolean, Result: truth, Removable: true},
	{Func: All, Roles: oneValue, Kinds: boolean, Result: truth, Removable: true, Family: Any},
}

var aggregateRows = func() map[AggFunc]*AggRow {
	rows := map[AggFunc]*AggRow{}
	for i := range Aggregates {
		rows[Aggregates[i].Func] = &Aggregates[i]
	}
	return rows
}()

// Row is the aggregate's row of Aggregates; nil when there is no such aggregate.
func (f AggFunc) Row() *AggRow { return aggregateRows[f] }

// Keeps is the aggregate whose partials f reads.
func (f AggFunc) Keeps() AggFunc {
	if r := f.Row(); r != nil && r.Family != "" {
		return r.Family
	}
	return f
}

// Has reports whether the aggregate has an argument with the role.
func (a *AggRow) Has(r Role) bool { return slices.Contains(a.Roles, r) }

// ResultOf is the type of the result for values of a type.
func (a *AggRow) ResultOf(value Type) Type { return a.Result.of(value) }

// of is t with value in place of Dyn.
func (t Type) of(value Type) Type {
	switch t.Kind {
	case Dyn:
		return value
	case Optional:
		return OptionalOf(t.Elem.of(value))
	case List:
		return ListOf(t.Elem.of(value))
	}
	return t
}

// Which names the aggregates that something is true of, for messages: "a, b and c".
func Which(has func(a *AggRow) bool) string {
	var names []string
	for i := range Aggregates {
		if has(&Aggregates[i]) {
			names = append(names, string(Aggregates[i].Func))
		}
	}
	if n := len(names) - 1; n > 0 {
		return strings.Join(names[:n], ", ") + " and " + names[n]
	}
	return strings.Join(names, "")
}
